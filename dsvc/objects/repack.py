"""Write packs anew: several as one, or without the objects that nobody needs.

Frames are copied as they are when all of them stays and they are well filled; else what stays is gathered into full
groups, one kind beside another. An object that several packs hold is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dsvc.objects.ahead import Keep, in_groups
from dsvc.objects.encodings import Encoder
from dsvc.objects.ids import Kind, ObjectId, PackId, content_id
from dsvc.objects.ingest import GROUP_BYTES
from dsvc.objects.packindex import NO_BASE, Frame, PackIndex, Place
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.packwriter import MAX_OBJECTS, Member, PackWriter
from dsvc.objects.sound import read_sound
from dsvc.storage.parts import NAMELESS, PartedBlob, parted

LEVEL = 3  # zstd level of regrouped frames: they are small, and written in the time after a command's work
FACTOR = 2  # a pack that stays is at least so many times as large as all smaller ones together
SLACK = 8  # so many packs of a class may break the rule before it pays to merge
MERGED_BYTES = 64 << 20  # of one automatic run
LARGE_BYTES = 256 << 20  # a pack of this size is never rewritten automatically
LARGE_OBJECTS = MAX_OBJECTS // 2  # nor one with so many objects: merged, such packs would be split again


def choose_packs(
    packs: Iterable[PackRef], *, slack: int = SLACK, most: int = MERGED_BYTES, large: int = LARGE_BYTES
) -> list[list[PackRef]]:
    """Return groups of packs that should become one each; usually none, which takes some microseconds.

    Of each class the smallest packs are merged until every other one is at least `FACTOR` times as large as the sum
    of those smaller than it. So n packs of equal size become about log2(n), and each byte is rewritten as often.
    Packs of `large` bytes stay.
    """
    groups = []
    by_class: dict[PackClass, list[PackRef]] = {}
    for ref in packs:
        by_class.setdefault(ref.pack_class, []).append(ref)
    for members in by_class.values():
        if len(members) < max(slack, 2):
            continue
        small = (ref for ref in members if ref.size < large and ref.objects < LARGE_OBJECTS)
        ordered = sorted(small, key=lambda ref: ref.size)
        total = count = 0
        for number, ref in enumerate(ordered):
            if total + ref.size > most:
                break
            if ref.size < FACTOR * total:
                count = number + 1
            total += ref.size
        if count >= max(slack, 2):
            chosen = {ref.id for ref in ordered[:count]}
            groups.append([ref for ref in members if ref.id in chosen])  # oldest first, as the list has them
    return groups


def rewrite_packs(
    packs: PackSet,
    sources: Iterable[PackRef],
    staging: Callable[[], Path],
    *,
    deliver: Callable[[PackRef, Path], None],
    keep: Keep | None = None,
    only: Mapping[PackId, Sequence[int]] | None = None,
    advance: Callable[[int], None] | None = None,
    parts: bool = False,
) -> list[PackRef]:
    """Write what stays of `sources`, packs of one class, into new packs and `deliver` each; return them.

    The order of objects is that of the sources. Memory is bounded by the index of the new pack and a group a kind.
    With `only` the positions of what stays are given, where that is little: the rest of an index is not looked at.
    `advance` hears of the bytes of each source that is done. With `parts`, for new packs on the same disk, whole files
    that lie in the sources and stay are not copied: the new packs get links to them.

    Raises:
        IntegrityError: when something that stays cannot be read or is not what its id says; nothing that was delivered
            is listed anywhere then.
    """
    run: _Rewrite | None = None
    try:
        for group in in_groups(packs.backend, packs, sources, keep):
            for ref in group:
                if run is None:
                    run = _Rewrite(packs, ref.pack_class, staging, deliver, parts=parts)
                run.take(ref, keep, None if only is None else only[ref.id])
                if advance is not None:
                    advance(ref.size)
        return run.finish() if run is not None else []
    except BaseException:
        if run is not None:
            run.abandon()
        raise


class _Rewrite:
    """New packs of one class under construction."""

    def __init__(
        self,
        packs: PackSet,
        pack_class: PackClass,
        staging: Callable[[], Path],
        deliver: Callable[[PackRef, Path], None],
        *,
        parts: bool,
    ) -> None:
        self._parts = parts
        self._packs, self._class = packs, pack_class
        self._staging, self._deliver = staging, deliver
        self._encoder = Encoder(level=LEVEL)
        self._writer: PackWriter | None = None
        self._groups: dict[int, dict[bytes, bytes]] = {}
        self._sizes: dict[int, int] = {}
        self._maps: dict[bytes, set[bytes]] = {}  # file id -> digests of its maps that were taken
        self._hold = False  # a pack does not end between a base and what is stored against it
        self._done: set[bytes] = set()  # ids in packs that were ended already
        self._finished: list[PackRef] = []

    def take(self, ref: PackRef, keep: Keep | None, only: Sequence[int] | None = None) -> None:
        """Take over what stays of a pack."""
        index = self._packs.index(ref)
        moved: dict[int, int] = {}
        self._end_if_full()
        bases = {index.frame(number).base for number in range(index.frames)} - {NO_BASE}
        self._hold = bool(bases)
        blob = parted(self._packs.backend, ref.key) if self._class == PackClass.BULK else None
        taken = self._take_parts(ref, index, blob, keep) if blob is not None and self._parts else set[int]()
        for number, everything, members in _frames(ref, index, keep) if only is None else _some_frames(index, only):
            frame = index.frame(number)
            part = blob.part_at(frame.offset) if blob is not None else None
            if part is not None:
                if part not in taken and members:
                    self._gather(ref, number, members)  # raw there because it is a file: here it is compressed
                continue
            if number in bases or frame.base != NO_BASE:
                # A base and what is stored against it stay together only as long as both stay whole.
                if keep is None and only is None and not any(self._has(i) for i, _ in members):
                    moved[number] = self._copy(ref, number, members, moved)
                    continue
            elif everything and self._is_full(frame, members) and not any(self._has(i) for i, _ in members):
                self._copy(ref, number, members, moved)
                self._end_if_full()
                continue
            if members:
                self._gather(ref, number, members)
        self._hold = False
        if blob is not None:
            blob.close()

    def _take_parts(self, ref: PackRef, index: PackIndex, blob: PartedBlob, keep: Keep | None) -> set[int]:
        """Take over the whole files of which everything stays; return their numbers."""
        members: dict[int, list[tuple[ObjectId, int, int]]] = {number: [] for number in range(len(blob.parts))}
        maps: dict[bytes, Place] = {}
        broken = {number for number in members if not blob.untouched(number)}
        for position, (object_id, place) in enumerate(index.objects()):
            if place.kind == Kind.FILE_MAP and (keep is None or keep(ref, position)):
                maps[object_id] = place
            offset = index.frame(place.frame).offset
            number = blob.part_at(offset)
            if number is None:
                continue
            if keep is not None and not keep(ref, position):
                broken.add(number)
            part = blob.parts[number]
            members[number].append((object_id, part.start + offset - part.offset, place.length))
        taken = set[int]()
        for number, part in enumerate(blob.parts):
            if number in broken or (part.id != NAMELESS and part.id not in maps):
                continue
            self._end_if_full()
            writer = self._open()
            fresh = [row for row in sorted(members[number], key=lambda row: row[1]) if not self._has(row[0])]
            writer.append_part(blob.path(number), start=part.start, length=part.length, members=fresh)
            taken.add(number)
            if part.id != NAMELESS:
                payload = self._packs.read(ref, maps[part.id])
                writer.name_part(part.id)
                self._maps.setdefault(part.id, set()).add(content_id(payload))
                row: Member = (part.id, Kind.FILE_MAP, 0, len(payload))
                writer.append(*self._encoder.encode(payload, allow_planes=False), len(payload), [row])
        return taken

    def finish(self) -> list[PackRef]:
        """End and deliver the last pack."""
        for kind in sorted(self._groups):
            self._send(kind)
        self._end()
        return self._finished

    def abandon(self) -> None:
        """Remove what is unfinished."""
        if self._writer is not None:
            self._writer.abandon()

    def _is_full(self, frame: Frame, members: list[tuple[ObjectId, Place]]) -> bool:
        kinds = {place.kind for _, place in members}
        if Kind.FILE_MAP in kinds:
            return False  # several maps of one file are compared as they are gathered
        if self._class == PackClass.BULK and kinds <= {Kind.CHUNK}:
            return True
        return 2 * frame.plain >= GROUP_BYTES[self._class]

    def _has(self, wanted: bytes) -> bool:
        if wanted in self._done or (self._writer is not None and wanted in self._writer.places):
            return True
        return any(wanted in group for group in self._groups.values())

    def _open(self) -> PackWriter:
        if self._writer is None:
            self._writer = PackWriter(self._staging(), self._class)
        return self._writer

    def _copy(
        self, ref: PackRef, number: int, members: list[tuple[ObjectId, Place]], moved: dict[int, int]
    ) -> int:
        """Copy a frame as it is stored; return its new number."""
        writer, frame = self._open(), self._packs.index(ref).frame(number)
        stored, plain = read_sound(self._packs, ref, number, members)
        rows: list[Member] = [(i, place.kind, place.offset, place.length) for i, place in members]
        if frame.base == NO_BASE:
            writer.append(frame.encoding, stored, frame.plain, rows)
        elif frame.base in moved:
            writer.append_delta(frame._replace(base=moved[frame.base]), stored, rows)
        else:
            writer.append(*self._encoder.encode(plain), len(plain), rows)
        return len(writer.frames) - 1

    def _gather(self, ref: PackRef, number: int, members: list[tuple[ObjectId, Place]]) -> None:
        """Put what stays of a frame into the groups of its kinds."""
        _, plain = read_sound(self._packs, ref, number, members)
        for object_id, place in members:
            payload = plain[place.offset : place.offset + place.length]
            if self._is_repeated(object_id, place.kind, payload):
                continue
            if self._class == PackClass.BULK and place.kind == Kind.CHUNK:
                encoding, stored = self._encoder.encode(payload)
                self._open().append(encoding, stored, len(payload), [(object_id, place.kind, 0, len(payload))])
                self._end_if_full()
                continue
            group = self._groups.setdefault(place.kind, {})
            if object_id in group:  # another map of the same file
                self._send(place.kind)
                group = self._groups[place.kind]
            group[object_id] = payload
            self._sizes[place.kind] = self._sizes.get(place.kind, 0) + len(payload)
            if self._sizes[place.kind] >= GROUP_BYTES[self._class]:
                self._send(place.kind)
                self._end_if_full()

    def _is_repeated(self, object_id: bytes, kind: int, payload: bytes) -> bool:
        """Say whether an object is written already; of a file's maps each different one stays."""
        if kind != Kind.FILE_MAP:
            return self._has(object_id)
        maps = self._maps.setdefault(object_id, set())
        digest = content_id(payload)
        if digest in maps:
            return True
        maps.add(digest)
        return False

    def _send(self, kind: int) -> None:
        group = self._groups.pop(kind, {})
        self._groups[kind], self._sizes[kind] = {}, 0
        if not group:
            return
        members: list[Member] = []
        at = 0
        for object_id, payload in group.items():
            members.append((object_id, kind, at, len(payload)))
            at += len(payload)
        plain = b"".join(group.values())
        encoding, stored = self._encoder.encode(plain, allow_planes=len(group) == 1)
        self._open().append(encoding, stored, len(plain), members)

    def _end_if_full(self) -> None:
        if not self._hold and self._writer is not None and self._writer.is_full():
            self._end()

    def _end(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            ref = writer.finish()
            self._deliver(ref, writer.path)
        except BaseException:
            writer.abandon()
            raise
        self._done.update(writer.places)
        self._finished.append(ref)


def _frames(
    ref: PackRef, index: PackIndex, keep: Keep | None
) -> Iterator[tuple[int, bool, list[tuple[ObjectId, Place]]]]:
    """Yield (frame number, whether all of it stays, what stays) in the order of the pack."""
    places = [(place.frame, place.offset, position) for position, (_, place) in enumerate(index.objects())]
    places.sort()
    at = 0
    for number in range(index.frames):
        members = []
        first = at
        while at < len(places) and places[at][0] == number:
            position = places[at][2]
            if keep is None or keep(ref, position):
                members.append((index.id_at(position), index.place_at(position)))
            at += 1
        yield number, len(members) == at - first, members


def _some_frames(
    index: PackIndex, positions: Sequence[int]
) -> Iterator[tuple[int, bool, list[tuple[ObjectId, Place]]]]:
    """Yield the same of the frames that hold these objects; whether that is all of one is not asked."""
    found: dict[int, list[tuple[ObjectId, Place]]] = {}
    for position in positions:
        place = index.place_at(position)
        found.setdefault(place.frame, []).append((index.id_at(position), place))
    for number in sorted(found):
        yield number, False, sorted(found[number], key=lambda member: member[1].offset)
