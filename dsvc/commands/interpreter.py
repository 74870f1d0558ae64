"""How Python is set up for what commands do."""

from __future__ import annotations

import gc
import sys

FRAMES = 40_000  # a path has up to 4,096 bytes, so up to 2,048 folders; a walk takes several frames for each
_ALLOCATIONS = 50_000  # between searches for cycles: there are few, and millions of tuples to look through


def set_up() -> None:
    """Allow for deep folders, and look for cycles seldom."""
    sys.setrecursionlimit(FRAMES)
    gc.set_threshold(_ALLOCATIONS, 50, 1000)
