"""The history of one file across its renames: `log --follow`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from dsvc.history.ancestry import Ancestry
from dsvc.history.renames import Similar, detect
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.store import ObjectStore


class FollowStep(NamedTuple):
    """A commit that changed the file: its path there, and its path before where the commit renamed it."""

    id: CommitId
    path: bytes
    old_path: bytes | None = None


def follow(
    ancestry: Ancestry, store: ObjectStore, tips: Sequence[CommitId], path: bytes, *, similar: Similar | None = None
) -> Iterator[FollowStep]:
    """Yield the commits that changed the file that is at `path` in the tips, newest first, under its older names too.

    A parent in which the file is the same is followed alone. Where a commit added the file, its other changes tell
    whether it was renamed; each line of history keeps its own name of the file.
    """
    heap: list[tuple[int, int, bytes]] = []
    seen: set[tuple[int, bytes]] = set()
    shown: set[int] = set()

    def push(node: int, name: bytes) -> None:
        if (node, name) not in seen:
            seen.add((node, name))
            heappush(heap, (-ancestry.time(node), node, name))

    for tip in tips:
        push(ancestry.node(tip), path)
    while heap:
        _, node, name = heappop(heap)
        tree = ancestry.tree(node)
        parents = ancestry.parents(node)
        if parents and not ancestry.may_touch(node, [name]):
            push(parents[0], name)
            continue
        now = trees.lookup(store, tree, name)
        before = [trees.lookup(store, ancestry.tree(parent), name) for parent in parents]
        same = next((parent for parent, entry in zip(parents, before, strict=True) if entry == now), None)
        if same is not None:
            push(same, name)
            continue
        old_path: bytes | None = None
        for parent, entry in zip(parents, before, strict=True):
            if entry is not None:
                push(parent, name)
                continue
            source = _source(store, ancestry.tree(parent), tree, name, similar)
            if source is not None:
                old_path = source
                push(parent, source)
        if node not in shown and (now is not None or parents):
            shown.add(node)
            yield FollowStep(ancestry.id(node), name, old_path)


def _source(store: ObjectStore, old: TreeId, new: TreeId, path: bytes, similar: Similar | None) -> bytes | None:
    """Return the path in `old` of the file that is new at `path`."""
    changes = [c for c in diff_trees(store, old, new) if c.new is None or c.path == path]
    wanted = [Change(c.path, c.old if c.path != path else None, c.new) for c in changes]
    for rename in detect(wanted, similar=similar, parts=store).renames:
        if rename.new_path == path:
            return rename.old_path
    return None
