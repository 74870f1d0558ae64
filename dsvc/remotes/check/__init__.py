"""Trying whether a place behaves as a backend must, and how fast it is."""
