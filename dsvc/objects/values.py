"""Commits, tags, operations and states as values, and their one encoding.

Optional fields are left out of the encoding when they are empty, so that a value has one form. Unknown fields are
refused: a writer uses new ones only after the repository's format was raised (docs/formats/objects.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.objects.fields import Fields, Person, person_fields, present
from dsvc.objects.ids import (
    CommitId,
    EnvironmentId,
    Kind,
    ObjectId,
    OperationId,
    RunId,
    TreeId,
    ViewId,
)

# The fields that always stand in a value, and those that are left out where they are empty.
_COMMIT = ("tree", "parents", "author", "committer", "message"), ("environment", "runs", "metadata", "signature")
_TAG = ("target", "kind", "name", "message"), ("tagger", "metadata", "signature")
_OPERATION = (
    ("view", "parents", "time", "zone", "user", "host", "worktree", "verb", "description"),
    ("command", "reverts", "metadata"),
)


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of the whole project, the commits it follows, and who made it why."""

    tree: TreeId
    parents: tuple[CommitId, ...]
    author: Person
    committer: Person
    message: str
    environment: EnvironmentId | None = None
    runs: tuple[RunId, ...] = ()
    metadata: Mapping[str, Value] = field(default_factory=dict)
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """A named, dated, possibly signed pointer to an object."""

    target: ObjectId
    target_kind: Kind
    name: str
    tagger: Person | None
    message: str
    metadata: Mapping[str, Value] = field(default_factory=dict)
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of refs: the view it led to, the operations before it, who, when, where, by which command.

    `verb` is the action's name ("commit"), `description` one line for people. `reverts` names the operation that
    an undo took back (or a redo brought back), so that a further undo goes on behind it.
    """

    view: ViewId
    parents: tuple[OperationId, ...]
    time: int
    zone: int
    user: str
    host: str
    worktree: str
    verb: str
    description: str
    command: tuple[str, ...] = ()
    reverts: OperationId | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)


def encode_commit(commit: Commit, *, signed: bool = True) -> bytes:
    """Return the canonical bytes of a commit; without its signature these are the bytes that are signed."""
    fields: dict[str, object] = {
        "tree": commit.tree,
        "parents": commit.parents,
        "author": person_fields(commit.author),
        "committer": person_fields(commit.committer),
        "message": commit.message,
        "environment": commit.environment,
        "runs": commit.runs,
        "metadata": commit.metadata,
        "signature": commit.signature if signed else None,
    }
    return codec.encode(present(fields, _COMMIT[0]))


def decode_commit(payload: bytes) -> Commit:
    """Return the commit that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not a commit's.
    """
    fields = Fields(payload, "commit")
    commit = Commit(
        tree=TreeId(fields.id("tree")),
        parents=tuple(CommitId(p) for p in fields.ids("parents")),
        author=fields.person("author"),
        committer=fields.person("committer"),
        message=fields.text("message"),
        environment=cast("EnvironmentId | None", fields.optional_id("environment")),
        runs=tuple(RunId(r) for r in fields.ids("runs")),
        metadata=fields.map("metadata"),
        signature=fields.optional_bytes("signature"),
    )
    fields.check_names(*_COMMIT)
    return commit


def unsigned(commit: Commit) -> Commit:
    """Return the commit without its signature."""
    return replace(commit, signature=None)


def encode_tag(tag: Tag, *, signed: bool = True) -> bytes:
    """Return the canonical bytes of a tag; without its signature these are the bytes that are signed."""
    fields: dict[str, object] = {
        "target": tag.target,
        "kind": int(tag.target_kind),
        "name": tag.name,
        "tagger": person_fields(tag.tagger) if tag.tagger else None,
        "message": tag.message,
        "metadata": tag.metadata,
        "signature": tag.signature if signed else None,
    }
    return codec.encode(present(fields, _TAG[0]))


def decode_tag(payload: bytes) -> Tag:
    """Return the tag that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not a tag's.
    """
    fields = Fields(payload, "tag")
    number = fields.integer("kind")
    if number not in Kind.__members__.values():
        raise BadEncodingError(f"a tag points to an unknown kind of object, {number}")
    tag = Tag(
        target=fields.id("target"),
        target_kind=Kind(number),
        name=fields.text("name"),
        tagger=fields.person("tagger") if "tagger" in fields.values else None,
        message=fields.text("message"),
        metadata=fields.map("metadata"),
        signature=fields.optional_bytes("signature"),
    )
    fields.check_names(*_TAG)
    return tag


def encode_operation(operation: Operation) -> bytes:
    """Return the canonical bytes of an operation."""
    fields: dict[str, object] = {
        "view": operation.view,
        "parents": operation.parents,
        "time": operation.time,
        "zone": operation.zone,
        "user": operation.user,
        "host": operation.host,
        "worktree": operation.worktree,
        "verb": operation.verb,
        "description": operation.description,
        "command": operation.command,
        "reverts": operation.reverts,
        "metadata": operation.metadata,
    }
    return codec.encode(present(fields, _OPERATION[0]))


def decode_operation(payload: bytes) -> Operation:
    """Return the operation that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not an operation's.
    """
    fields = Fields(payload, "operation")
    operation = Operation(
        view=ViewId(fields.id("view")),
        parents=tuple(OperationId(p) for p in fields.ids("parents")),
        time=fields.integer("time"),
        zone=fields.integer("zone"),
        user=fields.text("user"),
        host=fields.text("host"),
        worktree=fields.text("worktree"),
        verb=fields.text("verb"),
        description=fields.text("description"),
        command=fields.texts("command"),
        reverts=cast("OperationId | None", fields.optional_id("reverts")),
        metadata=fields.map("metadata"),
    )
    fields.check_names(*_OPERATION)
    return operation


__all__ = [
    "Commit",
    "Operation",
    "Person",
    "Tag",
    "decode_commit",
    "decode_operation",
    "decode_tag",
    "encode_commit",
    "encode_operation",
    "encode_tag",
    "unsigned",
]
