"""The version of this package; by itself, so that all layers may know it."""

__version__ = "0.1.0"
