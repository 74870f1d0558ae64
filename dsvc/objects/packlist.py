"""The list of live packs: only what it names exists for readers. docs/formats/pack-list.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, ObjectId, PackId
from dsvc.objects.packref import PackClass, PackRef, classes_of
from dsvc.objects.segment import Segment, SegmentRef

__all__ = [
    "PackClass", "PackList", "PackRef", "classes_of", "decode_pack_list", "encode_pack_list", "pack_list_id",
    "pack_list_key", "previous_of",
]  # fmt: skip

CONTEXT = "dsvc pack list v1"
_KEPT_REPLACEMENTS = 256


@dataclass(frozen=True, slots=True)
class PackList:
    """Live packs, those that are being removed, and by which packs removed ones were replaced.

    `previous` is the id of the list before this one: once a later list is in force nobody needs that one. `segments`
    hold the indexes of some of the packs; `retired` are those that this list has no more and the one before it had.
    """

    packs: tuple[PackRef, ...] = ()
    condemned: tuple[PackId, ...] = ()
    replaced: Mapping[PackId, tuple[PackId, ...]] = field(default_factory=dict)
    previous: ObjectId | None = None
    segments: tuple[Segment, ...] = ()
    retired: tuple[SegmentRef, ...] = ()

    def folded(self, old: tuple[Segment, ...], new: tuple[Segment, ...]) -> PackList:
        """Return the list with `new` segments in place of `old` ones."""
        gone = {segment.ref.id for segment in old}
        kept = tuple(segment for segment in self.segments if segment.ref.id not in gone)
        return replace(self, segments=kept + new, retired=tuple(segment.ref for segment in old))

    def loose(self) -> tuple[PackRef, ...]:
        """Return the packs whose indexes are in no segment."""
        held = {ref.id for segment in self.segments for ref in segment.packs}
        return tuple(ref for ref in self.packs if ref.id not in held)

    def adding(self, packs: tuple[PackRef, ...]) -> PackList:
        """Return the list with more packs, each once."""
        have = {p.id for p in self.packs}
        return replace(self, packs=self.packs + tuple(p for p in packs if p.id not in have))

    def replacing(self, old: tuple[PackId, ...], new: tuple[PackRef, ...]) -> PackList:
        """Return the list with `new` in place of `old`, which are condemned."""
        gone = set(old)
        kept = tuple(p for p in self.packs if p.id not in gone)
        have = {p.id for p in kept}
        packs = kept + tuple(p for p in new if p.id not in have)
        steps = dict(self.replaced)
        steps.update({pack_id: tuple(p.id for p in new) for pack_id in old})
        # Every writer reads and writes the list. Whoever asks for an older step is told no, and looks for itself.
        steps = dict(list(steps.items())[-_KEPT_REPLACEMENTS:])
        live = {p.id for p in packs}
        condemned = tuple(dict.fromkeys(p for p in (*self.condemned, *old) if p not in live))
        return replace(self, packs=packs, condemned=condemned, replaced=steps)

    def holds_all_of(self, older: PackList) -> bool:
        """Say whether every object of an older list is in this one, as far as this one records it.

        A pack that was collected is recorded as replaced by nothing, so the answer is no when gc ran in between.
        """
        live = {p.id for p in self.packs}
        open_, seen = [p.id for p in older.packs if p.id not in live], set[PackId]()
        while open_:
            pack_id = open_.pop()
            new = self.replaced.get(pack_id)
            if not new:
                return False
            seen.add(pack_id)
            open_ += [p for p in new if p not in live and p not in seen]
        return True

    def condemning(self, packs: Iterable[PackId]) -> PackList:
        """Return the list with these packs condemned too, but for those that it lists."""
        more = set(packs) - {ref.id for ref in self.packs} - set(self.condemned)
        return replace(self, condemned=self.condemned + tuple(sorted(more))) if more else self

    def without_condemned(self, deleted: tuple[PackId, ...]) -> PackList:
        """Return the list after these condemned packs were deleted."""
        gone = set(deleted)
        return replace(self, condemned=tuple(p for p in self.condemned if p not in gone))


def encode_pack_list(packs: PackList) -> bytes:
    """Return the canonical bytes of a pack list: of version 1 where it has no segments and retired none."""
    fields: dict[str, object] = {
        "packs": [[p.id, int(p.pack_class), p.size, p.index_offset, p.objects] for p in packs.loose()],
        "condemned": packs.condemned,
        "replaced": [[old, new] for old, new in packs.replaced.items()],
        "previous": packs.previous,
    }
    if packs.segments or packs.retired:
        live = {p.id for p in packs.packs}
        fields["segments"] = [_segment_row(segment.ref) for segment in packs.segments]
        fields["retired"] = [_segment_row(ref) for ref in packs.retired]
        # A segment outlives a pack that gc took away: such packs are named, until a fold leaves them out.
        fields["gone"] = [p.id for segment in packs.segments for p in segment.packs if p.id not in live]
    return codec.encode(fields)


def _segment_row(ref: SegmentRef) -> list[object]:
    return [ref.id, ref.size, ref.packs, ref.objects]


def decode_pack_list(payload: bytes, load: Callable[[SegmentRef], Segment]) -> PackList:
    """Return the pack list that `payload` encodes; `load` gives the segments it names.

    Raises:
        BadEncodingError: when it is none, or lists a condemned pack. What `load` raises.
    """
    parts = parse_pack_list(payload)
    segments = tuple(map(load, parts.segments))
    held = tuple(ref for segment in segments for ref in segment.packs if ref.id not in parts.gone)
    result = PackList(held + parts.packs, parts.condemned, parts.replaced, parts.previous, segments, parts.retired)
    live = [p.id for p in result.packs]
    if len(set(live)) != len(live) or set(live) & set(result.condemned) or encode_pack_list(result) != payload:
        raise BadEncodingError("a pack list contradicts itself")
    return result


class PackListParts(NamedTuple):
    """What a pack list says by itself, before its segments are looked at; `packs` are those beside them."""

    packs: tuple[PackRef, ...]
    condemned: tuple[PackId, ...]
    replaced: Mapping[PackId, tuple[PackId, ...]]
    previous: ObjectId | None
    segments: tuple[SegmentRef, ...]
    retired: tuple[SegmentRef, ...]
    gone: frozenset[PackId]


def parse_pack_list(payload: bytes) -> PackListParts:
    """Return the fields of an encoded pack list.

    Raises:
        BadEncodingError: when it is none.
    """
    value = codec.decode(payload)
    try:
        fields = cast("dict[str, tuple[tuple[object, ...], ...]]", value)
        rows, condemned, replaced = fields["packs"], fields["condemned"], fields["replaced"]
        packs = tuple(
            PackRef(_pack_id(i), PackClass(cast("int", c)), _count(s), _count(o), _count(n)) for i, c, s, o, n in rows
        )
        steps = {_pack_id(old): tuple(map(_pack_id, cast("tuple[object, ...]", new))) for old, new in replaced}
        previous = None if fields["previous"] is None else ObjectId(_pack_id(fields["previous"]))
        return PackListParts(
            packs,
            tuple(map(_pack_id, condemned)),
            steps,
            previous,
            tuple(_segment_ref(row) for row in fields.get("segments", ())),
            tuple(_segment_ref(row) for row in fields.get("retired", ())),
            frozenset(map(_pack_id, fields.get("gone", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadEncodingError("a pack list has bad fields") from error


def previous_of(payload: bytes) -> ObjectId | None:
    """Return the id of the list before an encoded one, of which nothing else is looked at.

    Raises:
        BadEncodingError: when it is no pack list.
    """
    value = codec.decode(payload)
    try:
        previous = cast("dict[str, object]", value)["previous"]
        return None if previous is None else ObjectId(_pack_id(previous))
    except (KeyError, TypeError, ValueError) as error:
        raise BadEncodingError("a pack list has bad fields") from error


def _segment_ref(row: tuple[object, ...]) -> SegmentRef:
    segment_id, size, packs, objects = row
    return SegmentRef(ObjectId(_pack_id(segment_id)), _count(size), _count(packs), _count(objects))


def pack_list_id(payload: bytes) -> ObjectId:
    """Return the id of an encoded pack list."""
    from blake3 import blake3

    return ObjectId(blake3(payload, derive_key_context=CONTEXT).digest())


def pack_list_key(list_id: ObjectId) -> str:
    """Return the key under which a pack list lies in a backend."""
    return f"lists/{list_id.hex()}"


def _pack_id(value: object) -> PackId:
    if not isinstance(value, bytes) or len(value) != ID_LENGTH:
        raise ValueError
    return PackId(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value
