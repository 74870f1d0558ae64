"""Read objects whose frames lie behind each other in a pack, as those of one file do: fetched and decoded together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dsvc.errors import IntegrityError
from dsvc.objects.decoders import Lease
from dsvc.objects.packindex import NO_BASE, Frame, Place
from dsvc.objects.packref import PackRef
from dsvc.objects.packs import PackSet

RUN_BYTES = 1 << 20  # stored bytes that are fetched together

Wanted = Iterable[tuple[PackRef, Place] | None]
_Item = tuple[PackRef, Place, Frame]


def read_each(packs: PackSet, wanted: Wanted) -> list[bytes | None]:
    """Return the bytes at each place, not compared with ids; None for None and for what cannot be read."""
    payloads: list[bytes | None] = []
    for run in _runs(packs, wanted):
        payloads += _payloads(packs, run, _stored(packs, run))
    return payloads


def read_pieces(packs: PackSet, wanted: Wanted, lease: Lease) -> list[bytes | memoryview] | None:
    """Return the bytes at all these places in order, not compared with ids, a piece for one or more of them.

    None where one of them cannot be read. The pieces are valid until the lease ends.
    """
    pieces: list[bytes | memoryview] = []
    for run in _runs(packs, wanted):
        stored = _stored(packs, run)
        plain = lease.decode_run([frame for _, _, frame in run], stored) if stored is not None else None
        if plain is not None:
            pieces.append(plain)
            continue
        for payload in _payloads(packs, run, stored):
            if payload is None:
                return None
            pieces.append(payload)
    return pieces


def _payloads(packs: PackSet, run: list[_Item], stored: memoryview | None) -> list[bytes | None]:
    if stored is not None:
        return _decoded(packs, run, stored)
    return [_read_or_none(packs, ref, place) for ref, place, _ in run] if run else [None]


def _runs(packs: PackSet, wanted: Wanted) -> Iterator[list[_Item]]:
    """Yield what is read at once; an empty list for what is not there."""
    run: list[_Item] = []
    size = 0
    for found in wanted:
        item = None if found is None else _with_frame(packs, *found)
        if run and (item is None or size >= RUN_BYTES or not _follows(item, run[-1])):
            yield run
            run, size = [], 0
        if item is None:
            yield []
        else:
            run.append(item)
            size += item[2].stored
    if run:
        yield run


def _with_frame(packs: PackSet, ref: PackRef, place: Place) -> _Item | None:
    try:
        return ref, place, packs.index(ref).frame(place.frame)
    except IntegrityError:
        return None


def _follows(item: _Item, before: _Item) -> bool:
    """Say whether both places are whole frames without a base and lie behind each other."""
    for _, place, frame in (item, before):
        if frame.base != NO_BASE or place.length != frame.plain:
            return False
    return item[0].id == before[0].id and item[2].offset == before[2].offset + before[2].stored


def _stored(packs: PackSet, run: list[_Item]) -> memoryview | None:
    """Return the stored bytes of whole frames without bases; None for others, and where they cannot be had at once."""
    if not run:
        return None
    ref, place, first = run[0]
    end = run[-1][2].offset + run[-1][2].stored
    if first.base != NO_BASE or place.length != first.plain or end > ref.index_offset:
        return None
    try:
        return memoryview(packs.backend.get(ref.key, offset=first.offset, length=end - first.offset))
    except IntegrityError:
        return None


def _decoded(packs: PackSet, run: list[_Item], stored: memoryview) -> list[bytes | None]:
    decoder = packs.decoder()
    payloads: list[bytes | None] = []
    at = 0
    for _, _, frame in run:
        try:
            payloads.append(decoder.decode(frame.encoding, stored[at : at + frame.stored], plain_length=frame.plain))
        except IntegrityError:
            payloads.append(None)
        at += frame.stored
    return payloads


def _read_or_none(packs: PackSet, ref: PackRef, place: Place) -> bytes | None:
    try:
        return packs.read(ref, place)
    except IntegrityError:
        return None
