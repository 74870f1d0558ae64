"""How a pack is named: by its id, with what one must know to read it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from dsvc.objects.ids import Kind, PackId


class PackClass(IntEnum):
    """What a pack holds, so that a clone can take history and code without the data."""

    METADATA = 0
    SMALL = 1  # whole files of up to 256 KiB
    BULK = 2  # pieces of larger files, and their maps


_CLASSES = dict.fromkeys(Kind, (PackClass.METADATA,)) | {
    Kind.CHUNK: (PackClass.SMALL, PackClass.BULK),
    Kind.FILE_MAP: (PackClass.BULK,),
    Kind.MAP_PAGE: (PackClass.BULK,),
}


def classes_of(kind: Kind) -> tuple[PackClass, ...]:
    """Return the classes of packs that may hold objects of a kind."""
    return _CLASSES[kind]


class PackRef(NamedTuple):
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
