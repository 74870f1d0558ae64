"""Snapshot references of a history: which follows which, and how two are merged."""

from __future__ import annotations

from collections.abc import Iterator

from dsvc.history.mergeentry import MergeReference
from dsvc.objects.ids import Kind, ObjectId, SnapshotId
from dsvc.objects.packlist import PackClass
from dsvc.objects.snapshot import Snapshot, decode_snapshot
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind


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
