"""What stands for a dataset that ZFS or another provider keeps, and a stream from which one can be made again.

docs/formats/snapshot.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from dsvc.objects import codec
from dsvc.objects.fields import Fields, present
from dsvc.objects.ids import FileId, TreeId

_SNAPSHOT = ("provider", "guid", "size"), ("previous", "tree")
_STREAM = ("provider", "guid", "content", "size"), ("base", "flags")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of a dataset: who keeps it, under which guid, and how many bytes its files have.

    `previous` is the guid of the snapshot from which it went on, empty for a first one. `tree` has the files, where
    they were indexed.
    """

    provider: str
    guid: str
    size: int
    previous: str = ""
    tree: TreeId | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """The stored bytes with which a provider makes a snapshot from an earlier one (`base`; empty: from nothing).

    `content` and `size` are those of the bytes as a file; `flags` are the letters of the options they were made with.
    """

    provider: str
    guid: str
    content: FileId
    size: int
    base: str = ""
    flags: str = ""


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the canonical bytes of a snapshot reference."""
    fields: dict[str, object] = {
        "provider": snapshot.provider,
        "guid": snapshot.guid,
        "size": snapshot.size,
        "previous": snapshot.previous or None,
        "tree": snapshot.tree,
    }
    return codec.encode(present(fields, _SNAPSHOT[0]))


def decode_snapshot(payload: bytes) -> Snapshot:
    """Return the snapshot reference that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are none.
    """
    fields = Fields(payload, "snapshot")
    snapshot = Snapshot(
        provider=fields.text("provider"),
        guid=fields.text("guid"),
        size=fields.integer("size"),
        previous=fields.optional_text("previous"),
        tree=cast("TreeId | None", fields.optional_id("tree")),
    )
    fields.check(encode_snapshot(snapshot))
    return snapshot


def encode_stream(stream: Stream) -> bytes:
    """Return the canonical bytes of a stream's record."""
    fields: dict[str, object] = {
        "provider": stream.provider,
        "guid": stream.guid,
        "content": stream.content,
        "size": stream.size,
        "base": stream.base or None,
        "flags": stream.flags or None,
    }
    return codec.encode(present(fields, _STREAM[0]))


def decode_stream(payload: bytes) -> Stream:
    """Return the record of a stream that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are none.
    """
    fields = Fields(payload, "stream")
    stream = Stream(
        provider=fields.text("provider"),
        guid=fields.text("guid"),
        content=cast("FileId", fields.id("content")),
        size=fields.integer("size"),
        base=fields.optional_text("base"),
        flags=fields.optional_text("flags"),
    )
    fields.check(encode_stream(stream))
    return stream
