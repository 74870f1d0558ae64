"""The metrics and parameters of a commit: of the runs that wrote its files, and of the files it keeps them in."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dsvc.delivery.gates import Numbers
from dsvc.errors import DsvcError
from dsvc.objects import trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import TreeId
from dsvc.objects.tree import FILE_KINDS
from dsvc.pipelines.stages import FILE, parse_stages
from dsvc.runs.index import RunIndex
from dsvc.runs.metrics import is_table, read_metrics
from dsvc.runs.params import FILES
from dsvc.runs.pins import PinState
from dsvc.runs.summary import Summary
from dsvc.runs.values import flat
from dsvc.workspace import Workspace

_LARGEST = 1 << 20  # bytes of a file of metrics or parameters


class Recorded(NamedTuple):
    """What is known of a tree: its numbers, and the runs that wrote files which stand in it, by the path."""

    numbers: Numbers
    written: dict[bytes, Summary]

    def runs(self) -> list[Summary]:
        """Return each of the runs once, in the order of their begin."""
        return sorted({run.key: run for run in self.written.values()}.values(), key=lambda run: run.key)


def recorded_of(workspace: Workspace, tree: TreeId, index: RunIndex | None) -> Recorded:
    """Return what is known of a tree; `index` is None where there are no runs.

    Of several runs that wrote the same content the newest counts. Where runs have a value of the same name that of the
    newest run counts, and that of a file before it: files of parameters at the root, and the files of metrics that
    `dsvc.toml` and `run.metrics` name.
    """
    written = _writers(workspace, tree, index) if index is not None else {}
    found = Recorded(Numbers({}, {}), written)
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
    return Recorded(Numbers(metrics, params), written)


def _writers(workspace: Workspace, tree: TreeId, index: RunIndex) -> dict[bytes, Summary]:
    store = workspace.repo.store
    found: dict[bytes, Summary] = {}
    there = [
        (path, file)
        for path, file in index.written_files()
        if (entry := trees.lookup(store, tree, path)) is not None and entry.id == file
    ]
    met = index.meetings({file for _, file in there}, outputs=True)
    for path, file in there:
        here = (m for m in met.get(file, ()) if m.path == path and m.state == PinState.PINNED)
        best = next(here, None)
        summary = index.summary(best.key) if best is not None else None
        if summary is not None and summary.authority != "correction":
            found[path] = summary
    return found


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
