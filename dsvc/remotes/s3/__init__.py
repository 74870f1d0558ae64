"""A repository in a bucket: the backend, and what it makes of the service's answers."""
