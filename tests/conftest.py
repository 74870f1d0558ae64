"""Servers that any test can ask for."""

from tests.servers.rclone import rclone
from tests.servers.seaweed import seaweed

__all__ = ["rclone", "seaweed"]
