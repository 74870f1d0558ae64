"""Servers that any test can ask for."""

from hypothesis import HealthCheck, settings

from tests.images.shop import packages, python_base, shop, tiny_base, trained
from tests.servers.disks import cloning_disk, cloning_disks
from tests.servers.docker_engine import docker_host
from tests.servers.google import google
from tests.servers.kubernetes_api import cluster
from tests.servers.oci_registry import locked_registry, oci_registry
from tests.servers.rclone import rclone
from tests.servers.seaweed import seaweed
from tests.servers.web import web, web_server
from tests.servers.wine import wine, wine_project

__all__ = [
    "cloning_disk",
    "cloning_disks",
    "cluster",
    "docker_host",
    "google",
    "locked_registry",
    "oci_registry",
    "packages",
    "python_base",
    "rclone",
    "seaweed",
    "shop",
    "tiny_base",
    "trained",
    "web",
    "web_server",
    "wine",
    "wine_project",
]

# How long an example takes says something of the machine, and nothing of dsvc.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
