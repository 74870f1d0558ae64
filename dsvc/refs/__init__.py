"""Refs: names, views, operations and the log that moves them."""
