"""Bloom filters of the paths that a commit changed against its first parent: `log -- PATH` asks them first.

A filter of n bytes has 8 n bits; each path, and each directory above it, sets seven of them. One byte of zeros: the
commit changed nothing. One byte of ones: it changed too much for a filter. No bytes: not known. A wrong "yes" costs a
look at the trees, "no" is always right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from blake3 import blake3

_BITS_PER_PATH = 10  # with seven hashes: one wrong "yes" in about a hundred
_HASHES = 7
_MAX_PATHS = 512
NOTHING, EVERYTHING, UNKNOWN = b"\0", b"\xff", b""

PathKey: TypeAlias = tuple[int, int]


def path_key(path: bytes) -> PathKey:
    """Return the two hashes from which a path's bits follow."""
    digest = blake3(path).digest(8)
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little") | 1


def make_filter(paths: Iterable[bytes]) -> bytes:
    """Return the filter of these changed files; stops reading `paths` when there are too many."""
    seen: set[bytes] = set()
    for path in paths:
        while path and path not in seen:
            seen.add(path)
            path = path[: max(path.rfind(b"/"), 0)]  # noqa: PLW2901
        if len(seen) > _MAX_PATHS:
            return EVERYTHING
    if not seen:
        return NOTHING
    size = max((len(seen) * _BITS_PER_PATH + 7) // 8, 2)
    bits = bytearray(size)
    for path in seen:
        first, step = path_key(path)
        for number in range(_HASHES):
            bit = (first + number * step) % (8 * size)
            bits[bit >> 3] |= 1 << (bit & 7)
    return bytes(bits)


def may_contain(bits: bytes | memoryview, keys: Sequence[PathKey]) -> bool:
    """Say whether a filter may have been made of one of the paths with these keys; False is certain."""
    count = 8 * len(bits)
    if count <= 8:
        return not count or bits[0] != 0
    for first, step in keys:
        for number in range(_HASHES):
            bit = (first + number * step) % count
            if not bits[bit >> 3] >> (bit & 7) & 1:
                break
        else:
            return True
    return False
