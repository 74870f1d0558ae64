"""Read a head whose index segments are lost or damaged: the packs still say themselves what they hold.

A pack list names the packs of a segment only by naming the segment. Without it, every pack that lies at the place and
that the list does not name otherwise counts as listed. That may be a few too many, of writers that have not published
or never will: nothing refers to what is in them, and gc removes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.ids import ID_LENGTH, PackId
from dsvc.objects.packindex import PackIndex
from dsvc.objects.packlist import PackClass, PackList, PackRef, pack_list_id, pack_list_key, parse_pack_list
from dsvc.objects.packwriter import FOOTER
from dsvc.objects.segment import Segment, SegmentRef
from dsvc.refs.log import CELL, DamagedHeadError, Head, decode_head, swap_head
from dsvc.storage.backend import Backend

_THREADS = 8


class LostSegment(NamedTuple):
    """A segment that a list names and that cannot be used, and why."""

    ref: SegmentRef
    reason: str


class Salvaged(NamedTuple):
    """A head as far as it can be made out. With `lost` segments its list is only about the one that was published.

    `taken` are the packs that count as listed and that the list does not name.
    """

    head: Head
    lost: tuple[LostSegment, ...]
    taken: frozenset[PackId] = frozenset()


def salvage_head(backend: Backend) -> Salvaged | None:
    """Return the head of a repository, or None where none was ever published. Nothing is changed.

    Raises:
        IntegrityError: when the cell or the list itself cannot be used.
    """
    value = backend.read_cell(CELL)
    if value is None:
        return None
    operation, list_id = decode_head(value)
    payload = backend.get(pack_list_key(list_id))
    if pack_list_id(payload) != list_id:
        raise DamagedHeadError(f"the pack list {list_id.hex()} is damaged", hint="dsvc fsck")
    parts = parse_pack_list(payload)
    segments: list[Segment] = []
    lost: list[LostSegment] = []
    for ref in parts.segments:
        try:
            segments.append(Segment(backend.get(ref.key), ref.id))
        except IntegrityError as error:
            lost.append(LostSegment(ref, error.message))
    held = tuple(ref for segment in segments for ref in segment.packs if ref.id not in parts.gone)
    packs = held + parts.packs
    taken: tuple[PackRef, ...] = ()
    if lost:
        known = {ref.id for ref in packs} | set(parts.condemned) | parts.gone
        taken = _unnamed(backend, known)
    listed = PackList(packs + taken, parts.condemned, parts.replaced, parts.previous, tuple(segments), parts.retired)
    return Salvaged(Head(operation, listed, value), tuple(lost), frozenset(ref.id for ref in taken))


def mend_list(backend: Backend, salvaged: Salvaged) -> Head | None:
    """Publish the list without the lost segments, and remove those; return the head, None when it moved meanwhile.

    Raises:
        SwapUncertainError: when it is not known whether it moved; the same call ends the work.
    """
    moved = swap_head(backend, salvaged.head, salvaged.head.operation, salvaged.head.packs)
    if moved is not None:
        for lost in salvaged.lost:
            backend.delete(lost.ref.key)
    return moved


def _unnamed(backend: Backend, known: set[PackId]) -> tuple[PackRef, ...]:
    found: list[tuple[PackId, int]] = []
    for key, size in backend.list("packs/"):
        with contextlib.suppress(ValueError):
            pack_id = PackId(bytes.fromhex(key.removeprefix("packs/")))
            if len(pack_id) == ID_LENGTH and pack_id not in known:
                found.append((pack_id, size))
    return tuple(_refs(backend, found))


def _refs(backend: Backend, found: list[tuple[PackId, int]]) -> Iterable[PackRef]:
    def look(pack: tuple[PackId, int]) -> PackRef | None:
        try:
            return _outline(backend, *pack)
        except (IntegrityError, ValueError):  # ValueError: of a class that does not exist
            return None

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="dsvc-salvage") as pool:
        return [ref for ref in pool.map(look, found) if ref is not None]


def _outline(backend: Backend, pack_id: PackId, size: int) -> PackRef | None:
    """Read from a pack's end how it is named in a list; its index must match its id."""
    key = f"packs/{pack_id.hex()}"
    if size < FOOTER.size:
        return None
    offset, length, _ = FOOTER.unpack(backend.get(key, offset=size - FOOTER.size, length=FOOTER.size))
    if offset + length + FOOTER.size != size:
        return None
    index = PackIndex(backend.get(key, offset=offset, length=length), pack_id)
    return PackRef(pack_id, PackClass(index.pack_class), size, offset, index.count)
