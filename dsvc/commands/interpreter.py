"""How Python is set up for what commands do."""

from __future__ import annotations

FRAMES = 40_000  # a path has up to 4,096 bytes, so up to 2,048 folders; a walk takes several frames for each
