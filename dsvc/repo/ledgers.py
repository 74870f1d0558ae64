"""Ledgers: what was learned of content beside history, as sorted maps that refs `data/NAME` keep.

A ledger is a directory whose names are ids in hexadecimal digits. Two of them are merged as sets, and repositories
exchange those of EXCHANGED (dsvc.remotes.transfer.ledgers). docs/formats/ledger.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from dsvc.objects import mapdiff, mapedit, sortedmap
from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.trees import TREES, empty_tree
from dsvc.refs.names import DATA
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, View
from dsvc.repo.repository import Repository

LEARNED: Final = f"{DATA}learned"  # reference id -> file id and size: what content a reference was found to have
FETCHED: Final = f"{DATA}fetched"  # the same, of those whose content is kept here: gc follows these
DROPPED: Final = f"{DATA}dropped"  # file id -> the same and a time (s): fetched content that was dropped again
ORIGINS: Final = f"{DATA}origins"  # a directory like that of commits: path -> reference that was copied or pinned there
PREFIXES: Final = f"{DATA}prefixes"  # path in hexadecimal digits -> the folder of a bucket that was imported there
WHERE: Final = f"{DATA}where"  # file id and remote -> pack list and time: where a copy was found
BEGUN: Final = f"{DATA}begun"  # address (hash) and reference id -> what came of it until an import broke off, as a file
EXCHANGED: Final = (LEARNED, WHERE)
"""Those that are true wherever they are: a push and a fetch bring them along."""

NOWHERE: Final = bytes(ID_LENGTH)  # in the place of a pack list: the remote was asked and did not have all of the file
_TOGETHER = 20_000  # entries that are merged at once


class Copy(NamedTuple):
    """A remote (16 bytes that tell it from others) had all of a file's content at `time` (s since 1970 UTC).

    `packs` is the id of its pack list then, or NOWHERE: it had not.
    """

    remote: bytes
    packs: bytes
    time: int


def ledger_entry(view: View, store: NodeStore, name: str, key: str) -> Entry | None:
    """Return what a ledger says under a key."""
    ref = view.get(name)
    if not isinstance(ref, Direct):
        return None
    value = sortedmap.get(store, TREES, ref.id, key.encode())
    return None if value is None else Entry._make(value)


def ledger_items(view: View, store: NodeStore, name: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Yield (key, entry) of a ledger in order of keys, of those that begin with `prefix`."""
    ref = view.get(name)
    if isinstance(ref, Direct):
        for key, value in sortedmap.items_with_prefix(store, TREES, ref.id, prefix.encode()):
            yield key.decode(), Entry._make(value)


def write_ledger(
    store: ObjectStore, transaction: Transaction, name: str, changes: Mapping[str, Entry | None]
) -> None:
    """Let a transaction change a ledger; None takes a key away."""
    ref = transaction.get(name)
    root = ref.id if isinstance(ref, Direct) else ObjectId(empty_tree(store))
    encoded = [(key.encode(), None if entry is None else tuple(entry)) for key, entry in changes.items()]
    transaction.set(name, Direct(Kind.TREE, mapedit.update(store, TREES, root, encoded).id))


def merge_ledgers(
    store: ObjectStore, ours: ObjectId, theirs: ObjectId, *, theirs_store: ObjectStore | None = None
) -> ObjectId:
    """Return the ledger that knows what either knows; where both know something, the larger entry counts.

    That is the later time of two that say where copies lie. The result does not depend on which is whose. It is made
    in `store`; `theirs_store` has the nodes of `theirs` where that is another one.
    """
    news = (
        (key, b)
        for key, a, b in mapdiff.diff(store, TREES, ours, theirs, new_store=theirs_store)
        if b is not None and (a is None or outranks(b, a))
    )
    merged = ours
    while batch := list(islice(news, _TOGETHER)):
        merged = mapedit.update(store, TREES, merged, batch).id
    return merged


def outranks(one: tuple[int, bytes, int], other: tuple[int, bytes, int]) -> bool:
    """Say whether of two entries under one key the first one counts: it is later, or its id is larger."""
    return (one[2], one[1]) > (other[2], other[1])


def learned_entry(file_id: bytes, size: int) -> Entry:
    """Return an entry that names content and does not keep it: of the kind whose id names nothing in a store."""
    return Entry(EntryKind.GITLINK, file_id, size)


def where_key(file_id: bytes, remote: bytes) -> str:
    """Return the key under which it is noted that a remote has a file."""
    return f"{file_id.hex()}.{remote.hex()}"


def where_entry(copy: Copy) -> Entry:
    """Return the entry that says when a remote had a file."""
    return Entry(EntryKind.GITLINK, copy.packs, copy.time)


def copies_of(repo: Repository, file_id: bytes) -> list[Copy]:
    """Return where copies of a file were found when remotes were last asked."""
    found = ledger_items(repo.view(), repo.store, WHERE, f"{file_id.hex()}.")
    return [
        Copy(bytes.fromhex(key.partition(".")[2]), entry.id, entry.size) for key, entry in found if entry.id != NOWHERE
    ]

