"""Sealing what a remote keeps, so that its host reads nothing."""
