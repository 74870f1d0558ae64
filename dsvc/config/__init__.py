"""Configuration files of the user and of a repository."""
