"""Deployments: what is served where, as a value, and as files for the programs that run it."""
