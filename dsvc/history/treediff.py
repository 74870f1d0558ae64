"""What differs between two trees, file by file, without reading what they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import Entry, EntryKind


class Change(NamedTuple):
    """A path at which two trees differ: what stands there in the old and in the new one, None for nothing."""

    path: bytes
    old: Entry | None
    new: Entry | None


PathTree: TypeAlias = dict[bytes, "PathTree | None"]  # names to what is wanted below them; None: everything


def diff_trees(
    store: NodeStore, old: TreeId | None, new: TreeId | None, *, paths: Sequence[bytes] = ()
) -> Iterator[Change]:
    """Yield the changes from `old` to `new` (None: no tree), depth first, in each directory in order of names.

    A change names a file or whatever else is no directory. A directory is yielded itself only where an empty one
    appears or goes, and never where both sides have a directory: its content tells what happened. A file in place of
    a directory is two or more changes, the file first.

    `paths` limits the result to these files and directories; nothing outside of them is read. They need not exist.
    """
    wanted = path_tree(paths)
    stack = [_level(store, b"", old, new, wanted)]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
        elif isinstance(step, Change):
            yield step
        else:
            prefix, a, b, below = step
            stack.append(_level(store, prefix, a, b, below))


def path_tree(paths: Iterable[bytes]) -> PathTree | None:
    """Return the paths as nested names, or None where they do not limit anything."""
    root: dict[bytes, PathTree | None] = {}
    for path in sorted({p.strip(b"/") for p in paths}):  # a directory before what is below it
        if not path:
            return None
        *above, name = path.split(b"/")
        at: PathTree | None = root
        for part in above:
            if isinstance(at, dict):
                at = at.setdefault(part, {})
        if isinstance(at, dict):
            at.setdefault(name, None)
    return root or None


_Below: TypeAlias = tuple[bytes, TreeId | None, TreeId | None, "PathTree | None"]


def _level(
    store: NodeStore, prefix: bytes, old: TreeId | None, new: TreeId | None, wanted: PathTree | None
) -> Iterator[Change | _Below]:
    """Yield the changes of one directory, and where to look below it."""
    for name, a, b in pairs(store, old, new, wanted):
        path = prefix + name
        below = wanted[name] if wanted is not None else None
        left, right = directory_of(a), directory_of(b)
        if left is None and right is None:
            if below is None:
                yield Change(path, a, b)
            continue
        if left is not None and right is not None:
            yield (path + b"/", left, right, below)
            continue
        # A directory on one side: what stands on the other side, or an empty directory, is a change of its own.
        directory = left if left is not None else right
        assert directory is not None
        empty = is_empty(store, directory)
        if below is None:
            change = Change(path, a if left is None or empty else None, b if right is None or empty else None)
            if change.old is not None or change.new is not None:
                yield change
        if not empty:
            yield (path + b"/", left, right, below)


def pairs(
    store: NodeStore, old: TreeId | None, new: TreeId | None, wanted: PathTree | None = None
) -> Iterator[tuple[bytes, Entry | None, Entry | None]]:
    """Yield (name, old entry, new entry) of the names in which two directories, or one and none, differ."""
    if wanted is not None:
        for name in sorted(wanted):
            a = trees.lookup(store, old, name) if old is not None else None
            b = trees.lookup(store, new, name) if new is not None else None
            if a != b:
                yield name, a, b
    elif old is None or new is None:
        if new is not None:
            yield from ((name, None, entry) for name, entry in trees.entries(store, new))
        elif old is not None:
            yield from ((name, entry, None) for name, entry in trees.entries(store, old))
    else:
        yield from trees.differences(store, old, new)


def directory_of(entry: Entry | None) -> TreeId | None:
    """Return the tree's id where an entry is a directory."""
    return TreeId(entry.id) if entry is not None and entry.kind == EntryKind.TREE else None  # type: ignore[arg-type]


def is_empty(store: NodeStore, tree_id: TreeId) -> bool:
    """Say whether a directory has no entries."""
    return next(trees.entries(store, tree_id), None) is None
