"""Drivers for images and audio: what they are, how far they look apart, and both sides on an HTML page."""
