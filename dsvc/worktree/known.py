"""Make an index where there is none: from a tree, with nothing known of the files on disk."""

from __future__ import annotations

from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import EntryKind
from dsvc.worktree.index import DIRECTORY, EMPTY, GITLINK, UNKNOWN, Block, Index, join


def index_of_tree(store: NodeStore, tree_id: TreeId) -> Index:
    """Return an index for a tree in which every file counts as unknown: the next scan compares contents."""
    index = Index(tree_id, 0, {b"": EMPTY})
    stack: list[tuple[bytes, bytes]] = [(b"", tree_id)]
    while stack:
        path, tree = stack.pop()
        names, signatures = [], bytearray()
        for name, entry in trees.entries(store, tree):
            names.append(name)
            if entry.kind == EntryKind.TREE:
                signatures += DIRECTORY
                stack.append((join(path, name), entry.id))
            else:
                signatures += GITLINK if entry.kind == EntryKind.GITLINK else UNKNOWN
        index.blocks[path] = Block(b"\0".join(names), bytes(signatures))
    return index
