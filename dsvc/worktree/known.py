"""Make an index for a tree: where there is none, with nothing known of the files, or from that of another tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.worktree.index import ABSENT, DATASET, DIRECTORY, EMPTY, GITLINK, UNKNOWN, Block, Index, join, make_block
from dsvc.worktree.name_map import NameMap
from dsvc.worktree.plan import LeavesOut
from dsvc.worktree.sparse import Sparse

if TYPE_CHECKING:
    from dsvc.worktree.content_filter import ContentFilter


def index_of_tree(
    store: ObjectStore,
    tree_id: TreeId,
    *,
    sparse: Sequence[bytes] = (),
    names: NameMap | None = None,
    leaves_out: LeavesOut | None = None,
) -> Index:
    """Return an index for a tree in which every file counts as unknown: the next scan compares contents.

    `sparse` are the patterns of a partial working copy, `names` the paths that lie under other names on disk. In a
    partial clone `leaves_out` says of a file that it is not there.
    """
    blocks = blocks_of_tree(store, tree_id, _unknown(store, sparse, leaves_out))
    return Index(tree_id, 0, blocks, tuple(sparse), names if names is not None else NameMap())


def index_of_nothing(store: NodeStore, tree_id: TreeId) -> Index:
    """Return an index for a tree of which nothing is checked out, all of it left out on purpose."""
    return Index(tree_id, 0, {b"": make_block({name: ABSENT for name, _ in trees.entries(store, tree_id)})})


def refit_index(
    store: ObjectStore, index: Index, tree_id: TreeId, *, leaves_out: LeavesOut | None = None
) -> Index:
    """Return the index with `tree_id` as its tree; files in which that differs from its own count as unknown.

    An index that does not fit comes from a process that was killed between moving HEAD and writing the index.
    """
    if index.sparse or leaves_out is not None:
        return index_of_tree(store, tree_id, sparse=index.sparse, names=index.names, leaves_out=leaves_out)
    sign = _unknown(store, (), None)
    changes: dict[bytes, bytes | None] = {}
    try:
        for path, _, new in diff_trees(store, index.tree, tree_id):
            changes[path] = sign(path, new) if new is not None else None
    except ObjectMissingError:  # its tree was never published, or is garbage by now
        return index_of_tree(store, tree_id, names=index.names)
    for path in [path for path, sig in changes.items() if sig is None]:
        folder = path.rpartition(b"/")[0]
        while folder and folder not in changes and trees.lookup(store, tree_id, folder) is None:
            changes[folder] = None
            folder = folder.rpartition(b"/")[0]
    index.update(changes)
    index.tree = tree_id
    return index


def unread(entry: Entry) -> bytes:
    """Return the signature of a path of which nothing is known but its entry."""
    known = {EntryKind.TREE: DIRECTORY, EntryKind.GITLINK: GITLINK, EntryKind.SNAPSHOT: DATASET}
    return known.get(EntryKind(entry.kind), UNKNOWN)


def lacking(
    store: ObjectStore, wants: Callable[[bytes, int], bool] | None, erased: Collection[bytes]
) -> LeavesOut | None:
    """Return what says whether a file is left out because its content is not here; None where none is.

    It is where `wants(path, size)` says no, or where its content was `erased` from the history.
    """
    if wants is None and not erased:
        return None

    def leaves(path: bytes, entry: Entry) -> bool:
        if entry.kind not in CONTENT_KINDS:
            return False
        unwanted = entry.id in erased or (wants is not None and not wants(path, entry.size))
        return unwanted and not store.has_file(entry.id)

    return leaves


def not_checked_out(
    store: ObjectStore, wanted: ContentFilter | None, erased: Collection[bytes], *, root: bytes, names: NameMap
) -> LeavesOut | None:
    """Return what says whether a path was left out so far, where no index tells; None where nothing was.

    `wanted` is what a partial clone keeps, `erased` was purged. What is not on disk in a partial clone counts as left
    out even if its content is here, for somebody may have read it: it must never look deleted.
    """
    if wanted is None and not erased:
        return None

    def on_disk(path: bytes) -> bool:
        return os.path.lexists(join(root, names.on_disk(path)))

    def leaves(path: bytes, entry: Entry) -> bool:
        if entry.kind == EntryKind.TREE:  # an empty one
            return wanted is not None and not on_disk(path)
        if entry.kind not in CONTENT_KINDS:
            return False
        if not store.has_file(entry.id):
            return wanted is not None or entry.id in erased
        return wanted is not None and not on_disk(path)

    return leaves


def _unknown(
    store: ObjectStore, sparse: Sequence[bytes], leaves_out: LeavesOut | None
) -> Callable[[bytes, Entry], bytes]:
    """Return what gives the signature of a path of which nothing is known but its entry."""
    wanted = Sparse(sparse) if sparse else None
    elsewhere = store.elsewhere

    def sign(path: bytes, entry: Entry) -> bytes:
        if wanted is not None and not wanted.includes(path) and entry.kind != EntryKind.SNAPSHOT:
            return ABSENT
        if leaves_out is not None and leaves_out(path, entry):
            return ABSENT
        if entry.kind == EntryKind.REFERENCE and (elsewhere is None or elsewhere.here(entry) is None):
            return ABSENT  # it was not fetched, so it cannot have been checked out
        return unread(entry)

    return sign


def blocks_of_tree(
    store: NodeStore, tree_id: TreeId, sign: Callable[[bytes, Entry], bytes]
) -> dict[bytes, Block]:
    """Return the blocks of a tree's directories; `sign(path, entry)` gives the signature of what is no directory.

    It is asked about an empty directory too. A directory in which everything is ABSENT is absent itself, and has no
    block.
    """
    blocks: dict[bytes, Block] = {}

    def fill(path: bytes, tree: bytes) -> bool:
        names: list[bytes] = []
        signatures = bytearray()
        present, passed = False, 0
        for name, entry in trees.entries(store, tree):
            below = join(path, name)
            if entry.kind == EntryKind.TREE:
                sig = DIRECTORY if fill(below, entry.id) else ABSENT
            else:
                sig = sign(below, entry)
            if sig == ABSENT and path and not present:
                passed += 1  # where all of a million names are absent, no list of them is made
                continue
            if passed:
                names = [earlier for earlier, _ in islice(trees.entries(store, tree), passed)]
                signatures, passed = bytearray(ABSENT * passed), 0
            present = present or sig != ABSENT
            names.append(name)
            signatures += sig
        if not names and not passed and path:
            present = sign(path, Entry(EntryKind.TREE, tree, 0)) != ABSENT
        if present or not path:
            blocks[path] = Block(b"\0".join(names), bytes(signatures))
        return present

    fill(b"", tree_id)
    blocks.setdefault(b"", EMPTY)
    return blocks
