"""Snapshot references of a history: which follows which, how two are merged, and what files they have.

A reference that was indexed names the tree of its files. Where two states are compared or merged by their files, that
tree stands in the place of the reference; what a merge leaves as one side had it becomes that side's reference again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from dsvc.history.mergeentry import MergeReference
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, SnapshotId, TreeId
from dsvc.objects.packlist import PackClass
from dsvc.objects.snapshot import Snapshot, decode_snapshot
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind

Sides: TypeAlias = tuple[TreeId | None, TreeId, TreeId]  # base, ours, theirs


def stored_snapshots(store: ObjectStore) -> Iterator[tuple[SnapshotId, Snapshot]]:
    """Yield every snapshot reference that the packs of a store have, each once; there are few of them."""
    seen: set[bytes] = set()
    for ref in [ref for ref in store.packs.refs() if ref.pack_class == PackClass.METADATA]:
        for object_id, place in store.packs.index(ref).objects():
            if place.kind == Kind.SNAPSHOT and object_id not in seen:
                seen.add(object_id)
                yield SnapshotId(ObjectId(object_id)), decode_snapshot(store.get(object_id, Kind.SNAPSHOT))


class Lineage:
    """Which snapshots follow which, by what is stored of them."""

    def __init__(self, store: ObjectStore) -> None:
        self._previous = {s.guid: s.previous for _, s in stored_snapshots(store)}

    def back(self, guid: str) -> Iterator[str]:
        """Yield the guids of the snapshots from which one went on, the nearest first."""
        seen = {guid}
        while (guid := self._previous.get(guid, "")) and guid not in seen:
            seen.add(guid)
            yield guid

    def follows(self, later: str, earlier: str) -> bool:
        """Say whether a snapshot went on from an earlier one, at once or over others."""
        return earlier in self.back(later)


def is_same_data(a: Snapshot, b: Snapshot) -> bool:
    """Say whether two references are of the same data: one snapshot, or the same files."""
    return (a.provider, a.guid) == (b.provider, b.guid) or (a.tree is not None and a.tree == b.tree)


def _are_same_data(store: ObjectStore, old: Entry | None, new: Entry | None) -> bool:
    pair = [e for e in (old, new) if e is not None and e.kind == EntryKind.SNAPSHOT and store.has(e.id, Kind.SNAPSHOT)]
    return len(pair) == 2 and is_same_data(_read(store, pair[0]), _read(store, pair[1]))


def reference_merger(store: ObjectStore) -> MergeReference:
    """Return what merges two states of a dataset: the same data is no conflict, and one that follows the other wins.

    It wins only where the other one follows their base: else somebody went back on purpose.
    """

    def merge(_path: bytes, base: Entry | None, ours: Entry, theirs: Entry) -> Entry | None:
        if not ours.kind == theirs.kind == EntryKind.SNAPSHOT:
            return None
        a, b = _read(store, ours), _read(store, theirs)
        old = _read(store, base) if base is not None and base.kind == EntryKind.SNAPSHOT else None
        if is_same_data(a, b):
            return theirs if a.tree is None else ours  # the one that is indexed says more
        if old is not None and is_same_data(a, old):
            return theirs
        if old is not None and is_same_data(b, old):
            return ours
        lineage = Lineage(store)
        for winner, later, earlier in ((ours, a, b), (theirs, b, a)):
            if lineage.follows(later.guid, earlier.guid):
                return winner if old is None or lineage.follows(earlier.guid, old.guid) else None
        return None

    return merge


def _read(store: ObjectStore, entry: Entry) -> Snapshot:
    return decode_snapshot(store.get(entry.id, Kind.SNAPSHOT))


def files_of(store: ObjectStore, entry: Entry | None) -> Entry | None:
    """Return the directory that an entry is, or in which the files of an indexed reference lie; else None."""
    if entry is None or entry.kind == EntryKind.TREE:
        return entry
    known = entry.kind == EntryKind.SNAPSHOT and store.has(entry.id, Kind.SNAPSHOT)
    indexed = _read(store, entry).tree if known else None
    return trees.tree_entry(store, indexed) if indexed is not None else None


def diff_files(
    store: ObjectStore, old: TreeId | None, new: TreeId, *, paths: Sequence[bytes] = ()
) -> Iterator[Change]:
    """Yield what `diff_trees` does, and of datasets that are indexed on both sides the files that differ.

    A dataset that is not, and differs, counts for each of the `paths` in it: which of its files do is not known here.
    Two references to one snapshot are equal, though one of them was indexed.
    """
    wanted = [path.strip(b"/") for path in paths]
    above = {path[:at] for path in wanted for at in range(len(path)) if path[at : at + 1] == b"/"}
    changes = list(diff_trees(store, old, new, paths=paths))
    found = {change.path for change in changes if EntryKind.SNAPSHOT in _kinds(change.old, change.new)}
    opened: tuple[dict[bytes, Entry | None], dict[bytes, Entry | None]] = {}, {}
    whole: list[Change] = []
    for path in found | above:
        pair = trees.lookup(store, old, path) if old is not None else None, trees.lookup(store, new, path)
        files = files_of(store, pair[0]), files_of(store, pair[1])
        if EntryKind.SNAPSHOT in _kinds(*pair) and files[0] is not None and files[1] is not None:
            opened[0][path], opened[1][path] = files
        elif _are_same_data(store, *pair):
            changes = [change for change in changes if change.path != path]
        elif EntryKind.SNAPSHOT in _kinds(*pair) and path not in found and pair[0] != pair[1]:
            whole.append(Change(path, *pair))
    if old is not None and opened[0]:
        sides = [TreeId(ObjectId(trees.edit_tree(store, t, m).id)) for t, m in zip((old, new), opened, strict=True)]
        changes = list(diff_trees(store, sides[0], sides[1], paths=paths))
    yield from sorted((*changes, *whole), key=lambda change: change.path) if whole else changes


def open_indexed(
    store: ObjectStore, sides: Sides, paths: Iterable[bytes], reference: MergeReference | None
) -> tuple[Sides, Mapping[bytes, tuple[Entry, ...]]]:
    """Return three trees with the files of datasets in the place of references that can only be merged by those.

    `paths` are those at which both sides differ. Beside the trees come the references of both sides, for
    `close_indexed`. A dataset is opened where every side of it is indexed, or a folder already, and where neither
    state follows the other.
    """
    changes: tuple[dict[bytes, Entry | None], ...] = {}, {}, {}
    found: dict[bytes, tuple[Entry, ...]] = {}
    for path in paths:
        old, mine, other = (trees.lookup(store, tree, path) if tree is not None else None for tree in sides)
        if EntryKind.SNAPSHOT not in _kinds(mine, other) or mine is None or other is None:
            continue
        both = mine.kind == other.kind == EntryKind.SNAPSHOT
        if both and reference is not None and reference(path, old, mine, other) is not None:
            continue
        files = [files_of(store, entry) for entry in (old, mine, other)]
        if files[1] is None or files[2] is None or (old is not None and files[0] is None):
            continue
        for made, entry in zip(changes, files, strict=True):
            if entry is not None:
                made[path] = entry
        found[path] = tuple(entry for entry in (mine, other) if entry.kind == EntryKind.SNAPSHOT)
    base, ours, theirs = (
        TreeId(ObjectId(trees.edit_tree(store, tree, made).id)) if tree is not None and made else tree
        for tree, made in zip(sides, changes, strict=True)
    )
    assert ours is not None
    assert theirs is not None
    return (base, ours, theirs), found


def close_indexed(
    store: ObjectStore, tree: TreeId, opened: Mapping[bytes, tuple[Entry, ...]]
) -> tuple[TreeId, list[bytes]]:
    """Return a merged tree with the references that its folders are still those of, and the paths of the others."""
    back: dict[bytes, Entry | None] = {}
    left = []
    for path, references in opened.items():
        now = trees.lookup(store, tree, path)
        same = [one for one in references if now is not None and _read(store, one).tree == now.id]
        if same:
            back[path] = same[0]
        else:
            left.append(path)
    return (TreeId(ObjectId(trees.edit_tree(store, tree, back).id)) if back else tree), sorted(left)


def _kinds(*entries: Entry | None) -> set[int]:
    return {entry.kind for entry in entries if entry is not None}
