"""Servers that any test can ask for."""

from hypothesis import HealthCheck, settings

from tests.servers.rclone import rclone
from tests.servers.seaweed import seaweed
from tests.servers.web import web, web_server

__all__ = ["rclone", "seaweed", "web", "web_server"]

# How long an example takes says something of the machine, and nothing of dsvc.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
