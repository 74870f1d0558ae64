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


def reference_merger(store: ObjectStore) -> MergeReference:
    """Return what merges two states of a dataset: the same data is no conflict, and one that follows the other wins."""

    def merge(_path: bytes, _base: Entry | None, ours: Entry, theirs: Entry) -> Entry | None:
        if not ours.kind == theirs.kind == EntryKind.SNAPSHOT:
            return None
        a, b = (decode_snapshot(store.get(entry.id, Kind.SNAPSHOT)) for entry in (ours, theirs))
        if (a.provider, a.guid) == (b.provider, b.guid):
            return theirs if a.tree is None else ours  # the one that is indexed says more
        if a.tree is not None and a.tree == b.tree:
            return ours
        lineage = Lineage(store)
        if lineage.follows(a.guid, b.guid):
            return ours
        return theirs if lineage.follows(b.guid, a.guid) else None

    return merge
