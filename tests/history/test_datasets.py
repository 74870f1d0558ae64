"""How two states of a dataset are merged."""

from __future__ import annotations

import pytest

from dsvc.history.datasets import Lineage, reference_merger
from dsvc.objects.ids import Kind
from dsvc.objects.snapshot import Snapshot, encode_snapshot
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.memory import MemoryBackend

STATES = {
    "1": Snapshot("zfs", "1", 10),
    "2": Snapshot("zfs", "2", 10, "1"),
    "3": Snapshot("zfs", "3", 10, "2"),
    "2 indexed": Snapshot("zfs", "2", 10, "1", b"\x01" * 32),
    "other": Snapshot("zfs", "9", 10, "1"),
    "other, the same files": Snapshot("zfs", "8", 10, "1", b"\x01" * 32),
}


@pytest.fixture
def store(tmp_path):
    found = ObjectStore(MemoryBackend(), lambda: tmp_path)
    for state in STATES.values():
        found.put(Kind.SNAPSHOT, encode_snapshot(state))
    found.flush()
    return found


def entry(store, name):
    if name is None:
        return None
    return Entry(EntryKind.SNAPSHOT, store.put(Kind.SNAPSHOT, encode_snapshot(STATES[name])), 10)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ("1", "2", "3", "3"),
        ("1", "3", "2", "3"),
        (None, "1", "3", "3"),
        ("1", "2", "2 indexed", "2 indexed"),
        ("1", "2 indexed", "2", "2 indexed"),
        ("2", "2 indexed", "1", "1"),  # a revert
        ("2", "1", "2 indexed", "1"),
        ("1", "2 indexed", "other, the same files", "2 indexed"),
        ("1", "2", "other", None),
        ("2", "3", "1", None),  # a revert of what something else went on from
    ],
)
def test_merges(store, base, ours, theirs, merged):
    merge = reference_merger(store)
    assert merge(b"data", *(entry(store, name) for name in (base, ours, theirs))) == entry(store, merged)


def test_lineage(store):
    lineage = Lineage(store)
    assert list(lineage.back("3")) == ["2", "1"]
    assert lineage.follows("3", "1")
    assert not lineage.follows("1", "3")
    assert not lineage.follows("other", "2")
