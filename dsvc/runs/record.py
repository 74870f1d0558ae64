"""The record of a run as a value, and its one encoding. See docs/formats/run.md.

A record is made when the run has ended, and never changes. Empty fields are left out, unknown ones are refused; what
later versions want to say goes into `metadata`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast, get_args

from dsvc.objects import codec
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.codec import BadEncodingError, Value
from dsvc.objects.fields import Fields
from dsvc.objects.ids import ID_LENGTH, CommitId, EnvironmentId, Kind, TreeId
from dsvc.runs.names import KEY_LENGTH, RunKey
from dsvc.runs.pins import NONE, Pins, StoredFile, decode_pins, decode_stored, encode_pins
from dsvc.runs.series import Series, decode_series, encode_series

Authority = Literal["workload", "derived", "correction"]
State = Literal["done", "failed", "killed", "lost"]
Word: TypeAlias = "str | bytes"  # of a command line: bytes where it is no UTF-8
Target: TypeAlias = tuple[Kind, bytes]

RECORD: Final = "run"


@dataclass(frozen=True, slots=True)
class Run:
    """What was executed, on what, with what result.

    Times are microseconds since 1970 UTC, `zone` minutes east of it; `end` is `start` and what a clock that nobody sets
    has measured since.
    `source` is the state of the working copy when it began, `base` the commit that was checked out. One of `exit_code`,
    `signal` and `lost` says how a command ended; none of them where Python code recorded itself and came to its end.
    `resources` and `machine` map names to facts: `cpu_user` and `cpu_system` in microseconds, `peak_memory` in bytes,
    `host`, `platform`, `cpu` and so on. `observation` says how complete the inputs and outputs are. `also` are objects
    that must be kept with the record, beside those that its fields name.
    """

    key: RunKey
    authority: Authority
    start: int
    zone: int
    user: str
    name: str = ""
    description: str = ""
    command: tuple[Word, ...] = ()
    directory: bytes = b""
    source: TreeId | None = None
    base: CommitId | None = None
    environment: EnvironmentId | None = None
    parent: RunKey | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    metrics: Mapping[str, Value] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    series: tuple[Series, ...] = ()
    series_file: StoredFile | None = None
    inputs: Pins = NONE
    outputs: Pins = NONE
    logs: Mapping[str, StoredFile] = field(default_factory=dict)
    end: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    lost: bool = False
    error: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Value] = field(default_factory=dict)
    machine: Mapping[str, Value] = field(default_factory=dict)
    observation: Mapping[str, Value] = field(default_factory=dict)
    metadata: Mapping[str, Value] = field(default_factory=dict)
    also: tuple[Target, ...] = ()

    @property
    def elapsed(self) -> int:
        """How long it took, in microseconds."""
        return 0 if self.end is None else self.end - self.start

    @property
    def state(self) -> State:
        """How it ended, in a word."""
        if self.lost:
            return "lost"
        if self.signal is not None:
            return "killed"
        return "failed" if self.exit_code or self.error else "done"


def encode_run(run: Run) -> bytes:
    """Return the canonical bytes of a record.

    Raises:
        UnsupportedValueError: when it is too large for one value, or holds what cannot be stored.
    """
    fields: dict[str, object] = {
        "what": RECORD,
        "key": run.key,
        "authority": run.authority,
        "start": run.start,
        "zone": run.zone,
        "user": run.user,
        "name": run.name,
        "description": run.description,
        "command": run.command,
        "directory": run.directory,
        "source": run.source,
        "base": run.base,
        "environment": run.environment,
        "parent": run.parent,
        "params": run.params,
        "metrics": run.metrics,
        "labels": run.labels,
        "series": tuple(map(encode_series, run.series)),
        "series_file": _stored(run.series_file),
        "inputs": encode_pins(run.inputs),
        "outputs": encode_pins(run.outputs),
        "logs": {name: _stored(log) for name, log in run.logs.items()},
        "end": run.end,
        "exit_code": run.exit_code,
        "signal": run.signal,
        "lost": run.lost or None,
        "error": run.error,
        "variables": run.variables,
        "resources": run.resources,
        "machine": run.machine,
        "observation": run.observation,
        "metadata": run.metadata,
        "refs": _refs(run),
    }
    empty: tuple[object, ...] = (None, (), {}, "", b"")
    return codec.encode({name: v for name, v in fields.items() if name in _ALWAYS or v not in empty})


_ALWAYS = frozenset({"what", "key", "authority", "start", "zone", "user"})


def decode_run(payload: bytes) -> Run:
    """Return the record that `payload` encodes.

    Raises:
        BadEncodingError: when the bytes are not a record's.
    """
    read = Fields(payload, "record of a run")
    values = read.values
    if values.get("what") != RECORD:
        raise BadEncodingError("an object is not the record of a run")
    authority = read.text("authority")
    if authority not in get_args(Authority):
        raise read.bad("authority")
    run = Run(
        key=_key(read, "key"),
        authority=cast("Authority", authority),
        start=read.integer("start"),
        zone=read.integer("zone"),
        user=read.text("user"),
        name=read.optional_text("name"),
        description=read.optional_text("description"),
        command=_words(read, "command"),
        directory=read.optional_bytes("directory") or b"",
        source=cast("TreeId | None", read.optional_id("source")),
        base=cast("CommitId | None", read.optional_id("base")),
        environment=cast("EnvironmentId | None", read.optional_id("environment")),
        parent=_key(read, "parent") if "parent" in values else None,
        params=read.map("params"),
        metrics=read.map("metrics"),
        labels=read.map_of_texts("labels"),
        series=tuple(map(decode_series, read.array("series"))),
        series_file=decode_stored(values["series_file"]) if "series_file" in values else None,
        inputs=decode_pins(values.get("inputs", {})),
        outputs=decode_pins(values.get("outputs", {})),
        logs={name: decode_stored(log) for name, log in read.map("logs").items()},
        end=read.optional_integer("end"),
        exit_code=read.optional_integer("exit_code"),
        signal=read.optional_integer("signal"),
        lost=values.get("lost") is True,
        error=read.optional_text("error"),
        variables=read.map_of_texts("variables"),
        resources=read.map("resources"),
        machine=read.map("machine"),
        observation=read.map("observation"),
        metadata=read.map("metadata"),
    )
    named = set(targets(run))
    also = tuple(target for target in _listed(read.array("refs")) if target not in named)
    if also:
        from dataclasses import replace

        run = replace(run, also=also)
    read.check(encode_run(run))
    return run


def targets(run: Run) -> Iterator[Target]:
    """Yield the objects that a record's fields name and that are kept with it.

    The commit that was checked out is not among them: a run shall not drag a history along.
    """
    for tree in (run.source, run.inputs.tree, run.outputs.tree):
        if tree is not None:
            yield Kind.TREE, tree
    if run.environment is not None:
        yield Kind.ENVIRONMENT, run.environment
    for file in (run.series_file, run.inputs.table, run.outputs.table, *run.logs.values()):
        if file is not None:
            yield content_target(file)


def content_target(file: StoredFile) -> Target:
    """Return how a stored file is named in the field `refs`."""
    return (Kind.CHUNK if file.size <= SMALL_LIMIT else Kind.FILE_MAP), file.id


def _refs(run: Run) -> tuple[tuple[int, bytes], ...]:
    return tuple(sorted({(int(kind), bytes(target)) for kind, target in (*targets(run), *run.also)}))


def _listed(rows: tuple[Value, ...]) -> Iterator[Target]:
    for row in rows:
        match row:
            case (int(kind), bytes(target)) if len(target) == ID_LENGTH and kind in Kind.__members__.values():
                yield Kind(kind), target
            case _:
                raise BadEncodingError("the record of a run has no valid field 'refs'")


def _stored(file: StoredFile | None) -> tuple[object, ...] | None:
    return None if file is None else (file.id, file.size)


def _key(read: Fields, name: str) -> RunKey:
    value = read.optional_bytes(name)
    if value is None or len(value) != KEY_LENGTH:
        raise read.bad(name)
    return RunKey(value)


def _words(read: Fields, name: str) -> tuple[Word, ...]:
    value = read.array(name)
    if not all(isinstance(word, (str, bytes)) for word in value):
        raise read.bad(name)
    return cast("tuple[Word, ...]", value)
