"""What objects refer to, and marking everything that roots reach.

Marks are bits by position in the packs' indexes, so that a million objects cost 125 kB beside the indexes.
References out of the store (git links, external references) are not followed; of a snapshot the tree of its files is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from dsvc.errors import IntegrityError
from dsvc.objects import codec
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.filemap import decode_page
from dsvc.objects.ids import ID_LENGTH, Kind, PackId
from dsvc.objects.packindex import PackIndex, Place
from dsvc.objects.packlist import PackRef, classes_of
from dsvc.objects.packs import PackSet
from dsvc.objects.snapshot import decode_snapshot, decode_stream
from dsvc.objects.sortedmap import decode_node
from dsvc.objects.sound import UnsoundError, read_map, read_object
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import EntryKind
from dsvc.objects.trees import TREES
from dsvc.objects.values import decode_commit, decode_operation, decode_tag
from dsvc.refs.view import VIEWS

Target = tuple[Kind, bytes]
_CONTENT = (Kind.CHUNK, Kind.FILE_MAP)
_LEAVES = frozenset({Kind.CHUNK})
_FILES = (EntryKind.FILE, EntryKind.EXECUTABLE, EntryKind.SYMLINK)
_DIRECT = 1  # see dsvc.refs.view


def references(kind: Kind, payload: bytes) -> Iterator[Target]:
    """Yield (kind, id) of what an object refers to; an operation's parents are not among them.

    A file's content is named as a chunk or as a map, whichever its size suggests; the other one is possible.

    Raises:
        IntegrityError: when the payload is not of its kind.
    """
    if kind == Kind.TREE:
        yield from (target for _, target in children(payload))
    elif kind in (Kind.FILE_MAP, Kind.MAP_PAGE):
        page = decode_page(payload)
        below = Kind.MAP_PAGE if page.level else Kind.CHUNK
        yield from ((below, part.id) for part in page.parts)
    elif kind == Kind.COMMIT:
        commit = decode_commit(payload)
        yield Kind.TREE, commit.tree
        yield from ((Kind.COMMIT, parent) for parent in reversed(commit.parents))
        yield from ((Kind.RUN, run) for run in commit.runs)
        if commit.environment is not None:
            yield Kind.ENVIRONMENT, commit.environment
    elif kind == Kind.VIEW:
        node = decode_node(VIEWS, payload)
        if node.level:
            yield from ((Kind.VIEW, child.id) for _, child in node.items)
        else:
            yield from ((Kind(value[1]), value[2]) for _, value in node.items if value[0] == _DIRECT)
    elif kind == Kind.TAG:
        tag = decode_tag(payload)
        yield tag.target_kind, tag.target
    elif kind == Kind.OPERATION:
        yield Kind.VIEW, decode_operation(payload).view
    elif kind == Kind.SNAPSHOT:
        snapshot = decode_snapshot(payload)
        if snapshot.tree is not None:
            yield Kind.TREE, snapshot.tree
    elif kind == Kind.STREAM:
        stream = decode_stream(payload)
        yield (Kind.CHUNK if stream.size <= SMALL_LIMIT else Kind.FILE_MAP), stream.content
    elif kind != Kind.CHUNK:
        yield from _listed(payload)


def decode_whole(kind: Kind, payload: bytes) -> None:
    """Decode an object with all that it refers to.

    Raises:
        IntegrityError: when the payload is not of its kind.
    """
    for _ in references(kind, payload):
        pass


def children(payload: bytes) -> Iterator[tuple[bytes, Target]]:
    """Yield (key, target) of what a node of a tree refers to; see `references`.

    Raises:
        IntegrityError: when the payload is no such node.
    """
    node = decode_node(TREES, payload)
    if node.level:
        yield from ((key, (Kind.TREE, child.id)) for key, child in node.items)
        return
    for key, (entry_kind, target, size) in node.items:
        if entry_kind == EntryKind.TREE:
            yield key, (Kind.TREE, target)
        elif entry_kind in _FILES:
            yield key, (Kind.CHUNK if size <= SMALL_LIMIT else Kind.FILE_MAP, target)
        elif entry_kind == EntryKind.SNAPSHOT:
            yield key, (Kind.SNAPSHOT, target)


def _listed(payload: bytes) -> Iterator[Target]:
    """Yield what a state, a run or an environment lists under its key `refs`, as [kind, id] each."""
    value = codec.decode(payload)
    listed = value.get("refs", ()) if isinstance(value, dict) else None
    if not isinstance(listed, tuple):
        raise BadEncodingError("a state has no valid field 'refs'")
    for item in listed:
        match item:
            case (int(kind), bytes(target)) if len(target) == ID_LENGTH and kind in Kind.__members__.values():
                yield Kind(kind), target
            case _:
                raise BadEncodingError("a state has no valid field 'refs'")


class Marks:
    """Bits for the objects of some packs. A file's maps are marked in every pack, all else where it is found first."""

    def __init__(self, packs: PackSet, refs: Iterable[PackRef]) -> None:
        """Load the indexes of `refs`.

        Raises:
            IntegrityError: when one of them cannot be used.
        """
        self._packs = packs
        self._rows: dict[Kind, list[tuple[PackRef, PackIndex, bytearray]]] = {kind: [] for kind in Kind}
        self._bits: dict[PackId, bytearray] = {}
        self.count = 0
        for ref in refs:
            self.add_pack(ref)

    def add_pack(self, ref: PackRef) -> None:
        """Let a further pack be marked too."""
        index = self._packs.index(ref)
        bits = self._bits[ref.id] = bytearray((index.count + 7) // 8)
        for kind, rows in self._rows.items():
            if ref.pack_class in classes_of(kind):
                rows.append((ref, index, bits))

    def packs(self) -> set[PackId]:
        """Return the packs that are marked."""
        return set(self._bits)

    def mark(self, target: Target) -> bool | None:
        """Mark an object: True where it was not, False where it was, None where no pack has it."""
        kind, wanted = target
        rows = self._rows[kind]
        known: bool | None = None
        for number, (_, index, bits) in enumerate(rows):
            position = index.position(wanted)
            if position is None:
                continue
            if number:  # the next object most likely lies in the same pack
                rows.insert(0, rows.pop(number))
            if kind != Kind.FILE_MAP:
                return self._set(bits, position)
            known = bool(known)
            for other in _positions(index, wanted, position):
                known = self._set(bits, other) or known
            return self._mark_maps_elsewhere(wanted, bits) or known
        return known

    def mark_chunks(self, wanted: Sequence[bytes]) -> Sequence[bytes]:
        """Mark several chunks, as `mark` does each; return those that no pack has."""
        rows = self._rows[Kind.CHUNK]
        for number, (_, index, bits) in enumerate(tuple(rows)):
            if not wanted:
                break
            absent: list[bytes] = []
            for each, position in zip(wanted, index.positions(wanted), strict=True):
                if position is None:
                    absent.append(each)
                else:
                    self._set(bits, position)
            if number and len(absent) < len(wanted):
                rows.insert(0, rows.pop(number))
            wanted = absent
        return wanted

    def _mark_maps_elsewhere(self, wanted: bytes, done: bytearray) -> bool:
        fresh = False
        for _, index, bits in self._rows[Kind.FILE_MAP]:
            position = index.position(wanted) if bits is not done else None
            for other in _positions(index, wanted, position) if position is not None else ():
                fresh = self._set(bits, other) or fresh
        return fresh

    def _set(self, bits: bytearray, position: int) -> bool:
        at, bit = position >> 3, 1 << (position & 7)
        if bits[at] & bit:
            return False
        bits[at] |= bit
        self.count += 1
        return True

    def marked_in(self, pack_id: PackId) -> int:
        """Return how many objects of a pack are marked; none of one that is not covered."""
        return int.from_bytes(self._bits.get(pack_id, b"")).bit_count()

    def mark_all(self, pack_id: PackId, count: int) -> None:
        """Mark all `count` objects of a pack."""
        self.count += count - self.marked_in(pack_id)
        bits = self._bits[pack_id]
        bits[:] = ((1 << count) - 1).to_bytes(len(bits), "little")

    def clear(self) -> None:
        """Take all marks away."""
        for bits in self._bits.values():
            bits[:] = bytes(len(bits))
        self.count = 0

    def is_marked(self, target: Target) -> bool:
        """Say whether an object is marked in some pack."""
        kind, wanted = target
        for _, index, bits in self._rows[kind]:
            position = index.position(wanted)
            if position is not None and bits[position >> 3] & (1 << (position & 7)):
                return True
        return False

    def has(self, pack_id: PackId, position: int) -> bool:
        """Say whether the object at this position of a pack's index is marked."""
        return bool(self._bits[pack_id][position >> 3] & (1 << (position & 7)))

    def bits(self, pack_id: PackId) -> bytes:
        """Return a copy of a pack's bits, eight positions a byte, the lowest one first."""
        return bytes(self._bits[pack_id])


def _positions(index: PackIndex, wanted: bytes, first: int) -> Iterator[int]:
    while first < index.count and index.id_at(first) == wanted:
        yield first
        first += 1


def mark(
    store: ObjectStore,
    marks: Marks,
    roots: Iterable[Target],
    *,
    failed: Callable[[Target, IntegrityError], None],
    visit: Callable[[Kind, bytes, bytes], None] | None = None,
    skip: Callable[[Target], bool] | None = None,
) -> None:
    """Mark everything that `roots` reach, each object visited once.

    `failed` hears of what is missing or damaged; marking goes on behind it. `visit(kind, id, payload)` sees every
    object but chunks. What `skip` says yes to is neither marked nor followed.
    """
    for root in roots:
        stack: list[Target] = [root]
        while stack:
            target = stack.pop()
            if skip is not None and skip(target):
                continue
            kind, fresh = target[0], marks.mark(target)
            if fresh is None and kind in _CONTENT:
                kind = Kind.FILE_MAP if kind == Kind.CHUNK else Kind.CHUNK
                fresh = marks.mark((kind, target[1]))
            if fresh is None:
                failed(target, ObjectMissingError(target[1], target[0]))
            if not fresh or kind in _LEAVES:
                continue
            for payload in _payloads(store, (kind, target[1]), failed):
                try:
                    below = list(references(kind, payload))
                except IntegrityError as error:
                    failed((kind, target[1]), error)
                    continue
                if visit is not None:
                    visit(kind, target[1], payload)
                stack += below


def _payloads(
    store: ObjectStore, target: Target, failed: Callable[[Target, IntegrityError], None]
) -> Iterator[bytes]:
    """Yield the payload of an object, for a file the different maps of it."""
    kind, wanted = target
    try:
        yield from [_read(store, wanted, kind)] if kind != Kind.FILE_MAP else maps_of(store, wanted)
    except IntegrityError as error:
        failed(target, error)


def _read(store: ObjectStore, wanted: bytes, kind: Kind) -> bytes:
    try:
        return store.get(wanted, kind)
    except ObjectMissingError:
        raise
    except IntegrityError:
        for ref, place in store.packs.find_every(wanted, kind):  # what was gathered may have changed on its way
            with contextlib.suppress(IntegrityError):
                return read_object(store.packs, ref, wanted, place)
        raise


def maps_of(store: ObjectStore, wanted: bytes) -> list[bytes]:
    """Return the different maps of a large file; see `dsvc.objects.sound.read_map`.

    Raises:
        IntegrityError: when there is none, or one cannot be read.
    """
    try:
        found = _maps_in_packs(store, wanted)
    except UnsoundError:
        raise
    except IntegrityError:  # the pack may have been replaced meanwhile
        found = []
    if not found:
        first = store.get(wanted, Kind.FILE_MAP)
        found = _maps_in_packs(store, wanted) or [first]
    return list(dict.fromkeys(found))


def _maps_in_packs(store: ObjectStore, wanted: bytes) -> list[bytes]:
    places: list[tuple[PackRef, Place]] = list(store.packs.find_every(wanted, Kind.FILE_MAP))
    return [read_map(store.packs, ref, wanted, place) for ref, place in places]


def check_whole(
    store: ObjectStore,
    roots: Iterable[Target],
    *,
    stop: Callable[[Target], bool],
    seen: set[Target] | None = None,
    met: Callable[[Target], object] | None = None,
) -> None:
    """Make sure that everything which `roots` reach is stored, except behind what `stop` says yes to.

    Only indexes are asked about file content. `seen` is what earlier calls found to be there. `met` hears of all that
    is there, as the kind that it is stored as; of chunks as often as something names them.

    Raises:
        IntegrityError: for the first object that is missing or damaged.
    """
    seen = set() if seen is None else seen
    stack = list(roots)
    while stack:
        target = stack.pop()
        if target in seen or stop(target):
            continue
        kind, wanted = target
        if kind != Kind.CHUNK:
            seen.add(target)
        if kind in _CONTENT and not store.has(wanted, kind):
            kind = Kind.FILE_MAP if kind == Kind.CHUNK else Kind.CHUNK
        if kind not in _LEAVES:
            stack += references(kind, store.get(wanted, kind))
        elif not store.has(wanted, kind):
            raise ObjectMissingError(wanted, target[0])
        if met is not None:
            met((kind, wanted))
