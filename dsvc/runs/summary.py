"""What lists and filters need of a run, decoded in a microsecond or two: the derived index keeps one a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from dsvc.objects import codec
from dsvc.objects.codec import Value
from dsvc.objects.ids import RunId
from dsvc.runs.names import RunKey
from dsvc.runs.record import Run
from dsvc.runs.values import flat

_MOST = 2000  # params and metrics each
_LONGEST = 200  # characters of a text


@dataclass(frozen=True, slots=True)
class Summary:
    """A run on one line. `params` and `metrics` are flat, with dotted names; a series gives its last value."""

    key: RunKey
    run_id: RunId
    state: str
    start: int
    zone: int
    elapsed: int
    name: str
    description: str
    command: str
    user: str
    authority: str
    exit_code: int | None = None
    signal: int | None = None
    parent: RunKey | None = None
    inputs: int = 0
    outputs: int = 0
    params: Mapping[str, Value] = field(default_factory=dict)
    metrics: Mapping[str, Value] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def summarize(run: Run, run_id: RunId) -> Summary:
    """Return the summary of a record."""
    return Summary(
        key=run.key,
        run_id=run_id,
        state=run.state,
        start=run.start,
        zone=run.zone,
        elapsed=run.elapsed,
        name=_short(run.name),
        description=_short(run.description),
        command=command_line(run.command),
        user=_short(run.user),
        authority=run.authority,
        exit_code=run.exit_code,
        signal=run.signal,
        parent=run.parent,
        inputs=run.inputs.count,
        outputs=run.outputs.count,
        params=_flat(run.params),
        metrics=_flat({**run.metrics, **{s.name: s.last for s in run.series if s.name not in run.metrics}}),
        labels={_short(name): _short(text) for name, text in list(run.labels.items())[:_MOST]},
    )


def command_line(command: Iterable[str | bytes]) -> str:
    """Return the words of a command as a summary has them."""
    words = [word if isinstance(word, str) else word.decode("utf-8", "backslashreplace") for word in command]
    return _short(" ".join(words))


def _flat(values: Mapping[str, Value]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in flat(values):
        if len(found) == _MOST:
            break
        found[name] = _short(value) if isinstance(value, str) else value
    return found


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def pack_summary(summary: Summary) -> bytes:
    """Return a summary as bytes that only this version reads."""
    plain = [getattr(summary, name) for name in Summary.__dataclass_fields__]
    return bytes(msgpack.packb(plain, use_bin_type=True, default=_extended))


def unpack_summary(data: bytes) -> Summary:
    """Return the summary that `pack_summary` packed."""
    plain: list[Any] = msgpack.unpackb(data, use_list=False, raw=False, ext_hook=_plain, strict_map_key=True)
    return Summary(*plain)


def with_labels(summary: Summary, labels: Mapping[str, str]) -> Summary:
    """Return a summary with other labels."""
    return replace(summary, labels=labels)


def _extended(value: object) -> object:
    return msgpack.ExtType(codec.BIG_INTEGER, str(value).encode())


def _plain(_code: int, data: bytes) -> Value:
    return int(data)

