"""Ids: 32 bytes of BLAKE3 that name an object by its content.

Ids are plain `bytes` behind NewTypes: mypy keeps a commit's id from being used as a tree's, while a million of
them cost no more than the bytes. Only what people read is hexadecimal.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NewType

from blake3 import blake3

from dsvc.errors import UsageError

ID_LENGTH = 32
HEX_LENGTH = 64

ObjectId = NewType("ObjectId", bytes)
FileId = NewType("FileId", ObjectId)
ChunkId = NewType("ChunkId", ObjectId)
TreeId = NewType("TreeId", ObjectId)
CommitId = NewType("CommitId", ObjectId)
TagId = NewType("TagId", ObjectId)
ViewId = NewType("ViewId", ObjectId)
OperationId = NewType("OperationId", ObjectId)
RunId = NewType("RunId", ObjectId)
EnvironmentId = NewType("EnvironmentId", ObjectId)
SnapshotId = NewType("SnapshotId", ObjectId)
PackId = NewType("PackId", bytes)


class Kind(IntEnum):
    """What an object is. The numbers are part of the pack index's format."""

    CHUNK = 1  # a whole small file, or a piece of a larger one
    FILE_MAP = 2  # id: the file's; payload: which chunks it is cut into
    MAP_PAGE = 3  # a page of a file map
    TREE = 4  # a node of a directory's sorted map
    COMMIT = 5
    TAG = 6
    VIEW = 7  # a node of a view's sorted map
    OPERATION = 8
    STATE = 9  # what a worktree is in the middle of: a merge, a rebase, a bisection
    RUN = 10
    ENVIRONMENT = 11
    SNAPSHOT = 13  # a dataset's state that ZFS or another provider keeps
    STREAM = 14  # the bytes from which a provider makes a snapshot again


CONTEXTS = {kind: f"dsvc {kind.name.lower().replace('_', ' ')} v1" for kind in Kind if kind > Kind.FILE_MAP}


class BadIdError(UsageError):
    """A text that should be an id is not 64 hexadecimal digits."""


def content_id(data: bytes | memoryview | bytearray) -> ObjectId:
    """Return the id of a chunk or file with this content: plain BLAKE3, what `b3sum` prints."""
    return ObjectId(blake3(data).digest())


def object_id(kind: Kind, payload: bytes | memoryview) -> ObjectId:
    """Return the id of an object of `kind` with this canonical encoding.

    Every kind but chunks hashes in BLAKE3's derive-key mode with a context of its own, so that no file can be
    taken for a commit. A file map has no id of its own (it is stored under the file's): asking is a bug.
    """
    if kind == Kind.CHUNK:
        return ObjectId(blake3(payload).digest())
    return ObjectId(blake3(payload, derive_key_context=CONTEXTS[kind]).digest())


def parse_id(text: str) -> ObjectId:
    """Return the id written as 64 hexadecimal digits.

    Raises:
        BadIdError: for any other text.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != ID_LENGTH or len(text) != HEX_LENGTH:
        raise BadIdError(f"{text!r} is not an id (64 hexadecimal digits)")
    return ObjectId(raw)
