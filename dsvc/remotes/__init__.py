"""Repositories elsewhere; nothing lives here yet."""
