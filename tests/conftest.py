"""Servers that any test can ask for."""

from hypothesis import HealthCheck, settings

from tests.servers.disks import cloning_disk, cloning_disks
from tests.servers.oci_registry import locked_registry, oci_registry
from tests.servers.rclone import rclone
from tests.servers.seaweed import seaweed
from tests.servers.wine import wine, wine_project

__all__ = [
    "cloning_disk",
    "cloning_disks",
    "locked_registry",
    "oci_registry",
    "rclone",
    "seaweed",
    "wine",
    "wine_project",
]

# How long an example takes says something of the machine, and nothing of dsvc.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
