"""References: content that is kept elsewhere, named by its address and by what tells its versions apart.

A tree's entry holds the whole reference in the place of an id, so ten million of them are ten million names in a tree
and no further objects. docs/formats/reference.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from blake3 import blake3

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ObjectId
from dsvc.objects.tree import Entry, EntryKind

CONTEXT = "dsvc reference v1"
MAX_BYTES = 16_384  # of an encoded reference
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MODIFIED = "modified:"  # in front of a Last-Modified that stands for the ETag which a server does not give


class Reference(NamedTuple):
    """Where content lies (`address`, a URL), its bytes, its ETag and its version id; empty where there is none.

    A server without ETags is known by its Last-Modified, behind `MODIFIED`.
    """

    address: str
    size: int
    etag: str
    version: str = ""


class Elsewhere(Protocol):
    """Knows which references were fetched, and fetches others."""

    def here(self, entry: Entry) -> Entry | None:
        """Return the ordinary entry of a reference's content, None where that was not fetched."""

    def any_here(self) -> bool:
        """Say whether any reference was fetched."""

    def bring(self, entries: Sequence[Entry]) -> None:
        """Fetch the content of references that is not here, or raise."""


def encode_reference(reference: Reference) -> bytes:
    """Return the bytes of a reference.

    Raises:
        BadEncodingError: for one that no tree may hold.
    """
    if not _is_valid(*reference):
        raise BadEncodingError(f"{reference.address!r} makes no valid reference")
    return codec.encode_plain(tuple(reference))


def decode_reference(data: bytes) -> Reference:
    """Return the reference that an entry holds.

    Raises:
        BadEncodingError: for bytes that are none.
    """
    match codec.decode_plain(data) if len(data) <= MAX_BYTES else ():
        case (str(address), int(size), str(etag), str(version)) if _is_valid(address, size, etag, version):
            return Reference(address, size, etag, version)
    raise BadEncodingError("a directory entry holds no valid reference")


def reference_id(data: bytes) -> ObjectId:
    """Return the id of an encoded reference: the hash of address, size, ETag and version id together."""
    return ObjectId(blake3(data, derive_key_context=CONTEXT).digest())


def reference_entry(reference: Reference) -> Entry:
    """Return the entry by which a tree holds a reference."""
    return Entry(EntryKind.REFERENCE, encode_reference(reference), reference.size)


def reference_of(entry: Entry) -> Reference:
    """Return the reference of an entry of that kind."""
    return decode_reference(entry.id)


def shown_id(entry: Entry) -> bytes:
    """Return the 32 (of a gitlink perhaps 20) bytes by which people know an entry: of a reference its id."""
    return reference_id(entry.id) if entry.kind == EntryKind.REFERENCE else entry.id


def _is_valid(address: str, size: int, etag: str, version: str) -> bool:
    return (
        type(size) is int
        and size >= 0
        and ":" in address
        and bool(etag or version)
        and len(address) + len(etag) + len(version) <= MAX_BYTES // 5  # of at most four bytes each
        and _CONTROL.search(address + etag + version) is None
    )
