"""A small pack that came enclosed in something else, so that its blob need not be asked for."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.errors import FormatTooNewError, IntegrityError
from dsvc.objects.encodings import Decoder
from dsvc.objects.ids import Kind, object_id
from dsvc.objects.packindex import NO_BASE, PackIndex
from dsvc.objects.packref import PackRef
from dsvc.objects.packwriter import FOOTER

_MOST = 1 << 20  # plain bytes in all: a few thousand stored ones may claim to be gigabytes


class Enclosed(NamedTuple):
    """The index (`table`) of a pack, and the plain bytes of each of its frames."""

    table: PackIndex
    frames: list[bytes]


def open_enclosed(ref: PackRef, body: bytes) -> Enclosed | None:
    """Return what is in the bytes of a pack, None where they are not those or anything in them has another id."""
    try:
        index = PackIndex(body[ref.index_offset : len(body) - FOOTER.size], ref.id)
        if sum(index.frame(number).plain for number in range(index.frames)) > _MOST:
            return None
        decoder, plains = Decoder(), []
        for number in range(index.frames):
            offset, stored, plain, base, encoding = index.frame(number)
            if base != NO_BASE:
                return None
            plains.append(decoder.decode(encoding, body[offset : offset + stored], plain_length=plain))
        for found, place in index.objects():
            payload = plains[place.frame][place.offset : place.offset + place.length]
            if object_id(Kind(place.kind), payload) != found:
                return None
        return Enclosed(index, plains)
    except (IntegrityError, FormatTooNewError, ValueError, IndexError):  # ValueError: of a kind that does not exist
        return None
