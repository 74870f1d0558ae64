"""An index segment: the indexes of many packs in one blob, and one table to look objects up in.

A place far away that took ten thousand small pushes has as many packs. Whoever opens it would have to ask for each
one's index; instead the indexes are folded into segments that grow geometrically, so that a few dozen requests fetch
all of them. A segment repeats indexes to the byte: each is compared with the id of its pack when it is used. See
docs/formats/segment.md.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.objects.ids import ObjectId, PackId
from dsvc.objects.packindex import PackIndex, Place, leading_words
from dsvc.objects.packref import PackClass, PackRef
from dsvc.objects.packwriter import FOOTER
from dsvc.storage.backend import Backend

MAGIC = b"dsvcseg1"
CONTEXT = "dsvc index segment v1"
_HEADER = struct.Struct(">8sIQ")  # magic, packs, objects
_PACK = struct.Struct(">32sBQQQ")  # id, class, bytes in all, offset of the index, objects
_ENTRY = struct.Struct(">QII")  # first bytes of an id as a number, number of the pack, position in its index
_WORD = 8


class DamagedSegmentError(IntegrityError):
    """An index segment does not match its id or contradicts itself."""


class SegmentRef(NamedTuple):
    """A segment as a pack list names it: id, bytes, number of packs and of objects."""

    id: ObjectId
    size: int
    packs: int
    objects: int

    @property
    def key(self) -> str:
        """The blob's key in a backend."""
        return f"segments/{self.id.hex()}"


class Segment:
    """A segment in memory; immutable, so any number of threads may ask it."""

    __slots__ = ("_data", "_starts", "_table", "_words", "packs", "ref")

    def __init__(self, data: bytes, wanted: ObjectId) -> None:
        """Take a segment's bytes, which must be those that `wanted` names.

        Raises:
            DamagedSegmentError: when they are not.
        """
        if len(data) < _HEADER.size or segment_id(data) != wanted:
            raise _damaged(wanted, "it does not match its id")
        magic, count, objects = _HEADER.unpack_from(data)
        table = len(data) - objects * _ENTRY.size
        at = _HEADER.size + count * _PACK.size
        if magic != MAGIC or at > table:
            raise _damaged(wanted, "it has a wrong length")
        self.packs: tuple[PackRef, ...] = tuple(
            PackRef(PackId(i), PackClass(c), size, offset, n)
            for i, c, size, offset, n in _PACK.iter_unpack(data[_HEADER.size : at])
        )
        self._starts: list[int] = []
        for ref in self.packs:
            self._starts.append(at)
            at += _index_length(ref)
        if at != table or sum(ref.objects for ref in self.packs) != objects:
            raise _damaged(wanted, "its parts do not add up to its length")
        self.ref = SegmentRef(wanted, len(data), count, objects)
        self._data = data
        self._table = table
        self._words: array[int] | None = None

    @property
    def data(self) -> bytes:
        """The segment's bytes."""
        return self._data

    def index(self, number: int) -> bytes:
        """Return the bytes of a pack's index, as they stand behind its frames."""
        start = self._starts[number]
        return self._data[start : start + _index_length(self.packs[number])]

    def find(self, object_id: bytes) -> Iterator[tuple[PackRef, Place]]:
        """Yield every place of an id in the packs of this segment."""
        words = self._words
        if words is None:
            words = self._words = leading_words(self._data, self._table, self.ref.objects, width=_ENTRY.size)
        word = int.from_bytes(object_id[:_WORD].ljust(_WORD, b"\0"), "big")
        at = bisect_left(words, word)
        while at < len(words) and words[at] == word:
            _, number, position = _ENTRY.unpack_from(self._data, self._table + at * _ENTRY.size)
            at += 1
            found = PackIndex.peek(self._data, self._starts[number], position, object_id)
            if found is not None:
                yield self.packs[number], found


class Segments:
    """Segments of one backend, each read once; threads may ask at the same time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loaded: dict[bytes, Segment] = {}

    def get(self, ref: SegmentRef) -> Segment:
        """Return a segment.

        Raises:
            BlobMissingError: when it is not there any more. DamagedSegmentError: when it is another one.
        """
        found = self._loaded.get(ref.id)
        if found is None:
            found = Segment(self._backend.get(ref.key), ref.id)
            if found.ref != ref:
                raise _damaged(ref.id, "it is not what the pack list says")
            self._loaded[ref.id] = found
        return found

    def learn(self, segment: Segment) -> None:
        """Take on a segment that was made here."""
        self._loaded[segment.ref.id] = segment

    def forget_others(self, kept: Iterable[SegmentRef]) -> None:
        """Forget what no list in use names."""
        names = {ref.id for ref in kept}
        self._loaded = {key: value for key, value in self._loaded.items() if key in names}


def encode_segment(packs: Sequence[tuple[PackRef, bytes]]) -> bytes:
    """Return the bytes of a segment of these packs, each with the bytes of its index."""
    entries: list[bytes] = []
    for number, (_, index) in enumerate(packs):
        entries += [
            _ENTRY.pack(word, number, position) for position, word in enumerate(PackIndex.words_of(index))
        ]
    entries.sort()
    head = _HEADER.pack(MAGIC, len(packs), len(entries))
    rows = (_PACK.pack(r.id, r.pack_class, r.size, r.index_offset, r.objects) for r, _ in packs)
    return b"".join([head, *rows, *(index for _, index in packs), *entries])


def segment_id(data: bytes) -> ObjectId:
    """Return the id of a segment: BLAKE3 in derive-key mode."""
    return ObjectId(blake3(data, derive_key_context=CONTEXT).digest())


def _index_length(ref: PackRef) -> int:
    return ref.size - ref.index_offset - FOOTER.size


def _damaged(wanted: ObjectId, reason: str) -> DamagedSegmentError:
    return DamagedSegmentError(f"the index segment {wanted.hex()} is damaged: {reason}", hint="dsvc fsck")
