"""Servers that any test can ask for."""

from tests.servers.seaweed import seaweed

__all__ = ["seaweed"]
