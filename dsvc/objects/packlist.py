"""The list of live packs: only what it names exists for readers. docs/formats/pack-list.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import cast

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId, PackId

CONTEXT = "dsvc pack list v1"
_KEPT_REPLACEMENTS = 256


class PackClass(IntEnum):
    """What a pack holds, so that a clone can take history and code without the data."""

    METADATA = 0
    SMALL = 1  # whole files of up to 256 KiB
    BULK = 2  # pieces of larger files, and their maps


def classes_of(kind: Kind) -> tuple[PackClass, ...]:
    """Return the classes of packs that may hold objects of a kind."""
    if kind == Kind.CHUNK:
        return (PackClass.SMALL, PackClass.BULK)
    if kind in (Kind.FILE_MAP, Kind.MAP_PAGE):
        return (PackClass.BULK,)
    return (PackClass.METADATA,)


@dataclass(frozen=True, slots=True)
class PackRef:
    """A pack as the list names it: id, class, bytes in all, where its index begins, number of objects."""

    id: PackId
    pack_class: PackClass
    size: int
    index_offset: int
    objects: int

    @property
    def key(self) -> str:
        """The blob's key in a backend."""
        return f"packs/{self.id.hex()}"


@dataclass(frozen=True, slots=True)
class PackList:
    """Live packs, those that are being removed, and by which packs removed ones were replaced.

    `previous` is the id of the list before this one: once a later list is in force nobody needs that one.
    """

    packs: tuple[PackRef, ...] = ()
    condemned: tuple[PackId, ...] = ()
    replaced: Mapping[PackId, tuple[PackId, ...]] = field(default_factory=dict)
    previous: ObjectId | None = None

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
        steps = dict(list(self.replaced.items())[-_KEPT_REPLACEMENTS:])
        steps.update({pack_id: tuple(p.id for p in new) for pack_id in old})
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

    def without_condemned(self, deleted: tuple[PackId, ...]) -> PackList:
        """Return the list after these condemned packs were deleted."""
        gone = set(deleted)
        return replace(self, condemned=tuple(p for p in self.condemned if p not in gone))


def encode_pack_list(packs: PackList) -> bytes:
    """Return the canonical bytes of a pack list."""
    return codec.encode(
        {
            "packs": [[p.id, int(p.pack_class), p.size, p.index_offset, p.objects] for p in packs.packs],
            "condemned": packs.condemned,
            "replaced": [[old, new] for old, new in packs.replaced.items()],
            "previous": packs.previous,
        }
    )


def decode_pack_list(payload: bytes) -> PackList:
    """Return the pack list that `payload` encodes.

    Raises:
        BadEncodingError: when it is none, or lists a condemned pack.
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
        result = PackList(packs, tuple(map(_pack_id, condemned)), steps, previous)
    except (KeyError, TypeError, ValueError) as error:
        raise BadEncodingError("a pack list has bad fields") from error
    if {p.id for p in packs} & set(result.condemned) or encode_pack_list(result) != payload:
        raise BadEncodingError("a pack list contradicts itself")
    return result


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
