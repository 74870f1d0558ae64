"""Series of metrics: columns of steps, times and values in blocks, and a summary of each series in the record.

All series of a run lie in one stored file, the blocks of each one beside each other. See docs/formats/run.md.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import sub
from typing import Any, BinaryIO, Literal, NamedTuple, TypeGuard

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.runs.pins import ContentStore, PieceReader, StoredFile

BLOCK = 4096  # points
_HELD = 1 << 18  # points in all that wait for their blocks
_PIECE = 1 << 20
MAX_SERIES = 10_000
_INTEGERS, _FLOATS, _VALUES = 1, 2, 3
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class Point(NamedTuple):
    """One value of a metric: at which step, and when (microseconds since 1970 UTC)."""

    step: int
    time: int
    value: Value


@dataclass(frozen=True, slots=True)
class Series:
    """What a record says of a series without reading it.

    `least` and `most` are of the numbers among the values, None where there are none; NaN is not counted there. Its
    blocks are `length` bytes at `offset` in the file of series.
    """

    name: str
    count: int
    last: Value
    least: int | float | None
    most: int | float | None
    last_step: int
    offset: int
    length: int


def encode_series(series: Series) -> tuple[object, ...]:
    """Return the summary of a series as a value."""
    return (
        series.name,
        series.count,
        series.last,
        series.least,
        series.most,
        series.last_step,
        series.offset,
        series.length,
    )


def decode_series(value: Value) -> Series:
    """Return the summary of a series that a value encodes.

    Raises:
        BadEncodingError: when it is none.
    """
    match value:
        case (str(name), int(count), last, least, most, int(step), int(offset), int(length)) if (
            count > 0 and offset >= 0 and length > 0 and _is_bound(least) and _is_bound(most)
        ):
            return Series(name, count, last, least, most, step, offset, length)  # type: ignore[arg-type]
    raise BadEncodingError("a series of a run is not of its form")


def _is_bound(value: Value) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


@dataclass(slots=True)
class _Growing:
    """A series to which points are added, and where its blocks lie in the file of blocks."""

    steps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0
    least: int | float | None = None
    most: int | float | None = None


class SeriesWriter:
    """Takes points of any number of series in any order, with little memory; `spool` is an empty temporary file."""

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self._at = 0
        self._held = 0
        self._series: dict[str, _Growing] = {}
        self.refused = 0  # points of series that were too many

    def add(self, name: str, point: Point) -> None:
        """Add a point; it is dropped and counted when it would begin a series too many."""
        series = self._series.get(name)
        if series is None:
            if len(self._series) >= MAX_SERIES:
                self.refused += 1
                return
            series = self._series[name] = _Growing()
        series.steps.append(min(max(point.step, _LEAST), _MOST))
        series.times.append(point.time)
        series.values.append(point.value)
        self._held += 1
        if len(series.steps) >= BLOCK:
            self._write(series)
        elif self._held >= _HELD:
            for each in self._series.values():
                self._write(each)

    def next_step(self, name: str) -> int:
        """Return the step that follows the last one of a series, 0 where there is none yet."""
        series = self._series.get(name)
        if series is None:
            return 0
        return (series.steps[-1] if series.steps else series.count - 1) + 1

    def finish(self, store: ContentStore) -> tuple[tuple[Series, ...], StoredFile | None]:
        """Store the file of series; return the summaries in order of names, and that file."""
        last = {}
        for name, series in self._series.items():
            last[name] = (series.values[-1], series.steps[-1]) if series.values else None
        summaries: list[Series] = []
        offset = 0
        order = sorted(self._series.items(), key=lambda item: item[0].encode("utf-8", "surrogatepass"))
        for name, series in order:
            self._write(series)
            length = sum(size for _, size in series.blocks)
            value, step = last[name] or self._last_of(series)
            summaries.append(Series(name, series.count, value, series.least, series.most, step, offset, length))
            offset += length
        if not summaries:
            return (), None
        pieces = PieceReader(self._pieces([series for _, series in order]))
        return tuple(summaries), StoredFile(*store.put_stream(pieces.read))

    def _last_of(self, series: _Growing) -> tuple[Value, int]:
        at, size = series.blocks[-1]
        self._spool.seek(at)
        points = decode_block(self._spool.read(size))
        return points[-1].value, points[-1].step

    def _pieces(self, order: Sequence[_Growing]) -> Iterator[bytes]:
        for series in order:
            for at, size in series.blocks:
                self._spool.seek(at)
                yield self._spool.read(size)

    def _write(self, series: _Growing) -> None:
        if not series.steps:
            return
        block = encode_block(series.steps, series.times, series.values)
        self._spool.seek(self._at)
        self._spool.write(block)
        series.blocks.append((self._at, len(block)))
        self._at += len(block)
        numbers = [v for v in series.values if _is_number(v)]
        if numbers:
            least, most = min(numbers), max(numbers)
            series.least = least if series.least is None else min(series.least, least)
            series.most = most if series.most is None else max(series.most, most)
        series.count += len(series.steps)
        self._held -= len(series.steps)
        series.steps, series.times, series.values = [], [], []


def _is_number(value: Value) -> TypeGuard[int | float]:
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, int) and not isinstance(value, bool)


def encode_block(steps: Sequence[int], times: Sequence[int], values: Sequence[Value]) -> bytes:
    """Return a block: its length in 4 bytes, then the three columns as one value."""
    block = codec.encode((_integers(steps), _integers(times), _column(values)))
    return len(block).to_bytes(4, "big") + block


def decode_block(block: bytes) -> list[Point]:
    """Return the points of a block, its length included.

    Raises:
        BadEncodingError: when it is not of its form.
    """
    value = codec.decode(block[4:])
    if int.from_bytes(block[:4], "big") != len(block) - 4 or not isinstance(value, tuple) or len(value) != 3:
        raise BadEncodingError("a block of a series is not of its form")
    columns = [_decoded(column) for column in value]
    if len({len(column) for column in columns}) != 1:
        raise BadEncodingError("the columns of a series are not of one length")
    return [Point(step, time, v) for step, time, v in zip(*columns, strict=True)]


def read_series(store: ContentStore, file: StoredFile, series: Series) -> Iterator[Point]:
    """Yield the points of a series in the order in which they were logged; nothing else is read.

    Raises:
        IntegrityError: where the file is not stored or not of its form.
    """
    waiting, left = bytearray(), series.length
    for piece in store.file_chunks(file.id, start=series.offset):
        waiting += piece[:left]
        left -= min(left, len(piece))
        while len(waiting) >= 4:
            length = 4 + int.from_bytes(waiting[:4], "big")
            if len(waiting) < length:
                break
            yield from decode_block(bytes(waiting[:length]))
            del waiting[:length]
        if not left:
            break
    if waiting or left:
        raise BadEncodingError(f"the series {series.name!r} ends in the middle of a block")


def _integers(numbers: Sequence[Any]) -> tuple[object, ...]:
    """Return a column of integers: the first one, then the differences, 8 bytes each, which compress well."""
    if all(_LEAST <= n <= _MOST for n in numbers):
        steps = array("q", numbers[:1])
        try:
            steps.extend(map(sub, numbers[1:], numbers))
        except OverflowError:
            return (_VALUES, tuple(numbers))
        return (_INTEGERS, _little(steps))
    return (_VALUES, tuple(numbers))


def _column(values: Sequence[Value]) -> tuple[object, ...]:
    kinds = set(map(type, values))
    if kinds == {float}:
        floats: Sequence[Any] = values
        return (_FLOATS, _little(array("d", floats)))
    if kinds == {int}:
        return _integers(values)
    return (_VALUES, tuple(values))


def _little(numbers: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _decoded(column: Value) -> Sequence[Any]:
    match column:
        case (3, tuple(values)):
            return values
        case (1, bytes(data)) if len(data) % 8 == 0:
            return list(accumulate(_numbers("q", data)))
        case (2, bytes(data)) if len(data) % 8 == 0:
            return _numbers("d", data)
    raise BadEncodingError("a column of a series is not of its form")


def _numbers(code: Literal["q", "d"], data: bytes) -> list[Any]:
    numbers: array[Any] = array(code)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return list(numbers)
