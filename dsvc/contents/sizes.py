"""Sizes in words."""

from __future__ import annotations


def size_text(size: int) -> str:
    """Return a number of bytes for people: `312 B`, `4.2 KiB`."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 row`, `2 rows`, `1,000 rows`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
