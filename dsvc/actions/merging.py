"""How trees and commits of a workspace are merged: by lines, by its settings, and what a conflict leaves behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from dsvc.actions.changes import working_changes
from dsvc.actions.revision import revision_context
from dsvc.actions.state import Conflict, WorktreeState, in_conflict
from dsvc.contents.line_merger import line_merger
from dsvc.contents.text_merge import Favor, Style
from dsvc.history.mergecommits import CommitMerger
from dsvc.history.mergeentry import Labels
from dsvc.history.treediff import diff_trees, directory_of
from dsvc.history.treemerge import TreeMerge, merge_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry
from dsvc.workspace import Workspace
from dsvc.worktree.index import join
from dsvc.worktree.plan import InTheWayError, Obstacle
from dsvc.worktree.scan import Scanner


def commit_merger(workspace: Workspace, *, favor: Favor | None = None) -> CommitMerger:
    """Return what merges commits of this workspace, with conflicts in the form that `merge.conflictStyle` names."""
    style = cast("Style", workspace.config.get_str("merge.conflictStyle") or "merge")
    return line_merger(workspace.repo.store, revision_context(workspace).ancestry(), style=style, favor=favor)


def merge_change(
    workspace: Workspace,
    base: TreeId | None,
    ours: TreeId,
    theirs: TreeId,
    *,
    labels: Labels,
    favor: Favor | None = None,
) -> TreeMerge:
    """Apply the change from `base` to `theirs` to `ours`; the merged tree is stored and nothing else happens."""
    merger = commit_merger(workspace, favor=favor)
    return merge_trees(
        merger.store,
        base,
        ours,
        theirs,
        content=merger.content,
        labels=labels,
        similar=merger.similar,
        reference=merger.reference,
    )


def conflicts_of(merge: TreeMerge) -> tuple[Conflict, ...]:
    """Return the conflicts of a merge as they are kept until they are settled, each path once."""
    found: dict[bytes, Conflict] = {}
    for conflict in merge.conflicts:
        versions = conflict.versions
        new = Conflict(
            conflict.path, conflict.kind, versions.base, versions.ours, versions.theirs, tuple(conflict.kept)
        )
        old = found.get(conflict.path)
        if old is not None:
            new = Conflict(
                old.path,
                old.kind,
                old.base or new.base,
                old.ours or new.ours,
                old.theirs or new.theirs,
                tuple(dict.fromkeys((*old.files, *new.files))),
            )
        found[conflict.path] = new
    return tuple(found.values())


def changed_paths(workspace: Workspace, merged: TreeId) -> tuple[bytes, ...]:
    """Return the paths that differ from HEAD's commit in the working copy.

    A folder of new files, or one that is gone, is one path where `merged` has there what HEAD has, and otherwise the
    files in it: what a merge brings into a folder of that name is none of these changes. No new file is read.
    """
    known = working_changes(workspace, include_new=False)
    store, head = workspace.repo.store, workspace.head_tree()
    found, folders = set[bytes](), set[bytes]()
    for path, old, new in diff_trees(store, head, known.index.tree):
        empty = directory_of(old) is not None or directory_of(new) is not None
        (folders if empty else found).add(path)
    for path, entry in known.entries.items():
        (folders if entry is None and path in known.index.blocks else found).add(path)
    scanner = Scanner(workspace.root_bytes, known.index, workspace.ignore_rules())
    for delta in scanner.walk():
        found.update(join(delta.path, name) for name in delta.new)
        folders.update(join(delta.path, name) for name in delta.new_directories)
    for path in folders:
        old, new = trees.lookup(store, head, path), trees.lookup(store, merged, path)
        found.update(_in_folder(store, scanner, path, old, new))
    return tuple(sorted(found))


def _in_folder(
    store: ObjectStore, scanner: Scanner, path: bytes, old: Entry | None, merged: Entry | None
) -> Iterator[bytes]:
    """Yield the paths of what was changed in a folder, given as HEAD and as a merge have it."""
    sides = directory_of(old), directory_of(merged)
    if old == merged or sides == (None, None):
        yield path
        return
    before, after = (dict(trees.entries(store, side)) if side is not None else {} for side in sides)
    there, below = set[bytes](), set[bytes]()
    if os.path.isdir(scanner.place(path)):
        delta = scanner.compare(path)
        there, below = set(delta.new), set(delta.new_directories)
        if not (there or below or before):
            yield path + b"/"
    yield from (join(path, name) for name in there)
    for name in below | before.keys():
        yield from _in_folder(store, scanner, join(path, name), before.get(name), after.get(name))


def under_way(workspace: Workspace, state: WorktreeState, merge: TreeMerge) -> WorktreeState:
    """Return the state to be in once the working copy is brought to the merged tree, with its conflicts.

    Raises:
        InTheWayError: naming files in conflict that hold changes which are not committed: they would be mixed up.
    """
    aside = changed_paths(workspace, merge.tree)
    state = in_conflict(replace(state, merged=merge.tree, aside=aside), conflicts_of(merge))
    mixed = sorted(set(state.touched) & set(aside))
    if mixed:
        raise InTheWayError([Obstacle(path, "changed since the last commit, and in conflict") for path in mixed])
    return state


def merge_notes(merge: TreeMerge) -> tuple[str, ...]:
    """Return what else is worth saying about a merge: files that followed a folder, limits that were hit."""
    notes = [
        f"{_shown(old)} followed its folder's new name to {_shown(new)}" for old, new in merge.moved[:20]
    ]
    notes += merge.notes
    notes += [f"{_shown(path)} was split among several folders, so new files in it stay" for path in merge.split]
    if merge.limit is not None:
        notes.append(
            f"renames among {merge.limit.candidates:,} files were not all looked for (the limit is "
            f"{merge.limit.limit:,}): some may show as a deleted and a new file"
        )
    return tuple(notes)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")
