"""Bytes of float arrays grouped by their place in the element: exponents compress by themselves, mantissas hardly ever.

Element k of an array of `width` bytes an element gives byte k of each plane. docs/formats/encodings.md has the frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import zstandard

    Way = zstandard.ZstdCompressor | None  # how a plane is compressed; None: stored as it is

WIDTHS: Final = (2, 4, 8)
LENGTH: Final = struct.Struct("<I")  # of a plane, in the frame's header

_WORTH = 0.95
_WAY_WORTH = 0.97
_COUNTED = 1024  # bytes whose distinct values are counted: 128 a phase
_SOME_PHASES = (0, 7)  # an even one and an odd one: text and noise have about as many values at both


class Grouping(NamedTuple):
    """A grouping that paid: bytes an element, how each plane is stored, and what the sample looked like at 8 phases."""

    width: int
    ways: Sequence[Way]
    distinct: Sequence[int]

    def turned(self, width: int, distinct: Sequence[int]) -> Grouping | None:
        """Return this grouping at the phase of a sample with these counts, or None for another array."""
        if width != self.width:
            return None
        for turn in range(width):
            before = [self.distinct[(phase + turn) % 8] for phase in range(8)]
            if all(map(_near, before, distinct)):
                return Grouping(width, [self.ways[(plane + turn) % width] for plane in range(width)], distinct)
        return None

    def moved(self, distance: int) -> Grouping:
        """Return this grouping for what begins `distance` bytes behind the start of what it was made for."""
        width = self.width
        ways = [self.ways[(plane + distance) % width] for plane in range(width)]
        return Grouping(width, ways, [self.distinct[(phase + distance) % 8] for phase in range(8)])

    def fits(self, data: bytes | memoryview) -> bool:
        """Say whether `data` begins like what this grouping was made for; asks a quarter of what `turned` does.

        What it lets pass is looked at once more when it is encoded.
        """
        return all(_near(self.distinct[phase], len(set(data[phase:_COUNTED:8]))) for phase in _SOME_PHASES)


def distinct_values(sample: bytes) -> list[int]:
    """Count the different values that the bytes of a sample take at each phase of eight.

    The cheapest test that tells an exponent (a dozen values) from a mantissa (most of 256).
    """
    return [len(set(sample[phase:_COUNTED:8])) for phase in range(8)]


def likely_width(distinct: Sequence[int]) -> int | None:
    """Return the narrowest element that explains the counts; text and noise have about equal ones: None."""
    if not distinct or 2 * min(distinct) > max(distinct):
        return None
    for width in WIDTHS:
        if all(2 * min(distinct[phase::width]) > max(distinct[phase::width]) for phase in range(width)):
            return width
    return None


def probe(
    sample: bytes,
    width: int,
    whole: int,
    distinct: list[int],
    *,
    plain: zstandard.ZstdCompressor,
    symbols: zstandard.ZstdCompressor,
) -> Grouping | None:
    """Return how to group `sample`, if that takes clearly less than the `whole` bytes it takes as it is.

    The phase of the elements needs no search: plane k holds the bytes at k modulo the width, and whichever of them is
    the exponent compresses.
    """
    total = 0
    ways: list[Way] = []
    for plane in _split(sample, width):
        size, way = len(plane), None
        by_symbols = len(symbols.compress(plane))
        if by_symbols <= _WAY_WORTH * size:
            by_plain = len(plain.compress(plane))
            size, way = (by_plain, plain) if by_plain < _WAY_WORTH * by_symbols else (by_symbols, symbols)
        total += size
        ways.append(way)
    if total >= _WORTH * min(whole, len(sample)):
        return None
    return Grouping(width, ways, distinct)


def pack(pieces: Iterable[tuple[bytes, Grouping]]) -> list[bytes]:
    """Return a frame for each piece, grouped as it says.

    All planes that go the same way are compressed in one call. A call for each plane of a small chunk takes less time
    than to take the interpreter back behind it from the other threads, and they got into each other's way all the time.
    """
    rows: list[list[bytes]] = []
    together: dict[int, tuple[zstandard.ZstdCompressor, list[tuple[int, int]]]] = {}
    for number, (data, grouping) in enumerate(pieces):
        rows.append(list(_split(data, grouping.width)))
        for plane, way in enumerate(grouping.ways):
            if way is not None:
                together.setdefault(id(way), (way, []))[1].append((number, plane))
    for way, places in together.values():
        packed = _compress_each(way, [rows[number][plane] for number, plane in places])
        for (number, plane), compressed in zip(places, packed, strict=True):
            if len(compressed) < len(rows[number][plane]):
                rows[number][plane] = compressed
    return [b"".join([LENGTH.pack(len(part)) for part in row] + row) for row in rows]


def _compress_each(way: zstandard.ZstdCompressor, planes: Sequence[bytes]) -> Sequence[bytes]:
    if len(planes) == 1:
        return [way.compress(planes[0])]
    collection = way.multi_compress_to_buffer([*planes])
    return [collection[number].tobytes() for number in range(len(planes))]


def _split(data: bytes, width: int) -> Iterator[bytes]:
    return (data[phase::width] for phase in range(width))


def _near(a: int, b: int) -> bool:
    """Say whether two counts of different values are those of the same kind of data."""
    return 2 * a < 3 * b + 8 and 2 * b < 3 * a + 8
