"""Remove files from the working copy, so that the next commit is without them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.overwrite import overwrite_working_copy, record_working_copy
from dsvc.errors import RequestError
from dsvc.history.treediff import diff_trees, is_empty
from dsvc.objects import trees
from dsvc.objects.ids import ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.workspace import Workspace


class UnknownPathError(RequestError):
    """A path names nothing that is versioned."""

    def __init__(self, path: bytes) -> None:
        super().__init__(
            f"{os.fsdecode(path)!r} is not versioned",
            hint="dsvc ls lists what is; dsvc clean removes new files",
        )


class ModifiedError(RequestError):
    """Files hold something that no commit has."""

    def __init__(self, paths: Sequence[bytes]) -> None:
        shown = "".join(f"\n  {os.fsdecode(path)}" for path in paths[:10])
        more = f"\n  and {len(paths) - 10} more" if len(paths) > 10 else ""
        super().__init__(
            f"these files hold changes that are not committed:{shown}{more}",
            hint="dsvc rm -f removes them all the same, and dsvc undo brings them back",
            details={"paths": [os.fsdecode(path) for path in paths]},
        )


@dataclass(frozen=True, slots=True)
class RmResult:
    """The files that were removed, or would be."""

    removed: tuple[bytes, ...]


def rm(
    workspace: Workspace,
    paths: Sequence[bytes],
    *,
    recursive: bool = False,
    force: bool = False,
    dry_run: bool = False,
    ignore_unmatched: bool = False,
) -> RmResult:
    """Remove these versioned files, with `recursive` folders too; new files in a folder stay.

    Only files that are as the last commit has them go, unless `force`, which stores what the others hold. `undo`
    brings all of them back.

    Raises:
        UnknownPathError: for a path that is not versioned, unless `ignore_unmatched`.
        ModifiedError: naming files with changes, without `force`. RequestError: for a folder without `recursive`.
    """
    store = workspace.repo.store
    known: list[bytes] = []
    tree = workspace.index().tree
    for path in paths:
        entry = trees.lookup(store, tree, path)
        if entry is None:
            if not ignore_unmatched:
                raise UnknownPathError(path)
            continue
        if entry.kind == EntryKind.TREE and not recursive:
            raise RequestError(f"{os.fsdecode(path) or '.'} is a folder", hint="dsvc rm -r removes folders")
        known.append(path)
    if not known:
        return RmResult(())
    recorded = record_working_copy(workspace, paths=known)
    removed = tuple(path for path in _files(workspace, tree, known))
    if not force:
        head = workspace.head_tree()
        changed = [c.path for c in diff_trees(store, head, recorded.tree, paths=known) if c.new is not None]
        if changed:
            store.abandon()
            raise ModifiedError(changed)
    if dry_run:
        store.abandon()
        return RmResult(removed)
    shown = ", ".join(p.decode("utf-8", "replace") or "." for p in known[:3]) + (" …" if len(known) > 3 else "")
    overwrite_working_copy(
        workspace,
        without(workspace, recorded.tree, known),
        transaction=workspace.transaction(),
        verb="rm",
        description=f"rm: {shown}",
        recorded=recorded,
    )
    return RmResult(removed)


def without(workspace: Workspace, tree: TreeId, paths: Sequence[bytes]) -> TreeId:
    """Return a tree without these paths, and without the folders that this leaves empty."""
    store = workspace.repo.store
    if b"" in paths:
        return trees.empty_tree(store)
    changes: dict[bytes, Entry | None] = dict.fromkeys(paths)
    tree = TreeId(ObjectId(trees.edit_tree(store, tree, changes).id))
    for path in paths:
        folder = path.rpartition(b"/")[0]
        while folder:
            entry = trees.lookup(store, tree, folder)
            if entry is None or entry.kind != EntryKind.TREE or not is_empty(store, TreeId(ObjectId(entry.id))):
                break
            tree = TreeId(ObjectId(trees.edit_tree(store, tree, {folder: None}).id))
            folder = folder.rpartition(b"/")[0]
    return tree


def _files(workspace: Workspace, tree: TreeId, paths: Sequence[bytes]) -> list[bytes]:
    store = workspace.repo.store
    found: list[bytes] = []
    for path in paths:
        entry = trees.lookup(store, tree, path)
        if entry is not None and entry.kind == EntryKind.TREE:
            prefix = path + b"/" if path else b""
            found += [p for p, e in trees.walk(store, entry.id, prefix) if e.kind != EntryKind.TREE]
        elif entry is not None:
            found.append(path)
    return sorted(set(found))
