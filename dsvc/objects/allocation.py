"""Memory that threads free and take again all the time."""

from __future__ import annotations

from functools import cache

_LARGE = 31 << 20  # glibc learns from blocks below 32 MiB


@cache  # a second block would come from memory that was kept, and be filled with zeros
def keep_freed_memory() -> None:
    """Let the C library keep what is freed for the next request, instead of giving it back to the kernel at once.

    Buffers of some MiB that come and go would cost a page fault for each 4 KiB every time. glibc raises the sizes from
    which it asks the kernel and gives back when a large block is freed; this one is never touched, so it costs nothing.
    Other C libraries do not care. Safe to call twice.
    """
    bytes(_LARGE)  # a bytearray would be filled with zeros
