"""Which commits changed a path against their first parent: an index from paths to commits, in segments.

A segment covers 65,536 commits. It is a sorted list of 64-bit entries: 48 bits of a hash of the path, 16 bits that
say which of its commits changed something there. Files and all directories above them are listed. What is listed is
taken as true: for a path that was not made up to collide the odds of a wrong entry are below one in a million.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from blake3 import blake3

SEGMENT_BITS = 16
_LOW = (1 << SEGMENT_BITS) - 1
_MAX_PATHS = 512

# What is known of a commit: one byte each, in the index and in the answer to a question.
UNKNOWN, LISTED, TOO_MANY = 0, 1, 2
NO, YES, LOOK = 0, 1, 2
_STATE_TO_ANSWER = bytes(NO if state == LISTED else LOOK for state in range(256))


def path_hash(path: bytes) -> int:
    """Return the 48 bits under which a path is listed."""
    return int.from_bytes(blake3(path).digest(6), "little")


def hashes_of(paths: Iterable[bytes]) -> set[int] | None:
    """Return the hashes of changed files and the directories above them, None when there are too many to list."""
    seen: set[bytes] = set()
    for path in paths:
        while path and path not in seen:
            seen.add(path)
            path = path[: max(path.rfind(b"/"), 0)]  # noqa: PLW2901
        if len(seen) > _MAX_PATHS:
            return None
    return {path_hash(path) for path in seen}


def entries_of(number: int, hashes: Iterable[int]) -> Iterator[int]:
    """Yield the entries of a commit (by its number) that changed what has these hashes."""
    return (hashed << SEGMENT_BITS | (number & _LOW) for hashed in hashes)


def extended(segment: Sequence[int], added: Iterable[int]) -> array[int]:
    """Return a segment with further entries."""
    return array("Q", sorted([*segment, *added]))


def answer(states: bytes, segments: Sequence[Sequence[int]], paths: Iterable[bytes]) -> bytearray:
    """Say of each commit whether it changed one of these paths: a byte each, NO, YES, or LOOK where it is not known."""
    answers = bytearray(states.translate(_STATE_TO_ANSWER))
    for path in paths:
        if not path:
            return bytearray([LOOK]) * len(answers)
        first = path_hash(path) << SEGMENT_BITS
        for at, segment in enumerate(segments):
            low = bisect_left(segment, first)
            for entry in segment[low : bisect_left(segment, first + _LOW + 1, low)]:
                answers[at << SEGMENT_BITS | (entry & _LOW)] = YES
    return answers
