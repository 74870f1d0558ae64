"""The runs of a merge request beside those of its target: what the numbers were before, and what they would be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from dsvc.actions.revision import ancestry_below
from dsvc.actions.runs import run_of
from dsvc.actions.runs_diff import RunsDiff, compare
from dsvc.errors import IntegrityError
from dsvc.history.walk import walk
from dsvc.objects.ids import CommitId, RunId
from dsvc.runs.pins import read_pins
from dsvc.runs.record import Run
from dsvc.workspace import Workspace

_LOOKED_BACK = 1000  # commits of the target
_MOST = 10  # runs that are compared

Record = tuple[Run, RunId]


class ComparedRun(NamedTuple):
    """A run of a request, and how it differs from the target's newest one that did the same; None: there is none."""

    run: Run
    run_id: RunId
    diff: RunsDiff | None


def compare_sides(workspace: Workspace, brought: Sequence[CommitId], before: CommitId | None) -> list[ComparedRun]:
    """Return the newest runs that a request's commits name, each beside its counterpart in the target's history.

    `brought` are the commits, oldest first, `before` is the target's newest one. Two runs did the same when they wrote
    a file of the same path, or, where one wrote none, when their commands are the same. Of the request's own runs that
    did the same the newest counts. Records that are not here are left out.
    """
    chosen: list[Record] = []
    for record in _records(workspace, reversed(brought)):
        if len(chosen) < _MOST and not any(_did_the_same(workspace, record, other) for other in chosen):
            chosen.append(record)
    if not chosen:
        return []
    found: dict[RunId, Record] = {}
    if before is not None:
        steps = walk(ancestry_below(workspace, [before]), [before])
        commits = (step.id for step in islice(steps, _LOOKED_BACK))
        for record in _records(workspace, commits):
            for run, run_id in chosen:
                if run_id not in found and record[1] != run_id and _did_the_same(workspace, record, (run, run_id)):
                    found[run_id] = record
            if len(found) == len(chosen):
                break
    return [ComparedRun(*record, _diff(workspace, found.get(record[1]), record)) for record in chosen]


def _records(workspace: Workspace, commits: Iterable[CommitId]) -> Iterator[Record]:
    """Yield the runs that commits name, each once; of one commit the last one first."""
    seen: set[RunId] = set()
    for commit_id in commits:
        for run_id in reversed(workspace.repo.commit(commit_id).runs):
            run = run_of(workspace, run_id) if run_id not in seen else None
            seen.add(run_id)
            if run is not None:
                yield run, run_id


def _did_the_same(workspace: Workspace, one: Record, other: Record) -> bool:
    wrote = [_written(workspace, run) for run, _ in (one, other)]
    return not wrote[0].isdisjoint(wrote[1]) if all(wrote) else one[0].command == other[0].command


def _written(workspace: Workspace, run: Run) -> set[bytes]:
    try:
        return {pin.path for pin in read_pins(workspace.repo.store, run.outputs)}
    except IntegrityError:  # a large table is content, which may not be here
        return set()


def _diff(workspace: Workspace, old: Record | None, new: Record) -> RunsDiff | None:
    try:
        return compare(workspace, old, new) if old is not None else None
    except IntegrityError:
        return None
