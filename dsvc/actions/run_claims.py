"""Which runs explain the changes of a commit: a join by the ids of files."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.actions.runs import has_runs, open_runs
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, RunId, TreeId
from dsvc.objects.tree import FILE_KINDS
from dsvc.runs.index import Meeting
from dsvc.runs.names import RunKey
from dsvc.runs.pins import PinState
from dsvc.workspace import Workspace


def runs_behind(workspace: Workspace, tree: TreeId, parents: Sequence[CommitId]) -> tuple[RunId, ...]:
    """Return the runs that wrote the files in which a tree differs from each of these commits, in order of their begin.

    Of several runs that wrote the same content the newest counts, and one that wrote it at this path before others.
    An empty file is explained only at its path.
    """
    if not has_runs(workspace):
        return ()
    changes = _changes(workspace, tree, parents)
    if not changes:
        return ()
    with open_runs(workspace) as index:
        met = index.meetings({change.new.id for change in changes if change.new is not None}, outputs=True)
        keys: set[RunKey] = set()
        for change in changes:
            assert change.new is not None
            best = _best(met.get(change.new.id, ()), change)
            if best is not None:
                keys.add(best)
        rows = [index.summary(key) for key in sorted(keys)]
    return tuple(row.run_id for row in rows if row is not None)


def _changes(workspace: Workspace, tree: TreeId, parents: Sequence[CommitId]) -> list[Change]:
    store = workspace.repo.store
    before = [workspace.tree_of(parent) for parent in parents]
    changes = diff_trees(store, before[0] if before else None, tree)
    return [
        change
        for change in changes
        if change.new is not None
        and change.new.kind in FILE_KINDS
        and all(trees.lookup(store, other, change.path) != change.new for other in before[1:])
    ]


def _best(meetings: Sequence[Meeting], change: Change) -> RunKey | None:
    pinned = [meeting for meeting in meetings if meeting.state == PinState.PINNED]
    here = next((meeting.key for meeting in pinned if meeting.path == change.path), None)
    if here is not None or change.new is None or not change.new.size:
        return here
    return next((meeting.key for meeting in pinned), None)
