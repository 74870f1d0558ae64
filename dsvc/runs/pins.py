"""Inputs and outputs of a run: each a path at an id, with how it was observed and what is known of it.

A few stand in the record itself; more of them in a table, which is stored as the content of a file. What is stored of
the files themselves is reached through a tree. See docs/formats/run.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from itertools import islice
from typing import NamedTuple, Protocol

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.objects.ids import ID_LENGTH, FileId, ObjectId, TreeId
from dsvc.objects.tree import EntryKind

INLINE = 100  # rows that stand in the record
_BLOCK = 4096  # rows
_LENGTH = struct.Struct(">I")


class PinState(IntEnum):
    """What is known of a file. The numbers are part of the format."""

    PINNED = 1  # the run met exactly this content
    CHANGED = 2  # it was changed around the time when the run met it: the id may be of other content
    MISSING = 3  # there was no such file any more when it was looked at: there is no id


class Seen(IntFlag):
    """How it was found out that a run met a file. The numbers are part of the format."""

    DECLARED = 1  # somebody said so
    PYTHON = 2  # a Python interpreter opened it
    TRACED = 4  # a system call was seen
    COMPARED = 8  # the working copy was compared before and after


class Pin(NamedTuple):
    """A file or folder that a run read or wrote. `path` is relative to the working copy, or absolute outside of it.

    `kind`, `id` and `size` are those of the entry that stood there; `id` is None where it is MISSING.
    """

    path: bytes
    state: PinState
    seen: Seen
    kind: EntryKind | None = None
    id: ObjectId | None = None
    size: int = 0

    @property
    def is_outside(self) -> bool:
        """Whether it lies outside of the working copy."""
        return self.path.startswith(b"/")


class StoredFile(NamedTuple):
    """Content that is stored as a file: its id and its length in bytes."""

    id: FileId
    size: int


@dataclass(frozen=True, slots=True)
class Pins:
    """The inputs or the outputs of a run: `count` of them with `size` bytes.

    They are the `rows`, or are listed in the `table`. `tree` holds those of which the content is stored.
    """

    count: int = 0
    size: int = 0
    rows: tuple[Pin, ...] = ()
    table: StoredFile | None = None
    tree: TreeId | None = None


NONE = Pins()


class ContentStore(Protocol):
    """What tables are written to and read from: a store."""

    def put_stream(self, read: _Read) -> tuple[FileId, int]: ...
    def file_chunks(self, file_id: bytes, *, start: int = 0) -> Iterator[bytes]: ...


class _Read(Protocol):
    def __call__(self, size: int, /) -> bytes | memoryview: ...


def put_pins(store: ContentStore, pins: Iterable[Pin], tree: TreeId | None) -> Pins:
    """Return what a record holds of `pins`; where they are many, a table of them is stored."""
    ordered = sorted(pins, key=lambda pin: pin.path)
    size = sum(pin.size for pin in ordered)
    if len(ordered) <= INLINE:
        return Pins(len(ordered), size, tuple(ordered), None, tree)
    stream = PieceReader(_blocks(ordered))
    return Pins(len(ordered), size, (), StoredFile(*store.put_stream(stream.read)), tree)


def read_pins(store: ContentStore, pins: Pins) -> Iterator[Pin]:
    """Yield the pins of a record in order of their paths.

    Raises:
        IntegrityError: where the table is not stored or not of its form.
    """
    yield from pins.rows
    if pins.table is None:
        return
    waiting = bytearray()
    for piece in store.file_chunks(pins.table.id):
        waiting += piece
        while len(waiting) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(waiting)
            if length > codec.MAX_PAYLOAD:
                raise BadEncodingError("a table of inputs or outputs has a block that is too long")
            if len(waiting) < _LENGTH.size + length:
                break
            block = codec.decode(bytes(waiting[_LENGTH.size : _LENGTH.size + length]))
            del waiting[: _LENGTH.size + length]
            if not isinstance(block, tuple):
                raise BadEncodingError("a table of inputs or outputs has a block that is no array")
            yield from map(decode_pin, block)
    if waiting:
        raise BadEncodingError("a table of inputs or outputs ends in the middle of a block")


def encode_pin(pin: Pin) -> tuple[object, ...]:
    """Return a pin as a value."""
    if pin.id is None:
        return (pin.path, int(pin.state), int(pin.seen))
    return (pin.path, int(pin.state), int(pin.seen), int(pin.kind or 0), pin.id, pin.size)


def decode_pin(value: Value) -> Pin:
    """Return the pin that a value encodes.

    Raises:
        BadEncodingError: when it is none.
    """
    match value:
        case (bytes(path), int(state), int(seen)) if path and state == PinState.MISSING and 0 < seen < 256:
            return Pin(path, PinState(state), Seen(seen))
        case (bytes(path), int(state), int(seen), int(kind), bytes(found), int(size)) if (
            path and state in (1, 2) and 0 < seen < 256 and 1 <= kind <= 7 and len(found) <= ID_LENGTH and size >= 0
        ):
            return Pin(path, PinState(state), Seen(seen), EntryKind(kind), ObjectId(found), size)
    raise BadEncodingError("an input or output of a run is not of its form")


def encode_pins(pins: Pins) -> dict[str, object]:
    """Return the inputs or outputs of a record as a value; empty where there are none."""
    fields: dict[str, object] = {}
    if pins.count:
        fields |= {"count": pins.count, "size": pins.size}
    if pins.rows:
        fields["rows"] = [encode_pin(pin) for pin in pins.rows]
    if pins.table is not None:
        fields["table"] = (pins.table.id, pins.table.size)
    if pins.tree is not None:
        fields["tree"] = pins.tree
    return fields


def decode_pins(value: Value) -> Pins:
    """Return the inputs or outputs that a value encodes.

    Raises:
        BadEncodingError: when it is not of their form. That it is the only form is for the caller to check.
    """
    if not isinstance(value, dict):
        raise BadEncodingError("the inputs or outputs of a run are no map")
    count, size, rows, tree = value.get("count", 0), value.get("size", 0), value.get("rows", ()), value.get("tree")
    if not (isinstance(count, int) and isinstance(size, int) and isinstance(rows, tuple)):
        raise BadEncodingError("the inputs or outputs of a run are not of their form")
    if tree is not None and not (isinstance(tree, bytes) and len(tree) == ID_LENGTH):
        raise BadEncodingError("the inputs or outputs of a run name no tree")
    return Pins(
        count,
        size,
        tuple(map(decode_pin, rows)),
        decode_stored(value["table"]) if "table" in value else None,
        TreeId(ObjectId(tree)) if tree is not None else None,
    )


def decode_stored(value: Value) -> StoredFile:
    """Return the stored file that a value names.

    Raises:
        BadEncodingError: when it names none.
    """
    match value:
        case (bytes(found), int(size)) if len(found) == ID_LENGTH and size >= 0:
            return StoredFile(FileId(ObjectId(found)), size)
    raise BadEncodingError("a run names a stored file by something else than id and length")


def _blocks(pins: Iterable[Pin]) -> Iterator[bytes]:
    stream = iter(pins)
    while rows := [encode_pin(pin) for pin in islice(stream, _BLOCK)]:
        block = codec.encode(rows)
        yield _LENGTH.pack(len(block)) + block


class PieceReader:
    """Reads pieces that come one by one as a stream."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes | memoryview:
        """Return up to `size` bytes, none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        part, self._rest = self._rest[:size], self._rest[size:]
        return part
