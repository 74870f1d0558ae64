"""Build the merged tree from what each side contributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from dsvc.history.dirrenames import parent_of
from dsvc.history.treediff import directory_of, is_empty
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import Entry


def assemble(
    store: NodeStore,
    sides: tuple[TreeId | None, TreeId, TreeId],
    *,
    taken: Mapping[bytes, Entry | None],
    results: Mapping[bytes, Entry | None],
    removed: Iterable[bytes] = (),
    moved: Iterable[bytes] = (),
) -> TreeId:
    """Store ours with what is taken from theirs and, above that, these results; return the tree.

    Directories that lose their last entry by this, and those in `removed`, stay only when the merge of whether they
    exist says so: one that a side removed is gone when it is empty. A result of None removes no directory.
    Directories that are empty because the files in `moved` were moved out of them do not stay.
    """
    base, ours, theirs = sides
    edits = dict(taken)
    inside: defaultdict[bytes, dict[bytes, Entry | None]] = defaultdict(dict)
    for path, entry in results.items():
        if entry is None and directory_of(taken[path] if path in taken else trees.lookup(store, ours, path)):
            continue
        above = _taken_above(path, taken)
        if above is None:
            edits[path] = entry
        else:
            inside[above][path[len(above) + 1 :]] = entry
    for path, below in inside.items():
        entry = taken[path]
        if path in results:
            edits |= {path + b"/" + name: e for name, e in below.items() if e is not None}
        elif directory_of(entry) is not None and entry is not None:
            edits[path] = trees.edit_tree(store, entry.id, below)
        else:
            edits |= {path + b"/" + name: e for name, e in below.items()}
    tree = TreeId(trees.edit_tree(store, ours, edits).id)  # type: ignore[arg-type]
    doubtful = {*removed, *(parent_of(path) for path, entry in {**taken, **results}.items() if entry is None)}
    return _prune(store, tree, doubtful, {above for path in moved for above in _all_above(path)}, (base, ours, theirs))


def _taken_above(path: bytes, taken: Mapping[bytes, Entry | None]) -> bytes | None:
    return next((above for above in _all_above(path) if above in taken), None)


def _all_above(path: bytes) -> Iterator[bytes]:
    above = parent_of(path)
    while above:
        yield above
        above = parent_of(above)


def _prune(
    store: NodeStore,
    tree: TreeId,
    doubtful: set[bytes],
    vacated: set[bytes],
    sides: tuple[TreeId | None, TreeId, TreeId],
) -> TreeId:
    by_depth: defaultdict[int, set[bytes]] = defaultdict(set)
    for path in doubtful | vacated:
        for above in (path, *_all_above(path)):
            by_depth[above.count(b"/")].add(above)
    for depth in sorted(by_depth, reverse=True):
        going = [
            path
            for path in by_depth[depth]
            if path and _is_empty_at(store, tree, path) and (path in vacated or not _should_exist(store, path, sides))
        ]
        if going:
            edited = trees.edit_tree(store, tree, dict.fromkeys(going))
            tree = TreeId(edited.id)  # type: ignore[arg-type]
    return tree


def _is_empty_at(store: NodeStore, tree: TreeId, path: bytes) -> bool:
    now = directory_of(trees.lookup(store, tree, path))
    return now is not None and is_empty(store, now)


def _should_exist(store: NodeStore, path: bytes, sides: tuple[TreeId | None, TreeId, TreeId]) -> bool:
    """Merge whether a directory exists, as a value."""
    base, ours, theirs = (
        side is not None and directory_of(trees.lookup(store, side, path)) is not None for side in sides
    )
    return ours if ours == theirs or base != ours else theirs


def beside_name(path: bytes, label: bytes, used: Callable[[bytes], bool]) -> bytes:
    """Return a free name for one side's version of a file: the path, `~`, and the side's label."""
    name = path + b"~" + label.replace(b"/", b"_").replace(b"\0", b"_")
    number, candidate = 0, name
    while used(candidate):
        candidate = b"%s_%d" % (name, number)
        number += 1
    return candidate
