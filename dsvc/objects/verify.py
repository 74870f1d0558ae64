"""Compare everything in a pack with what it should be: header, footer, index, frames, every object's id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dsvc.errors import DsvcError, IntegrityError
from dsvc.objects.allocation import keep_freed_memory
from dsvc.objects.ids import Kind, ObjectId, PackId, object_id
from dsvc.objects.packindex import PackIndex, Place
from dsvc.objects.packlist import PackRef, classes_of
from dsvc.objects.packs import PackSet
from dsvc.objects.packwriter import FOOTER, HEADER, MAGIC, VERSION
from dsvc.objects.read_ahead import read_ahead
from dsvc.storage.backend import Backend

_BATCH = 2 << 20  # stored bytes between two reports
_KINDS = frozenset(map(int, Kind))


class Fault(NamedTuple):
    """Something wrong with a pack: `what` is "pack" (all of it cannot be used), "frame" or "object".

    `objects` are the (kind, id) that cannot be read because of it, as far as that is known.
    """

    pack: PackId
    what: str
    message: str
    objects: tuple[tuple[Kind, bytes], ...] = ()


def verify_outline(backend: Backend, packs: PackSet, ref: PackRef) -> Fault | None:
    """Check a pack's header, footer and index; return what is wrong, None when it can be used."""
    name = ref.id.hex()
    try:
        magic, version, pack_class = HEADER.unpack(backend.get(ref.key, length=HEADER.size))
        footer = FOOTER.unpack(backend.get(ref.key, offset=ref.size - FOOTER.size, length=FOOTER.size))
        index = packs.index(ref)
        own = backend.get(ref.key, offset=ref.index_offset, length=ref.size - FOOTER.size - ref.index_offset)
    except IntegrityError as error:
        return Fault(ref.id, "pack", error.message)
    if (magic, version, pack_class) != (MAGIC, VERSION, ref.pack_class):
        return Fault(ref.id, "pack", f"pack {name} has a damaged header")
    if footer != (ref.index_offset, ref.size - FOOTER.size - ref.index_offset, MAGIC):
        return Fault(ref.id, "pack", f"pack {name} has a damaged footer")
    if own != index.data:  # which came from a segment
        return Fault(ref.id, "pack", f"the index of pack {name} is damaged")
    if index.count != ref.objects or index.pack_class != ref.pack_class:
        return Fault(ref.id, "pack", f"the index of pack {name} is not what the pack list says")
    return None


def verify_objects(
    packs: PackSet,
    refs: list[PackRef],
    *,
    check: Callable[[Kind, bytes], None],
    advance: Callable[[int, int], None],
    keep: Callable[[PackRef, int], bool] | None = None,
    seen: Callable[[bytes, bytes | memoryview], None] | None = None,
) -> Iterator[Fault]:
    """Decode every frame of these packs, hash every object, and yield what is wrong.

    With `keep(pack, position in its index)` only those objects, and only the frames that hold them.

    `check(kind, payload)` raises IntegrityError for a payload that is not of its kind. `advance(objects, stored bytes)`
    hears of what is done, and `seen(id, content)` of each sound chunk. Packs whose index cannot be used must not be
    among `refs`. Memory is bounded by a frame and the indexes.

    What `seen` hears is valid while it does. Several threads that verify were tried: handing the interpreter to each
    other for each frame of 64 KiB costs more than the second processor brings.
    """
    keep_freed_memory()
    batches = ((ref, batch) for ref in refs for batch in _batches(packs, ref, keep))
    for ref, batch, stretch in read_ahead(packs, ((ref, [n for n, _ in batch], batch) for ref, batch in batches)):
        plains = packs.frames_bytes(ref, [number for number, _ in batch], stretch)
        rows = zip(batch, plains, strict=True)
        objects, size, faults = _verify_batch(ref, packs.index(ref), rows, check, seen)
        advance(objects, size)
        yield from faults


_Members = tuple[int, list[tuple[ObjectId, Place]]]  # frame number, and the objects in it
_Batch = list[_Members]


def _batches(
    packs: PackSet, ref: PackRef, keep: Callable[[PackRef, int], bool] | None
) -> Iterator[_Batch]:
    index = packs.index(ref)
    named = ((index.id_at(at), index.place_at(at)) for at in range(index.count) if keep is None or keep(ref, at))
    places = sorted(named, key=_by_place)
    batch: _Batch = []
    size = at = 0
    for number in range(index.frames):
        first = at
        while at < len(places) and places[at][1].frame == number:
            at += 1
        if at > first or keep is None:
            batch.append((number, places[first:at]))
            size += index.frame(number).stored
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if at < len(places):  # objects that claim frames which are not there
        batch.append((index.frames, places[at:]))
    if batch:
        yield batch


def _by_place(named: tuple[ObjectId, Place]) -> tuple[int, int]:
    return named[1].frame, named[1].offset


def _verify_batch(
    ref: PackRef,
    index: PackIndex,
    rows: Iterable[tuple[_Members, bytes | memoryview | DsvcError]],
    check: Callable[[Kind, bytes], None],
    seen: Callable[[bytes, bytes | memoryview], None] | None,
) -> tuple[int, int, list[Fault]]:
    faults: list[Fault] = []
    count = size = 0
    for (number, members), plain in rows:
        count += len(members)
        if isinstance(plain, DsvcError):
            faults.append(Fault(ref.id, "frame", plain.message, tuple((_kind(p), i) for i, p in members)))
            continue
        size += index.frame(number).stored
        for wanted, place in members:
            problem = _problem(ref, wanted, place, plain, check)
            if problem is not None:
                faults.append(Fault(ref.id, "object", problem, ((_kind(place), wanted),)))
            elif seen is not None and place.kind == Kind.CHUNK:
                seen(wanted, plain if place.length == len(plain) else plain[place.offset : place.offset + place.length])
    return count, size, faults


def _problem(
    ref: PackRef, wanted: bytes, place: Place, plain: bytes | memoryview, check: Callable[[Kind, bytes], None]
) -> str | None:
    kind = _kind(place)
    name = f"{kind.name.lower().replace('_', ' ')} {wanted.hex()} in pack {ref.id.hex()}"
    if place.kind not in _KINDS or ref.pack_class not in classes_of(kind):
        return f"an object {wanted.hex()} in pack {ref.id.hex()} has a kind that does not belong there, {place.kind}"
    if place.offset + place.length > len(plain):
        return f"{name} reaches beyond its frame"
    whole = place.length == len(plain)
    payload = plain if whole else plain[place.offset : place.offset + place.length]
    if kind != Kind.FILE_MAP and object_id(kind, payload) != wanted:
        return f"{name} has another content than its id says"
    if kind != Kind.CHUNK:
        try:
            check(kind, bytes(payload))
        except IntegrityError as error:
            return f"{name} is not of its form: {error.message}"
    return None


def _kind(place: Place) -> Kind:
    return Kind(place.kind) if place.kind in _KINDS else Kind.CHUNK
