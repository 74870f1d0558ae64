"""A version of a model as a value, and its one encoding. See docs/formats/model.md.

It is made once and never changes: which files, made by which run from which commit, with what result. What changes
later, the stages, are refs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from dsvc.objects import codec
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.objects.fields import Fields
from dsvc.objects.ids import CommitId, EnvironmentId, Kind, RunId
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind

WHAT: Final = "model"
_KEY_LENGTH = 16  # of a run's key
_ALWAYS: Final = frozenset({"what", "name", "version", "path", "kind", "id", "size", "user", "time", "zone"})


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Which files a version has, and where they come from.

    `entry` is the file or folder, `path` its place in the project, `time` in microseconds since 1970 UTC, `zone`
    minutes east of it. `run` is the key of the run that wrote it and `run_id` the id of its record; `commit` holds the
    same files at `path`. The environment is kept with the version, run and commit are not.
    """

    name: str
    version: int
    path: bytes
    entry: Entry
    user: str
    time: int
    zone: int
    run: bytes | None = None
    run_id: RunId | None = None
    commit: CommitId | None = None
    environment: EnvironmentId | None = None
    framework: str = ""
    framework_version: str = ""
    description: str = ""
    metrics: Mapping[str, Value] = field(default_factory=dict)
    params: Mapping[str, Value] = field(default_factory=dict)
    metadata: Mapping[str, Value] = field(default_factory=dict)


def encode_version(version: ModelVersion) -> bytes:
    """Return the canonical bytes of a version.

    Raises:
        UnsupportedValueError: when it is too large for one value, or holds what cannot be stored.
    """
    fields: dict[str, object] = {
        "what": WHAT,
        "name": version.name,
        "version": version.version,
        "path": version.path,
        "kind": int(version.entry.kind),
        "id": version.entry.id,
        "size": version.entry.size,
        "user": version.user,
        "time": version.time,
        "zone": version.zone,
        "run": version.run,
        "run_id": version.run_id,
        "commit": version.commit,
        "environment": version.environment,
        "framework": version.framework,
        "framework_version": version.framework_version,
        "description": version.description,
        "metrics": version.metrics,
        "params": version.params,
        "metadata": version.metadata,
        "refs": _refs(version),
    }
    empty: tuple[object, ...] = (None, (), {}, "")
    return codec.encode({name: v for name, v in fields.items() if name in _ALWAYS or v not in empty})


def decode_version(payload: bytes) -> ModelVersion:
    """Return the version that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not one's.
    """
    fields = Fields(payload, "version of a model")
    if fields.values.get("what") != WHAT:
        raise BadEncodingError("an object is not a version of a model")
    kind = fields.integer("kind")
    if kind not in (*FILE_KINDS, EntryKind.TREE):
        raise BadEncodingError(f"a version of a model has files of the unknown kind {kind}")
    path, run = fields.optional_bytes("path"), fields.optional_bytes("run")
    if path is None or (run is not None and len(run) != _KEY_LENGTH):
        raise BadEncodingError("a version of a model has no valid path, or names no run")
    version = ModelVersion(
        name=fields.text("name"),
        version=fields.integer("version"),
        path=path,
        entry=Entry(EntryKind(kind), fields.id("id"), fields.integer("size")),
        user=fields.text("user"),
        time=fields.integer("time"),
        zone=fields.integer("zone"),
        run=run,
        run_id=cast("RunId | None", fields.optional_id("run_id")),
        commit=cast("CommitId | None", fields.optional_id("commit")),
        environment=cast("EnvironmentId | None", fields.optional_id("environment")),
        framework=fields.optional_text("framework"),
        framework_version=fields.optional_text("framework_version"),
        description=fields.optional_text("description"),
        metrics=fields.map("metrics"),
        params=fields.map("params"),
        metadata=fields.map("metadata"),
    )
    fields.check(encode_version(version))
    return version


def _refs(version: ModelVersion) -> tuple[tuple[int, bytes], ...]:
    """Return the objects that are kept with a version: its files, and its environment."""
    entry = version.entry
    if entry.kind == EntryKind.TREE:
        kind = Kind.TREE
    else:
        kind = Kind.CHUNK if entry.size <= SMALL_LIMIT else Kind.FILE_MAP
    kept = {(int(kind), bytes(entry.id))}
    if version.environment is not None:
        kept.add((int(Kind.ENVIRONMENT), bytes(version.environment)))
    return tuple(sorted(kept))
