"""Ledgers of different repositories are merged as sets, whichever comes first."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.objects import trees
from dsvc.objects.ids import ObjectId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry
from dsvc.repo.ledgers import Copy, learned_entry, merge_ledgers, where_entry, where_key
from dsvc.storage.memory import MemoryBackend

IDS = st.integers(0, 3).map(lambda n: bytes([n]) * 32)
LEDGER = st.dictionaries(st.integers(0, 9).map(lambda n: b"%02d" % n), st.builds(learned_entry, IDS, st.integers(0, 5)))


def ledger(store: ObjectStore, entries: dict[bytes, Entry]) -> ObjectId:
    return ObjectId(trees.write_tree(store, sorted(entries.items())).id)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LEDGER, LEDGER, LEDGER)
def test_any_order_of_merges_gives_the_same(tmp_path: Path, a, b, c):
    store = ObjectStore(MemoryBackend(), lambda: tmp_path)
    one, two, three = (ledger(store, entries) for entries in (a, b, c))
    together = merge_ledgers(store, merge_ledgers(store, one, two), three)
    assert together == merge_ledgers(store, three, merge_ledgers(store, two, one))
    assert together == merge_ledgers(store, together, one)
    assert {key for key, _ in trees.entries(store, together)} == a.keys() | b.keys() | c.keys()


def test_the_later_sight_of_a_copy_counts(tmp_path: Path):
    store = ObjectStore(MemoryBackend(), lambda: tmp_path)
    key = where_key(b"\1" * 32, b"\2" * 16).encode()
    early = ledger(store, {key: where_entry(Copy(b"\2" * 16, b"\3" * 32, 100))})
    late = ledger(store, {key: where_entry(Copy(b"\2" * 16, b"\4" * 32, 200))})
    assert merge_ledgers(store, late, early) == merge_ledgers(store, early, late) == late
