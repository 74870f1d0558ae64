"""What differs between two runs: command, parameters, metrics, code, data, environment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dsvc.actions.runs import get_run
from dsvc.errors import IntegrityError
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import Kind, RunId
from dsvc.runs.names import RunKey
from dsvc.runs.pins import Pin, read_pins
from dsvc.runs.record import Run
from dsvc.runs.summary import summarize
from dsvc.workspace import Workspace


class ValueChange(NamedTuple):
    """A name with its value in both runs, None where one has none."""

    name: str
    old: Value
    new: Value


class PinChange(NamedTuple):
    """A path with what both runs met there, None where one met nothing."""

    path: bytes
    old: Pin | None
    new: Pin | None


class RunsDiff(NamedTuple):
    """How the second run differs from the first. `code` are files of the source, None where one is not here."""

    old: Run
    new: Run
    facts: tuple[ValueChange, ...]
    params: tuple[ValueChange, ...]
    metrics: tuple[ValueChange, ...]
    inputs: tuple[PinChange, ...]
    outputs: tuple[PinChange, ...]
    code: tuple[Change, ...] | None

    def is_same(self) -> bool:
        """Whether nothing differs that could lead to another result, and no result does."""
        return not (self.facts or self.params or self.metrics or self.inputs or self.outputs or self.code)


def diff_runs(workspace: Workspace, old: RunKey, new: RunKey) -> RunsDiff:
    """Return what differs between two runs; metrics are the final ones, and of series their last values.

    Raises:
        UnknownRunError: when one of them is not there.
    """
    return compare(workspace, get_run(workspace, old), get_run(workspace, new))


def compare(workspace: Workspace, old: tuple[Run, RunId], new: tuple[Run, RunId]) -> RunsDiff:
    """Return what differs between two records, whether they have names here or not; see `diff_runs`."""
    store, (first, second) = workspace.repo.store, (old[0], new[0])
    left, right = summarize(*old), summarize(*new)
    inputs, outputs = (
        [{pin.path: pin for pin in read_pins(store, pins)} for pins in both]
        for both in ((first.inputs, second.inputs), (first.outputs, second.outputs))
    )
    return RunsDiff(
        first,
        second,
        tuple(_changed(_facts(first), _facts(second))),
        tuple(_changed(left.params, right.params)),
        tuple(_changed(left.metrics, right.metrics)),
        tuple(_pins(*inputs)),
        tuple(_pins(*outputs)),
        _code(workspace, first, second),
    )


def _facts(run: Run) -> dict[str, Value]:
    return {
        "state": run.state,
        "command": run.command,
        "directory": run.directory or None,
        "environment": run.environment.hex() if run.environment is not None else None,
        **{f"machine.{name}": run.machine.get(name) for name in ("platform", "cpu")},
        **{f"variables.{name}": value for name, value in run.variables.items()},
    }


def _changed(old: Mapping[str, Value], new: Mapping[str, Value]) -> Iterator[ValueChange]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if type(before) is not type(after) or not (before == after or (_is_nan(before) and _is_nan(after))):
            yield ValueChange(name, before, after)


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _pins(old: Mapping[bytes, Pin], new: Mapping[bytes, Pin]) -> Iterator[PinChange]:
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before is None or after is None or before.id != after.id or before.id is None:
            yield PinChange(path, before, after)


def _code(workspace: Workspace, old: Run, new: Run) -> tuple[Change, ...] | None:
    store = workspace.repo.store
    if old.source is None or new.source is None:
        return () if old.source == new.source else None
    if not (store.has(old.source, Kind.TREE) and store.has(new.source, Kind.TREE)):
        return None
    try:
        return tuple(diff_trees(store, old.source, new.source))
    except IntegrityError:
        return None
