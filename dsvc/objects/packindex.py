"""The index of a pack: which objects it holds, in which frame, and how each frame is stored.

It lies behind the frames of its pack, is sorted by id, and its BLAKE3 is the pack's id. docs/formats/pack.md.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId, PackId

MAGIC = b"dsvcidx1"
NO_BASE = 0xFFFFFFFF
SALT_AT, SALT_LENGTH = 12, 16  # in the index
_HEADER = struct.Struct(">8sB3x16sIQ")  # magic, pack class, salt, frames, objects
_FRAME = struct.Struct(">QIIIB3x")  # offset, stored bytes, plain bytes, frame of the base, encoding
_WORD = 8  # leading bytes of an id that are compared as one number
_PATIENCE = 64  # one lookup in so many objects makes a table of those numbers worth its while
_PLACE = struct.Struct(">BIII")  # kind, frame, offset inside its plain bytes, bytes
RECORD = ID_LENGTH + _PLACE.size
MAX_BASES = 4  # how many steps a chain of bases may have


class DamagedIndexError(IntegrityError):
    """A pack's index does not match the pack's id or contradicts itself."""


class Frame(NamedTuple):
    """Where a frame lies in its pack and how it is stored. Lengths in bytes; `base`: a frame number or NO_BASE."""

    offset: int
    stored: int
    plain: int
    base: int
    encoding: int


class Place(NamedTuple):
    """Where an object lies: its kind, frame number, offset inside the frame's plain bytes, and length."""

    kind: int
    frame: int
    offset: int
    length: int


def record(object_id: bytes, place: Place) -> bytes:
    """Return the index record of one object."""
    return object_id + _PLACE.pack(*place)


def encode_index(pack_class: int, frames: Sequence[Frame], records: Sequence[bytes], *, salt: bytes) -> bytes:
    """Return the bytes of an index; `records` come from `record` and are sorted here.

    `salt` is random and makes every pack's id a new one. A pack that was condemned can then never come back under
    the same key, so a process that deletes it late deletes nothing else.
    """
    head = _HEADER.pack(MAGIC, pack_class, salt, len(frames), len(records))
    return b"".join([head, *(_FRAME.pack(*frame) for frame in frames), *sorted(records)])


def resalted(index: bytes, salt: bytes) -> bytes:
    """Return an index with another salt, so that its pack has another id.

    A pack that comes from elsewhere gets an id of its own: under the one it had it may have been here before, and a
    process that condemned it then may still be about to delete it.
    """
    return index[:SALT_AT] + salt + index[SALT_AT + SALT_LENGTH :]


def pack_id_of(index: bytes) -> PackId:
    """Return the id of the pack that has this index."""
    return PackId(blake3(index).digest())


