"""The metrics and parameters of a commit: of the runs that wrote its files, and of the files it keeps them in."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.run_standing import Standing
from dsvc.delivery.gates import Numbers
from dsvc.errors import DsvcError
from dsvc.objects import trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import TreeId
from dsvc.objects.tree import FILE_KINDS
from dsvc.pipelines.stages import FILE, parse_stages
from dsvc.runs.index import RunIndex
from dsvc.runs.metrics import is_table, read_metrics
from dsvc.runs.names import RERUN_OF, RunKey
from dsvc.runs.params import FILES
from dsvc.runs.pins import PinState
from dsvc.runs.summary import Summary
from dsvc.runs.values import flat
from dsvc.workspace import Workspace

_LARGEST = 1 << 20  # bytes of a file of metrics or parameters


class Recorded(NamedTuple):
    """What is known of a tree: its numbers, and the runs that wrote files which stand in it, by the path.

    `judged` are runs that wrote no file and have metrics, and read what stands in the tree: evaluations of it.
    """

    numbers: Numbers
    written: dict[bytes, Summary]
    judged: tuple[Summary, ...] = ()

    def runs(self) -> list[Summary]:
        """Return each of the runs once, in the order of their begin."""
        found = {run.key: run for run in (*self.written.values(), *self.judged)}
        return sorted(found.values(), key=lambda run: run.key)


def recorded_of(workspace: Workspace, tree: TreeId, index: RunIndex | None) -> Recorded:
    """Return what is known of a tree; `index` is None where there are no runs.

    Of several runs that wrote the same content one counts that read what stands in the tree, and of those the newest.
    Where runs have a value of the same name that of the newest run counts, and that of a file before it: files of
    parameters at the root, and the files of metrics that `dsvc.toml` and `run.metrics` name.
    """
    found = _recorded(workspace, tree, index) if index is not None else Recorded(Numbers({}, {}), {})
    metrics: dict[str, Value] = {}
    params: dict[str, Value] = {}
    for run in found.runs():
        metrics |= run.metrics
        params |= run.params
    for name in dict.fromkeys((*_of_stages(workspace, tree), *workspace.config.get_list("run.metrics"))):
        if not is_table(Path(name)):
            metrics |= _values_of(workspace, tree, name)
    for name in FILES:
        values = _values_of(workspace, tree, name)
        if values:
            params |= values
            break
    return found._replace(numbers=Numbers(metrics, params))


def _recorded(workspace: Workspace, tree: TreeId, index: RunIndex) -> Recorded:
    standing = Standing(workspace.repo.store, index, tree)
    there = [(path, file) for path, file in index.written_files() if standing.stands(path, file)]
    met = index.meetings({file for _, file in there}, outputs=True)
    writers = {
        path: [m.key for m in met.get(file, ()) if m.path == path and m.state == PinState.PINNED]
        for path, file in there
    }  # the newest first
    judges = {key: run for key in index.without_outputs() if (run := _judging(index, key)) is not None}
    asked = {key for keys in writers.values() if len(keys) > 1 for key in keys}
    fits = standing.read_it(asked | judges.keys())
    written = {}
    for path, keys in writers.items():
        keys.sort(key=lambda key: (not fits.get(key, True), index.is_repetition(key)))
        summary = index.summary(keys[0]) if keys else None
        if summary is not None and summary.authority != "correction":
            written[path] = summary
    return Recorded(Numbers({}, {}), written, tuple(run for key, run in judges.items() if fits.get(key)))


def _judging(index: RunIndex, key: RunKey) -> Summary | None:
    run = index.summary(key)
    usable = run is not None and run.metrics and run.state == "done" and RERUN_OF not in run.labels
    return run if usable else None


def _of_stages(workspace: Workspace, tree: TreeId) -> list[str]:
    """Return the files of metrics that the stages of a tree name; a file that is none of stages names none."""
    data = _content(workspace, tree, FILE)
    with suppress(DsvcError):
        return [name for stage in parse_stages(data or b"") for name in stage.metrics]
    return []


def _values_of(workspace: Workspace, tree: TreeId, name: str) -> dict[str, Value]:
    """Return the values of a file of a tree; none where it is not there or holds none."""
    data = _content(workspace, tree, name)
    if data is None:
        return {}
    workspace.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.scratch) as folder, suppress(DsvcError):
        path = Path(folder) / os.path.basename(name)
        path.write_bytes(data)
        return dict(flat(read_metrics(path)))
    return {}


def _content(workspace: Workspace, tree: TreeId, name: str) -> bytes | None:
    entry = trees.lookup(workspace.repo.store, tree, os.fsencode(name))
    if entry is None or entry.kind not in FILE_KINDS or entry.size > _LARGEST:
        return None
    return workspace.repo.store.read_file(entry.id)
