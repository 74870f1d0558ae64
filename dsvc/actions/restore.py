"""Bring files back from a commit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from dsvc.actions.overwrite import overwrite_working_copy, record_working_copy
from dsvc.actions.revision import tree_of
from dsvc.errors import RequestError
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.repo.tombstones import PurgedError, tombstone_of
from dsvc.workspace import Workspace
from dsvc.worktree.behind_links import refuse_behind_link
from dsvc.worktree.index import Index
from dsvc.worktree.sparse import Sparse


class RestoreResult(NamedTuple):
    """The paths that were asked for, the tree they came from, and how many files were not as that has them."""

    paths: tuple[bytes, ...]
    tree: TreeId
    changed: int


def restore(
    workspace: Workspace, paths: Sequence[bytes], *, source: str | None = None, map_names: bool = False
) -> RestoreResult:
    """Make these files and folders as `source` (HEAD where none is given) has them.

    What they hold now is stored first, so that `undo` brings it back. Files that the source does not have go when they
    are known; others stay. What a partial clone left out is fetched where it is named itself, a file or a folder; of
    other folders it stays absent. `map_names` is as in `switch`.

    Raises:
        RequestError: when neither the source nor the working copy has one of the paths. RemoteError: when something
            has to be fetched and cannot be; nothing was changed then.
    """
    if map_names:
        workspace.map_names()
    store = workspace.repo.store
    source_tree = tree_of(workspace, source) if source is not None else workspace.head_tree()
    index = workspace.index()
    erased = workspace.says_erased()

    def purged(tree: TreeId, path: bytes) -> Entry | None:
        """Return the entry that a tree has at a path, where its content was purged."""
        entry = trees.lookup(store, tree, path) if path and erased is not None else None
        return entry if entry is not None and erased is not None and erased(path, entry) else None

    for path in paths:
        entry = purged(source_tree, path)
        tombstone = tombstone_of(workspace.repo, entry.id) if entry is not None else None
        if tombstone is not None:
            raise PurgedError(tombstone)
    absent = [p for p in paths if p and index.is_absent(p) and purged(index.tree, p) is None]
    for path in absent:
        _check_absent(workspace, index, source_tree, path)
    coming = [path for path in absent if trees.lookup(store, source_tree, path) is not None]
    restored: set[bytes] = set()
    if coming:
        from dsvc.actions.data_get import check_out, entries_at

        entries = dict(entries_at(workspace, source_tree, coming))
        store.complete(entry.id for entry in entries.values() if entry.kind in CONTENT_KINDS)
        restored = {path for path in entries if not os.path.lexists(workspace.place(path))}
    recorded = record_working_copy(workspace, paths=paths)
    changes: dict[bytes, Entry | None] = {}
    for path in paths:
        wanted = trees.lookup(store, source_tree, path)
        if wanted is None and trees.lookup(store, recorded.index.tree, path) is None:
            store.abandon()
            refuse_behind_link(path, workspace.place)
            raise _nothing_there(workspace, path, source or "HEAD")
        if path:
            changes[path] = wanted
    goal = TreeId(trees.edit_tree(store, recorded.tree, changes).id) if changes else source_tree  # type: ignore[arg-type]
    restored |= {change.path for change in diff_trees(store, recorded.tree, goal)}
    transaction = workspace.transaction()
    shown = ", ".join(p.decode("utf-8", "replace") or "." for p in paths[:3])
    overwrite_working_copy(
        workspace,
        goal,
        transaction=transaction,
        verb="restore",
        description=f"restore: {shown}",
        recorded=recorded,
    )
    if coming:
        check_out(workspace, coming)
    return RestoreResult(tuple(paths), source_tree, len(restored))


def _check_absent(workspace: Workspace, index: Index, source_tree: TreeId, path: bytes) -> None:
    """Refuse what is not on disk because patterns leave it out, and a reference, unless to another version.

    What was removed may be restored, and what a partial clone left out.

    Raises:
        RequestError: naming what brings it.
    """
    store = workspace.repo.store
    known, wanted = trees.lookup(store, index.tree, path), trees.lookup(store, source_tree, path)
    if known is None:
        return
    shown = os.fsdecode(path)
    inside = path + b"/." if known.kind == EntryKind.TREE else path
    if index.sparse and not Sparse(index.sparse).includes(inside):
        raise RequestError(
            f"{shown} is not checked out here: this is a partial working copy", hint=f"dsvc sparse add {shown}"
        )
    if known.kind == EntryKind.REFERENCE and known == wanted:
        raise RequestError(
            f"{shown} is kept by reference, as the commit has it", hint=f"dsvc data get {shown} brings its content"
        )


def _nothing_there(workspace: Workspace, path: bytes, source: str) -> RequestError:
    """Return the error for a path of which the source has nothing, and which is not known here either."""
    name = os.fsdecode(path)
    if os.path.lexists(workspace.place(path)):
        return RequestError(f"{name} is new: there is nothing of it in {source}", hint="dsvc clean removes new files")
    return RequestError(f"{name} is neither in {source} nor in the working copy", hint="dsvc ls shows what there is")
