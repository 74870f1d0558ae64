"""Merge requests: what is said about bringing commits into a branch, and whether that may be done."""
