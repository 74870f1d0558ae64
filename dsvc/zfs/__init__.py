"""Datasets that ZFS keeps; nothing lives here yet."""
