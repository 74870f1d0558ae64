"""Datasets whose files are checked out as plain files, where no provider of snapshots has them.

In such a working copy trees have the directory of indexed files in the place of the snapshot reference. A commit puts
the reference back where the directory is still the one that was indexed; a changed one becomes a folder of files.
"""

from __future__ import annotations

from collections.abc import Mapping

from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.snapshot import decode_snapshot
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.worktree.datasets import Place


def with_plain_files(store: ObjectStore, tree: TreeId, places: Mapping[bytes, Place]) -> TreeId:
    """Return a tree with the indexed files in the place of those datasets that are checked out as files here."""
    changes: dict[bytes, Entry | None] = {}
    for path, place in places.items():
        entry = trees.lookup(store, tree, path) if place.files else None
        if entry is not None and entry.kind == EntryKind.SNAPSHOT:
            indexed = decode_snapshot(store.get(entry.id, Kind.SNAPSHOT)).tree
            if indexed is not None:
                changes[path] = trees.tree_entry(store, indexed)
    return TreeId(ObjectId(trees.edit_tree(store, tree, changes).id)) if changes else tree


def with_references(store: ObjectStore, tree: TreeId, before: TreeId, places: Mapping[bytes, Place]) -> TreeId:
    """Return a tree with the snapshot references that `before` has for those of its directories that are the same."""
    changes: dict[bytes, Entry | None] = {}
    for path, place in places.items():
        if not place.files:
            continue
        now, old = trees.lookup(store, tree, path), trees.lookup(store, before, path)
        if now is None or old is None or (now.kind, old.kind) != (EntryKind.TREE, EntryKind.SNAPSHOT):
            continue
        if decode_snapshot(store.get(old.id, Kind.SNAPSHOT)).tree == now.id:
            changes[path] = old
    return TreeId(ObjectId(trees.edit_tree(store, tree, changes).id)) if changes else tree
