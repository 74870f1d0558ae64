"""Make an index where there is none: from a tree, with nothing known of the files on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.worktree.index import ABSENT, DIRECTORY, EMPTY, GITLINK, UNKNOWN, Block, Index, join
from dsvc.worktree.sparse import Sparse


def index_of_tree(store: NodeStore, tree_id: TreeId, *, sparse: Sequence[bytes] = ()) -> Index:
    """Return an index for a tree in which every file counts as unknown: the next scan compares contents.

    `sparse` are the patterns of a partial working copy.
    """
    wanted = Sparse(sparse) if sparse else None

    def sign(path: bytes, entry: Entry) -> bytes:
        if wanted is not None and not wanted.includes(path):
            return ABSENT
        return {EntryKind.TREE: DIRECTORY, EntryKind.GITLINK: GITLINK}.get(EntryKind(entry.kind), UNKNOWN)

    return Index(tree_id, 0, blocks_of_tree(store, tree_id, sign), tuple(sparse))


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
        present = False
        for name, entry in trees.entries(store, tree):
            below = join(path, name)
            if entry.kind == EntryKind.TREE:
                sig = DIRECTORY if fill(below, entry.id) else ABSENT
            else:
                sig = sign(below, entry)
            present = present or sig != ABSENT
            names.append(name)
            signatures += sig
        if not names and path:
            present = sign(path, Entry(EntryKind.TREE, tree, 0)) != ABSENT
        if present or not path:
            blocks[path] = Block(b"\0".join(names), bytes(signatures))
        return present

    fill(b"", tree_id)
    blocks.setdefault(b"", EMPTY)
    return blocks
