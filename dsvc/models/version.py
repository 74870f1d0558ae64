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
from dsvc.objects.ids import ID_LENGTH, CommitId, EnvironmentId, Kind, ObjectId, RunId
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind

WHAT: Final = "model"
_KEY_LENGTH = 16  # of a run's key
_ALWAYS: Final = frozenset({"what", "name", "version", "path", "kind", "id", "size", "user", "time", "zone"})
_SOMETIMES: Final = frozenset(
    {
        "commit",
        "description",
        "environment",
        "framework",
        "framework_version",
        "metadata",
        "metrics",
        "params",
        "refs",
        "run",
        "run_id",
    }
)


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
    values = codec.decode(payload)
    if not isinstance(values, dict) or values.get("what") != WHAT:
        raise BadEncodingError("an object is not a version of a model")
    if not values.keys() >= _ALWAYS or values.keys() - _ALWAYS - _SOMETIMES:
        raise BadEncodingError("a version of a model has missing or unknown fields")
    read = _Reader(values)
    kind = read.integer("kind")
    if kind not in (*FILE_KINDS, EntryKind.TREE):
        raise read.bad("kind")
    version = ModelVersion(
        name=read.text("name"),
        version=read.integer("version"),
        path=read.raw("path"),
        entry=Entry(EntryKind(kind), ObjectId(read.raw("id", ID_LENGTH)), read.integer("size")),
        user=read.text("user"),
        time=read.integer("time"),
        zone=read.integer("zone"),
        run=read.raw("run", _KEY_LENGTH) if "run" in values else None,
        run_id=cast("RunId | None", read.id("run_id")),
        commit=cast("CommitId | None", read.id("commit")),
        environment=cast("EnvironmentId | None", read.id("environment")),
        framework=read.text("framework"),
        framework_version=read.text("framework_version"),
        description=read.text("description"),
        metrics=read.map("metrics"),
        params=read.map("params"),
        metadata=read.map("metadata"),
    )
    if encode_version(version) != payload:
        raise BadEncodingError("a version of a model has empty fields, or keeps other objects than it names")
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


class _Reader:
    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def bad(self, name: str) -> BadEncodingError:
        return BadEncodingError(f"a version of a model has no valid field '{name}'")

    def text(self, name: str) -> str:
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise self.bad(name)
        return value

    def integer(self, name: str) -> int:
        value = self._values[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(name)
        return value

    def raw(self, name: str, length: int | None = None) -> bytes:
        value = self._values[name]
        if not isinstance(value, bytes) or (length is not None and len(value) != length):
            raise self.bad(name)
        return value

    def id(self, name: str) -> ObjectId | None:
        return ObjectId(self.raw(name, ID_LENGTH)) if name in self._values else None

    def map(self, name: str) -> dict[str, Value]:
        value = self._values.get(name, {})
        if not isinstance(value, dict):
            raise self.bad(name)
        return value