class PackIndex:
    """A verified index in memory; immutable, so any number of threads may ask it."""

    __slots__ = ("_asked", "_data", "_first", "_words", "count", "frames", "pack_class")

    def __init__(self, data: bytes, pack_id: PackId) -> None:
        if len(data) < _HEADER.size or pack_id_of(data) != pack_id:
            raise DamagedIndexError(f"the index of pack {pack_id.hex()} is damaged", hint="dsvc fsck")
        magic, self.pack_class, _, self.frames, self.count = _HEADER.unpack_from(data)
        self._first = _HEADER.size + self.frames * _FRAME.size
        if magic != MAGIC or len(data) != self._first + self.count * RECORD:
            raise DamagedIndexError(f"the index of pack {pack_id.hex()} has a wrong length", hint="dsvc fsck")
        self._data = data
        self._asked = 0
        self._words: array[int] | None = None

    @property
    def data(self) -> bytes:
        """The bytes of the index."""
        return self._data

    def frame(self, number: int) -> Frame:
        """Return the frame of that number."""
        if number >= self.frames:
            raise DamagedIndexError(f"a pack has {self.frames} frames and an object claims frame {number}")
        return Frame._make(_FRAME.unpack_from(self._data, _HEADER.size + number * _FRAME.size))

    def find(self, object_id: bytes) -> Place | None:
        """Return the place of an object, or None; of two kinds under one id the lower one."""
        position = self._lower_bound(object_id)
        at = self._first + position * RECORD
        if position < self.count and self._data[at : at + ID_LENGTH] == object_id:
            return Place._make(_PLACE.unpack_from(self._data, at + ID_LENGTH))
        return None

    def find_all(self, object_id: bytes) -> Iterator[Place]:
        """Yield every place of an id: a file's content may be there as one chunk and as a map."""
        position = self._lower_bound(object_id)
        while position < self.count and self.id_at(position) == object_id:
            yield self.place_at(position)
            position += 1

    def find_prefix(self, prefix: bytes) -> Iterator[tuple[ObjectId, Place]]:
        """Yield the objects whose ids begin with these bytes."""
        position = self._lower_bound(prefix)
        while position < self.count and self.id_at(position).startswith(prefix):
            yield self.id_at(position), self.place_at(position)
            position += 1

    def id_at(self, position: int) -> ObjectId:
        """Return the id at a position in order of ids."""
        at = self._first + position * RECORD
        return ObjectId(self._data[at : at + ID_LENGTH])

    def place_at(self, position: int) -> Place:
        """Return the place at a position in order of ids."""
        return Place._make(_PLACE.unpack_from(self._data, self._first + position * RECORD + ID_LENGTH))

    def maps(self) -> list[int]:
        """Return the positions of the maps of large files."""
        return [position for position in range(self.count) if self.place_at(position).kind == Kind.FILE_MAP]

    def position(self, object_id: bytes) -> int | None:
        """Return the position of an id in order of ids, or None."""
        position = self._lower_bound(object_id)
        return position if position < self.count and self.id_at(position) == object_id else None

    def positions(self, object_ids: Sequence[bytes]) -> list[int | None]:
        """Return what `position` returns for each of several ids."""
        self._asked += len(object_ids)
        words = self._table()
        if words is None:
            return [self.position(object_id) for object_id in object_ids]
        data, first, count, number = self._data, self._first, self.count, int.from_bytes
        found: list[int | None] = []
        for object_id in object_ids:
            position = bisect_left(words, number(object_id[:_WORD], "big"))
            at = first + position * RECORD
            same = position < count and data[at : at + ID_LENGTH] == object_id
            found.append(position if same else self.position(object_id))
        return found

    def objects(self) -> Iterator[tuple[ObjectId, Place]]:
        """Yield all objects in order of ids."""
        return ((self.id_at(i), self.place_at(i)) for i in range(self.count))

    @staticmethod
    def peek(data: bytes, start: int, position: int, object_id: bytes) -> Place | None:
        """Return the place at a position of the index that begins at byte `start` of `data`, if it is of this id."""
        _, _, _, frames, count = _HEADER.unpack_from(data, start)
        at = start + _HEADER.size + frames * _FRAME.size + position * RECORD
        if position >= count or data[at : at + ID_LENGTH] != object_id:
            return None
        return Place._make(_PLACE.unpack_from(data, at + ID_LENGTH))

    @staticmethod
    def words_of(index: bytes) -> array[int]:
        """Return the first eight bytes of each id of an index as numbers, in order of ids."""
        _, _, _, frames, count = _HEADER.unpack_from(index)
        return leading_words(index, _HEADER.size + frames * _FRAME.size, count)

    def _lower_bound(self, key: bytes) -> int:
        """Return the first position whose id is not below `key`."""
        words = self._words
        if words is None:
            self._asked += 1
            words = self._table()
            if words is None:
                return self._search_around_guess(key)
        word = int.from_bytes(key[:_WORD].ljust(_WORD, b"\0"), "big")
        low = bisect_left(words, word)
        if low == self.count or words[low] != word:
            return low
        return self._search(key, low, bisect_right(words, word, low))

    def _table(self) -> array[int] | None:
        """Return the leading words of all ids, None while too few were asked for."""
        if self._words is None and self._asked * _PATIENCE >= self.count:
            self._words = leading_words(self._data, self._first, self.count)
        return self._words

    def _search_around_guess(self, key: bytes) -> int:
        """Search without a table. Ids are uniformly distributed, so it begins around where the key should be."""
        data, first, count = self._data, self._first, self.count
        guess = (int.from_bytes(key[:_WORD].ljust(_WORD, b"\0"), "big") * count) >> 64
        low, high, step = 0, count, 8
        if guess < count:
            at = first + guess * RECORD
            if data[at : at + ID_LENGTH] < key:
                low = guess + 1
                while low + step < count and data[(at := first + (low + step) * RECORD) : at + ID_LENGTH] < key:
                    low, step = low + step + 1, step * 2
                high = min(low + step, count)
            else:
                high = guess
                while high > step and data[(at := first + (high - step) * RECORD) : at + ID_LENGTH] >= key:
                    high, step = high - step, step * 2
                low = max(high - step, 0)
        return self._search(key, low, high)

    def _search(self, key: bytes, low: int, high: int) -> int:
        data, first = self._data, self._first
        while low < high:
            middle = (low + high) // 2
            at = first + middle * RECORD
            if data[at : at + ID_LENGTH] < key:
                low = middle + 1
            else:
                high = middle
        return low


def leading_words(data: bytes, first: int, count: int, *, width: int = RECORD) -> array[int]:
    """Return the first eight bytes of `count` rows of `width` bytes as numbers: cut out by strides, in C."""
    swapped = bytearray(_WORD * count)
    end = first + count * width
    for byte in range(_WORD):
        swapped[_WORD - 1 - byte :: _WORD] = data[first + byte : end : width]
    words = array("Q", bytes(swapped))
    if sys.byteorder == "big":
        words.byteswap()
    return words
