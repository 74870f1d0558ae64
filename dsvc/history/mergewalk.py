"""Where three trees differ, read together, so that what only one side changed is never opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from dsvc.history.treediff import Change, diff_trees, directory_of, pairs
from dsvc.objects.ids import TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import Entry

OURS, THEIRS = 0, 1
Step: TypeAlias = tuple[bytes, Entry | None, Entry | None]


class Triple(NamedTuple):
    """What stands at a path in the base and on both sides: no directories."""

    path: bytes
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None


@dataclass(slots=True)
class Divided:
    """The differences of two sides from their base, by who has to decide.

    `both` were changed by both sides, in different ways. `taken` only theirs changed: path to entry, whole directories
    by id, None for gone; a result is built on ours, so what only ours changed is in no list. `alike` are paths that
    both sides changed in the same way, as (path, old, new), where something of the base is gone. `removed[side]` are
    directories that the side removed and the other changed. `mixed` are paths where one side has a directory and the
    other something else. `changes[side]` are all differences of a side from the base as (path, old, new), whole
    directories unopened where they were not compared.
    """

    both: list[Triple] = field(default_factory=list)
    taken: dict[bytes, Entry | None] = field(default_factory=dict)
    alike: list[tuple[bytes, Entry, Entry | None]] = field(default_factory=list)
    removed: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))
    mixed: set[bytes] = field(default_factory=set)
    changes: tuple[list[Step], list[Step]] = field(default_factory=lambda: ([], []))

    def changes_of(self, store: NodeStore, side: int) -> list[Change]:
        """Return the changes of files from the base to a side, in order of paths."""
        found: list[Change] = []
        for path, old, new in self.changes[side]:
            trees = directory_of(old), directory_of(new)
            leaves = old if trees[0] is None else None, new if trees[1] is None else None
            if leaves[0] != leaves[1]:
                found.append(Change(path, *leaves))
            if trees[0] != trees[1]:
                found += [Change(path + b"/" + c.path, c.old, c.new) for c in diff_trees(store, *trees)]
        return sorted(found, key=lambda change: change.path)


def divide(store: NodeStore, base: TreeId | None, ours: TreeId, theirs: TreeId) -> Divided:
    """Compare two trees with the one they come from; reads only directories that both sides changed."""
    found = Divided()
    stack: list[tuple[bytes, TreeId | None, TreeId | None, TreeId | None]] = [(b"", base, ours, theirs)]
    while stack:
        prefix, b, o, t = stack.pop()
        by_ours = {name: (old, new) for name, old, new in pairs(store, b, o)}
        for name, old, their in pairs(store, b, t):
            path = prefix + name
            if name not in by_ours:
                found.taken[path] = their
                found.changes[THEIRS].append((path, old, their))
                continue
            our = by_ours.pop(name)[1]
            if our != their:
                below = _decide(found, path, old, our, their)
                if below is not None:
                    stack.append(below)
                    continue
            elif old is not None and (our is None or directory_of(old) is not None):
                found.alike.append((path, old, our))
            found.changes[OURS].append((path, old, our))
            found.changes[THEIRS].append((path, old, their))
        found.changes[OURS].extend((prefix + name, old, our) for name, (old, our) in by_ours.items())
    return found


_Below = tuple[bytes, TreeId | None, TreeId | None, TreeId | None]


def _decide(found: Divided, path: bytes, old: Entry | None, our: Entry | None, their: Entry | None) -> _Below | None:
    """Note what both sides changed at a path; return the directories to compare below it."""
    trees = directory_of(old), directory_of(our), directory_of(their)
    leaves = [e if tree is None else None for e, tree in zip((old, our, their), trees, strict=True)]
    if trees[1] is None and trees[2] is None:
        found.both.append(Triple(path, leaves[0], leaves[1], leaves[2]))
        if trees[0] is not None and old is not None:
            found.alike.append((path, old, None))
        return None
    if any(leaf is not None for leaf in leaves):
        found.mixed.add(path)
        found.both.append(Triple(path, leaves[0], leaves[1], leaves[2]))
        for side in (OURS, THEIRS):
            found.changes[side].append((path, leaves[0], leaves[1 + side]))
    if trees[0] is not None:
        for side in (OURS, THEIRS):
            if trees[1 + side] is None:
                found.removed[side].append(path)
    return (path + b"/", *trees)
