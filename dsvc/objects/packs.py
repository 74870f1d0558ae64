"""Read objects from packs: open their indexes, find an object, decode its frame."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dsvc.errors import DsvcError, FormatTooNewError, IntegrityError
from dsvc.objects.decoders import Lease
from dsvc.objects.enclosed import open_enclosed
from dsvc.objects.encodings import Decoder
from dsvc.objects.ids import Kind, ObjectId, PackId
from dsvc.objects.packindex import MAX_BASES, NO_BASE, Frame, PackIndex, Place
from dsvc.objects.packlist import PackClass, PackRef, classes_of
from dsvc.objects.packwriter import FOOTER
from dsvc.objects.segment import Segment
from dsvc.storage.backend import Backend

CACHE_BYTES = 32 << 20  # decoded frames that hold more than one object


class DamagedPackError(IntegrityError):
    """A pack holds something else than its index says."""


class Stretch(NamedTuple):
    """Frames that lie behind each other, with their stored bytes and, where they were decoded, the plain ones."""

    frames: list[Frame]
    stored: memoryview
    plain: memoryview | None


class PackSet:
    """The packs that a reader sees. Threads may read at the same time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._refs: dict[PackId, PackRef] = {}
        self._segments: tuple[Segment, ...] = ()
        self._folded: dict[PackId, tuple[Segment, int]] = {}
        self._by_class: dict[PackClass, list[PackRef]] = {c: [] for c in PackClass}
        self._recent: dict[Kind, tuple[PackRef, PackIndex]] = {}  # what is asked for together lies together
        self._indexes: dict[PackId, PackIndex] = {}
        self._held: dict[PackId, list[bytes]] = {}  # frames of packs that came with something else
        self._frames: OrderedDict[tuple[PackId, int], bytes] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()
        self._local = threading.local()
        self.whole = 0
        """Up to so many bytes a pack of metadata is read whole where its index is wanted: the backend keeps it."""

    def show(self, refs: Iterable[PackRef], segments: Iterable[Segment] = ()) -> None:
        """Make exactly these packs visible; `segments` have the indexes of some of them."""
        with self._lock:
            self._refs = {ref.id: ref for ref in refs}
            self._segments = tuple(sorted(segments, key=lambda segment: -segment.ref.objects))
            self._folded = {
                ref.id: (segment, number)
                for segment in self._segments
                for number, ref in enumerate(segment.packs)
                if ref.id in self._refs
            }
            by_class: dict[PackClass, list[PackRef]] = {c: [] for c in PackClass}
            for ref in self._refs.values():
                if ref.id not in self._folded:
                    by_class[ref.pack_class].append(ref)
            for group in by_class.values():
                group.sort(key=lambda ref: -ref.objects)
            self._by_class = by_class
            self._recent = {}
            for gone in self._indexes.keys() - self._refs.keys():
                del self._indexes[gone]
            for gone in self._held.keys() - self._refs.keys():
                del self._held[gone]

    def add(self, ref: PackRef) -> None:
        """Make one more pack visible."""
        self.show([*self._refs.values(), ref], self._segments)

    @property
    def backend(self) -> Backend:
        """Where the packs lie."""
        return self._backend

    def refs(self) -> list[PackRef]:
        """Return the visible packs."""
        return list(self._refs.values())

    def index(self, ref: PackRef) -> PackIndex:
        """Return the verified index of a pack.

        Raises:
            BlobMissingError, BlobDamagedError, DamagedIndexError: when the pack cannot be used.
        """
        found = self._indexes.get(ref.id)
        if found is None and ref.id in self._folded:
            segment, number = self._folded[ref.id]
            found = PackIndex(segment.index(number), ref.id)
            with self._lock:
                self._indexes[ref.id] = found
        if found is None:
            length = ref.size - ref.index_offset - FOOTER.size
            if ref.pack_class == PackClass.METADATA and ref.size <= self.whole:
                data = self._backend.get(ref.key)[ref.index_offset : ref.index_offset + length]
            else:
                data = self._backend.get(ref.key, offset=ref.index_offset, length=length)
            found = PackIndex(data, ref.id)
            with self._lock:
                self._indexes[ref.id] = found
        return found

    def has_index(self, ref: PackRef) -> bool:
        """Say whether the index of a pack is at hand, so that nobody need be asked for it."""
        return ref.id in self._indexes or ref.id in self._folded

    def learn(self, ref: PackRef, other: PackSet) -> None:
        """Take over the index of a pack from another set, which may have it at hand already."""
        index = other.index(ref)
        with self._lock:
            self._indexes[ref.id] = index

    def take(self, body: bytes) -> None:
        """Take the bytes of one of the visible packs that came with something else.

        Other bytes, and damaged ones, are left alone: the pack itself is read then.
        """
        for ref in reversed(self._refs.values()) if body else ():
            if ref.size == len(body) and not self.has_index(ref) and (found := open_enclosed(ref, body)) is not None:
                with self._lock:
                    self._indexes[ref.id], self._held[ref.id] = found
                return

    def find(self, object_id: bytes, kind: Kind) -> tuple[PackRef, Place] | None:
        """Return a pack that holds the object and its place there, or None.

        Raises:
            IntegrityError: when no usable pack holds it and an index could not be used, so that nobody knows.
        """
        recent = self._recent.get(kind)
        if recent is not None and recent[0].id in self._refs:
            place = recent[1].find(object_id)
            if place is not None and place.kind == kind:
                return recent[0], place
        unread: list[PackRef] = []
        for pack_class in classes_of(kind):
            for ref in self._by_class[pack_class]:
                index = self._indexes.get(ref.id)
                if index is None:
                    unread.append(ref)
                    continue
                place = index.find(object_id)
                if place is None:
                    continue
                if place.kind == kind:
                    self._recent[kind] = ref, index
                    return ref, place
                for other in index.find_all(object_id):
                    if other.kind == kind:
                        return ref, other
        for segment in self._segments:
            for ref, place in segment.find(object_id):
                if place.kind == kind and ref.id in self._refs:
                    return ref, place
        return self._find_unread(unread, object_id, kind) if unread else None

    def _find_unread(self, unread: Iterable[PackRef], object_id: bytes, kind: Kind) -> tuple[PackRef, Place] | None:
        """Look into packs whose indexes are not at hand, which may be a request each."""
        failed: list[IntegrityError] = []
        for ref, index, place in self._look_into(unread, object_id, kind, failed):
            self._recent[kind] = ref, index
            return ref, place
        if failed:
            raise failed[-1]
        return None

    def _look_into(
        self, refs: Iterable[PackRef], object_id: bytes, kind: Kind, failed: list[IntegrityError]
    ) -> Iterator[tuple[PackRef, PackIndex, Place]]:
        """Yield every place of an object in these packs; why one cannot be used is put into `failed`."""
        for ref in refs:
            try:
                index = self.index(ref)
            except IntegrityError as error:
                failed.append(error)
                continue
            for place in index.find_all(object_id):
                if place.kind == kind:
                    yield ref, index, place

    def find_every(self, object_id: bytes, kind: Kind) -> Iterator[tuple[PackRef, Place]]:
        """Yield every place of an object: the next is tried when one is damaged. Raises as `find`, at the end."""
        failed: list[IntegrityError] = []
        found = False
        refs = (ref for pack_class in classes_of(kind) for ref in self._by_class[pack_class])
        for ref, _, place in self._look_into(refs, object_id, kind, failed):
            found = True
            yield ref, place
        for segment in self._segments:
            for ref, place in segment.find(object_id):
                if place.kind == kind and ref.id in self._refs:
                    found = True
                    yield ref, place
        if failed and not found:
            raise failed[-1]

    def find_prefix(self, prefix: bytes) -> Iterator[tuple[ObjectId, Kind]]:
        """Yield (id, kind) of the objects whose ids begin with these bytes; one may come more than once."""
        for ref in self._refs.values():
            for object_id, place in self.index(ref).find_prefix(prefix):
                yield object_id, Kind(place.kind)

    def read(self, ref: PackRef, place: Place) -> bytes:
        """Return the bytes at a place; they are not compared with the object's id here.

        Raises:
            IntegrityError: when the frame cannot be read or decoded.
        """
        frame = self.index(ref).frame(place.frame)
        end = place.offset + place.length
        if end > frame.plain:
            raise DamagedPackError(f"pack {ref.id.hex()} has an object beyond the end of its frame", hint="dsvc fsck")
        plain = self._plain(ref, place.frame, frame, shared=place.length < frame.plain, steps=0)
        return plain if place.length == len(plain) else plain[place.offset : end]

    def read_small(self, wanted: Iterable[tuple[PackRef, Place] | None]) -> list[bytes | None]:
        """Return the bytes at each place, not compared with ids; None for None and for what cannot be read.

        What follows each other in one frame is decoded once.
        """
        payloads: list[bytes | None] = []
        held, number, plain = None, -1, None
        for found in wanted:
            if found is None:
                payloads.append(None)
                continue
            ref, (_, frame, start, length) = found
            if ref is not held or frame != number:
                held, number, plain = ref, frame, self._shared_or_none(ref, frame)
            payload = None if plain is None else plain[start : start + length]
            payloads.append(payload if payload is not None and len(payload) == length else None)
        return payloads

    def _shared_or_none(self, ref: PackRef, number: int) -> bytes | None:
        try:
            return self._plain(ref, number, self.index(ref).frame(number), shared=True, steps=0)
        except IntegrityError:
            return None

    def stored_frame(self, ref: PackRef, frame: Frame) -> bytes:
        """Return a frame's bytes as they are stored."""
        if frame.offset + frame.stored > ref.index_offset:
            raise DamagedPackError(f"pack {ref.id.hex()} has a frame that reaches into its index", hint="dsvc fsck")
        return self._backend.get(ref.key, offset=frame.offset, length=frame.stored)

    def frame_bytes(self, ref: PackRef, number: int) -> bytes:
        """Return the plain bytes of a whole frame."""
        return self._plain(ref, number, self.index(ref).frame(number), shared=False, steps=0)

    def decoded(self, ref: PackRef, number: int, stored: bytes) -> bytes:
        """Return the plain bytes of a whole frame of which the stored ones were read."""
        return self._plain(ref, number, self.index(ref).frame(number), shared=False, steps=0, stored=stored)

    def frames_bytes(
        self, ref: PackRef, numbers: Sequence[int], stretch: Stretch | None
    ) -> Iterator[bytes | memoryview | DsvcError]:
        """Yield the plain bytes of several frames, or why one has none; `stretch` is what was read of them."""
        at = start = 0
        for position, number in enumerate(numbers):
            try:
                if stretch is None:
                    yield self.frame_bytes(ref, number)
                    continue
                frame = stretch.frames[position]
                if stretch.plain is not None:
                    plain, start = stretch.plain[start : start + frame.plain], start + frame.plain
                    yield plain
                    continue
                stored, at = stretch.stored[at : at + frame.stored], at + frame.stored
                yield self._decode(ref, number, frame, stored, base=None)
            except (IntegrityError, FormatTooNewError) as error:
                yield error

    def read_stretch(self, ref: PackRef, numbers: Sequence[int], lease: Lease) -> Stretch | None:
        """Read frames without bases that lie behind each other at once; None for others.

        They are decoded, too, if the lease does that; then they are valid until it ends.
        """
        try:
            index = self.index(ref)
            frames = [index.frame(number) for number in numbers]
            start = end = frames[0].offset if frames else 0
            for frame in frames:
                if frame.offset != end or frame.base != NO_BASE:
                    return None
                end += frame.stored
            if not frames or end > ref.index_offset:
                return None
            stored = memoryview(self._backend.get(ref.key, offset=start, length=end - start))
            return Stretch(frames, stored, lease.decode_run(frames, stored))
        except IntegrityError:
            return None

    def _decode(
        self, ref: PackRef, number: int, frame: Frame, stored: bytes | memoryview, *, base: bytes | None
    ) -> bytes:
        try:
            return self.decoder().decode(frame.encoding, stored, plain_length=frame.plain, base=base)
        except IntegrityError as error:
            raise DamagedPackError(f"pack {ref.id.hex()}, frame {number}: {error.message}", hint="dsvc fsck") from error

    def _plain(
        self, ref: PackRef, number: int, frame: Frame, *, shared: bool, steps: int, stored: bytes | None = None
    ) -> bytes:
        key = (ref.id, number)
        held = self._held.get(ref.id) if stored is None else None
        if held is not None:
            return held[number]
        with self._lock:
            cached = self._frames.get(key) if stored is None else None
            if cached is not None:
                self._frames.move_to_end(key)
                return cached
        if frame.offset + frame.stored > ref.index_offset:
            raise DamagedPackError(f"pack {ref.id.hex()} has a frame that reaches into its index", hint="dsvc fsck")
        if steps > MAX_BASES:
            raise DamagedPackError(f"pack {ref.id.hex()} has a chain of more than {MAX_BASES} bases", hint="dsvc fsck")
        base = None
        if frame.base != NO_BASE:
            below = self.index(ref).frame(frame.base)
            base = self._plain(ref, frame.base, below, shared=True, steps=steps + 1)
        if stored is None:
            stored = self._backend.get(ref.key, offset=frame.offset, length=frame.stored)
        plain = self._decode(ref, number, frame, stored, base=base)
        if shared:
            with self._lock:
                if key not in self._frames:
                    self._frames[key] = plain
                    self._cached += len(plain)
                    while self._cached > CACHE_BYTES:
                        self._cached -= len(self._frames.popitem(last=False)[1])
        return plain

    def decoder(self) -> Decoder:
        """Return the decoder of this thread."""
        decoder: Decoder | None = getattr(self._local, "decoder", None)
        if decoder is None:
            decoder = self._local.decoder = Decoder()
        return decoder
