"""Scalars in TensorBoard's event files, read without TensorFlow.

A file is a row of records: length (8 bytes, little-endian), masked CRC-32C of these 8 bytes, the data, its masked
CRC-32C (tensorflow/core/lib/io/record_writer.h). The data is an `Event` (tensorflow/core/util/event.proto): 1 wall_time
(double), 2 step, 5 summary. A summary has values (1, core/framework/summary.proto): 1 tag, 2 simple_value (float),
8 tensor, 9 metadata. A tensor (core/framework/tensor.proto) has 1 dtype, and 4 its bytes or 5 to 10 its numbers.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from dsvc.errors import RequestError
from dsvc.runs import events
from dsvc.runs.journal import EVENTS, EventLog
from dsvc.runs.values import clean_name, shortest

MARK: Final = "tfevents"  # stands in the name of each such file
_LARGEST = 64 << 20  # bytes of a record
_CHECKED = 4096  # bytes of data up to which its sum is looked at; scalars are below a hundred
_MOST = 2_000_000  # points of a file
_PLUGIN = b"scalars"
# dtype -> how its bytes are read (tensorflow/core/framework/types.proto); half and bfloat16 are left out
_BYTES: Final = {1: "<f", 2: "<d", 3: "<i", 4: "<B", 5: "<h", 6: "<b", 9: "<q", 19: "<e", 22: "<I", 23: "<Q"}


class BadEventsError(RequestError):
    """A file is no file of TensorBoard's, or damaged."""


class Scalar(NamedTuple):
    """A point of a series; `time` is in microseconds since 1970 UTC."""

    tag: str
    step: int
    time: int
    value: int | float


def is_event_file(path: str | bytes | os.PathLike[str]) -> bool:
    """Say whether a file has a name like those of TensorBoard."""
    return MARK in os.fsdecode(os.path.basename(os.fspath(path)))


def find_event_files(folder: Path) -> list[Path]:
    """Return the event files below a folder, in order."""
    found = [Path(where) / name for where, _, names in os.walk(folder) for name in names if is_event_file(name)]
    return sorted(found)


def read_scalars(path: Path) -> Iterator[Scalar]:
    """Yield the scalars of a file; a torn record at the end is left out.

    Raises:
        BadEventsError: where it is damaged, after what comes before. OSError: when it cannot be read.
    """
    count = 0
    with open(path, "rb") as file:
        while len(head := file.read(12)) == 12:
            length, total = struct.unpack("<QI", head)
            if _masked(head[:8]) != total or length > _LARGEST:
                raise BadEventsError(f"{path.name} is no file of TensorBoard's, or damaged")
            body = file.read(length + 4)
            if len(body) < length + 4:
                return
            data = body[:length]
            if length <= _CHECKED and _masked(data) != int.from_bytes(body[length:], "little"):
                raise BadEventsError(f"{path.name} is damaged")
            try:
                for scalar in _event(data):
                    count += 1
                    if count > _MOST:
                        raise BadEventsError(f"{path.name} has more than {_MOST:,} points; the rest is left out")
                    yield scalar
            except (struct.error, IndexError, UnicodeDecodeError) as error:
                raise BadEventsError(f"{path.name} holds a record that is no event") from error


def write_scalars(journal: Path, files: Iterable[Path], *, began: int) -> list[str]:
    """Add the points that were logged since `began` (nanoseconds since 1970) to the journal of a run.

    The folders of several files, as seen from the one above all of them, come before the tags. A file that was taken
    already is left alone. Return what is to be told.

    Raises:
        OSError: when the disk refuses.
    """
    problems: list[str] = []
    places = {path: os.path.dirname(os.path.realpath(path)) for path in files}
    above = os.path.commonpath(list(places.values())) if places else ""
    for path, folder in places.items():
        below = os.path.relpath(folder, above)
        prefix = "" if below == os.curdir else f"{below}/"
        name = f"{EVENTS}tensorboard-{_name_of(path)}"
        if (journal / name).exists():
            continue
        log = EventLog(journal, name=name)
        try:
            with suppress(FileNotFoundError):
                for scalar in read_scalars(path):
                    if scalar.time * 1000 >= began - _SLACK:
                        tag = clean_name(prefix + scalar.tag)
                        log.append((events.POINTS, scalar.time, scalar.step, tag, scalar.value))
        except (BadEventsError, OSError) as error:
            problems.append(str(error))
        finally:
            log.close()
    return problems


_SLACK = 1_000_000_000  # nanoseconds: the time of an event is taken before it is written


def _name_of(path: Path) -> str:
    from dsvc.objects.ids import content_id

    return content_id(os.fsencode(os.path.realpath(path))).hex()[:16]


def _event(data: bytes) -> Iterator[Scalar]:
    time, step = 0.0, 0
    summaries: list[bytes] = []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes) and len(value) == 8:
            (time,) = struct.unpack("<d", value)
        elif number == 2 and isinstance(value, int):
            step = value - (1 << 64) if value >> 63 else value
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    if not math.isfinite(time) or not 0 <= time < 1e11:
        time = 0.0
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1 and isinstance(value, bytes):
                tag, found = _value(value)
                if found is not None:
                    yield Scalar(tag, step, int(time * 1_000_000), found)


def _value(data: bytes) -> tuple[str, int | float | None]:
    tag, simple, tensor, plugin = "", None, None, b""
    for number, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode()
        elif number == 2 and len(value) == 4:
            (simple,) = struct.unpack("<f", value)
        elif number == 8:
            tensor = value
        elif number == 9:
            plugin = _nested(_nested(value).get(1, b"")).get(1, b"")
    if simple is not None:
        return tag, shortest(simple)
    return tag, _tensor(tensor) if tensor is not None and plugin == _PLUGIN else None


def _tensor(data: bytes) -> int | float | None:
    """Return the number of a tensor with one element."""
    fields = {number: value for number, value in _fields(data) if number != 2}
    kind, content = fields.get(1, 0), fields.get(4, b"")
    form = _BYTES.get(kind) if isinstance(kind, int) else None
    if form is None:
        return None
    if isinstance(content, bytes) and content:
        (found,) = struct.unpack(form, content)
        return shortest(found) if kind == 1 else found
    for number, packed in ((5, "<f"), (6, "<d")):
        value = fields.get(number)
        if isinstance(value, bytes):
            (found,) = struct.unpack(packed, value)
            return shortest(found) if number == 5 else found
    for number in (7, 10):
        value = fields.get(number)
        if isinstance(value, bytes):
            value, _ = _varint(value, 0)
        if isinstance(value, int):
            return value - (1 << 64) if value >> 63 else value
    return None


def _nested(data: bytes) -> Mapping[int, bytes]:
    return {number: value for number, value in _fields(data) if isinstance(value, bytes)}


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protocol buffer (protobuf.dev/programming-guides/encoding)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise struct.error("no such type")
        if at + size > len(data):
            raise IndexError
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = data[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found & ((1 << 64) - 1), at
        shift += 7
        if shift > 63:
            raise IndexError


def _table() -> tuple[int, ...]:
    found = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)  # noqa: PLW2901
        found.append(number)
    return tuple(found)


_CRC: Final = _table()


def _masked(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of bytes as it stands in the file."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
