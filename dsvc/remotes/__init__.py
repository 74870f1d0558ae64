"""Repositories elsewhere: backends for services, and what goes between them."""
