"""Changed files that a run once wrote and that no run explains: found before a commit, recorded with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.changes import UNREAD, describe_file, working_changes
from dsvc.actions.run_begin import ran_path, user_of
from dsvc.actions.run_claims import find_unclaimed, output_test, should_be_claimed
from dsvc.actions.runs import has_runs, open_runs
from dsvc.history.treediff import Change
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, RunId, TreeId
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind
from dsvc.runs.names import RunKey, new_key
from dsvc.runs.pins import Pin, PinState, Seen, put_pins
from dsvc.runs.record import Run, encode_run
from dsvc.workspace import Workspace
from dsvc.worktree.index import Index, changed_at, read_index, signature


@dataclass(frozen=True, slots=True)
class Correction:
    """The record of changes that no run explains, stored and not yet published."""

    key: RunKey
    run_id: RunId
    paths: tuple[bytes, ...]


def put_correction(
    workspace: Workspace, changes: Sequence[Change], *, parents: Sequence[CommitId], description: str
) -> Correction:
    """Store a record that stands for changed files which no run explains; the caller publishes it.

    Its outputs are the files as they are now. What stands there in the parents of the commit is named as its inputs:
    declared, since nobody saw that the one came of the other.
    """
    store = workspace.repo.store
    moment, zone = workspace.time()
    new = {change.path: change.new for change in changes if change.new is not None}
    before = [workspace.tree_of(parent) for parent in parents]
    old = {
        (path, entry)
        for tree in before
        for path in new
        if (entry := trees.lookup(store, tree, path)) is not None and entry.kind in FILE_KINDS
    }
    run = Run(
        key=new_key(moment),
        authority="correction",
        start=moment,
        zone=zone,
        user=user_of(workspace),
        description=description,
        base=parents[0] if parents else None,
        end=moment,
        inputs=put_pins(store, [_pin(path, entry, Seen.DECLARED) for path, entry in sorted(old)], None),
        outputs=put_pins(
            store,
            [_pin(path, entry, Seen.COMPARED) for path, entry in new.items()],
            TreeId(ObjectId(trees.edit_tree(store, trees.empty_tree(store), new).id)),
        ),
    )
    return Correction(run.key, RunId(store.put(Kind.RUN, encode_run(run))), tuple(sorted(new)))


def _pin(path: bytes, entry: Entry, seen: Seen) -> Pin:
    return Pin(path, PinState.PINNED, seen, EntryKind(entry.kind), ObjectId(entry.id), entry.size)


def unclaimed_now(workspace: Workspace, changes: Sequence[Change], *, new: Sequence[bytes]) -> list[bytes]:
    """Return the paths of the working copy that a commit would record as a correction.

    `changes` are those against HEAD, whose new ids may be `UNREAD`; `new` are further paths, folders with a slash at
    the end. Only files that a run should explain are read, and of those not the ones that the last run left so.
    """
    is_output = output_test(workspace)
    if not (changes or new) or (is_output is None and not has_runs(workspace)):
        return []
    known = {change.path: change for change in changes if change.new is not None}
    folders = [path[:-1] for path in new if path.endswith(b"/")]
    more = [path for path in new if not path.endswith(b"/")]
    if folders:
        found = working_changes(workspace, paths=folders, ids=False)
        more += [path for path, entry in found.entries.items() if entry is not None]
    left = read_index(ran_path(workspace)) if ran_path(workspace).exists() else None
    with open_runs(workspace) as index:
        wanted = []
        for path in sorted({*known, *more}):
            if not should_be_claimed(index, path, is_output):
                continue
            change = known.get(path)
            entry = change.new if change is not None else None
            if entry is None or entry.id == UNREAD:
                entry = _look(workspace, path, left)
            if entry is not None and entry.kind in FILE_KINDS:
                wanted.append(Change(path, change.old if change is not None else None, entry))
        return [change.path for change in find_unclaimed(workspace, index, wanted)]


def _look(workspace: Workspace, path: bytes, left: Index | None) -> Entry | None:
    """Return what stands at a path; a file that is as the last run `left` it is not read."""
    full = workspace.place(path)
    if left is not None:
        try:
            sig = left.get(path)
            if sig == signature(os.lstat(full)) and changed_at(sig) < left.stamp:
                return trees.lookup(workspace.repo.store, left.tree, path)
        except OSError:
            return None
    return describe_file(workspace.root_bytes, os.path.relpath(full, workspace.root_bytes))
