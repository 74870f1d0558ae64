"""References in trees: what is refused, and that ten thousand cost no objects."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.objects import codec, trees
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import Kind
from dsvc.objects.reference import (
    MAX_BYTES,
    Reference,
    decode_reference,
    encode_reference,
    reference_entry,
    reference_id,
    reference_of,
    shown_id,
)
from dsvc.objects.sortedmap import decode_node, encode_node
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.trees import TREES
from dsvc.storage.memory import MemoryBackend

GOOD = Reference("s3://bucket/key", 5, '"etag"', "")
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


@given(TEXT, st.integers(0, 2**63), TEXT, TEXT)
def test_every_field_counts(address: str, size: int, etag: str, version: str):
    reference = Reference(f"s3://{address}", size, etag or "e", version)
    data = encode_reference(reference)
    assert decode_reference(data) == reference
    for other in (
        reference._replace(address=reference.address + "x"),
        reference._replace(size=size + 1),
        reference._replace(etag=reference.etag + "x"),
        reference._replace(version=version + "x"),
    ):
        assert reference_id(encode_reference(other)) != reference_id(data)


@pytest.mark.parametrize(
    "value",
    [
        ("s3://b/k", 5, "e"),
        ("s3://b/k", 5, "e", "", ""),
        ("s3://b/k", -1, "e", ""),
        ("s3://b/k", True, "e", ""),
        ("no address", 5, "e", ""),
        ("s3://b/k", 5, "", ""),
        ("s3://b/k\n", 5, "e", ""),
        (b"s3://b/k", 5, "e", ""),
        ("s3://b/" + "k" * MAX_BYTES, 5, "e", ""),
    ],
)
def test_other_forms_are_refused(value: tuple[object, ...]):
    data = codec.encode_plain(value)
    with pytest.raises(BadEncodingError):
        decode_reference(data)
    with pytest.raises(BadEncodingError):
        decode_node(TREES, encode_node(0, ((b"name", (int(EntryKind.REFERENCE), data, 5)),)))


def test_a_size_that_contradicts_itself_is_refused():
    data = encode_reference(GOOD)
    with pytest.raises(BadEncodingError, match="size"):
        decode_node(TREES, encode_node(0, ((b"name", (int(EntryKind.REFERENCE), data, 6)),)))


def test_the_same_bytes_are_no_other_kind_of_entry():
    for kind in (EntryKind.FILE, EntryKind.TREE, EntryKind.GITLINK):
        with pytest.raises(BadEncodingError, match="length"):
            decode_node(TREES, encode_node(0, ((b"name", (int(kind), encode_reference(GOOD), 5)),)))


def test_what_people_see():
    entry = reference_entry(GOOD)
    assert entry.size == 5
    assert reference_of(entry) == GOOD
    assert shown_id(entry) == reference_id(entry.id)
    assert shown_id(Entry(EntryKind.FILE, b"\1" * 32, 1)) == b"\1" * 32


def test_a_folder_of_them_is_nothing_but_its_tree(tmp_path: Path):
    store = ObjectStore(MemoryBackend(), lambda: tmp_path)
    names = [(b"%05d" % n, reference_entry(GOOD._replace(address=f"s3://bucket/{n}"))) for n in range(10_000)]
    root = trees.write_tree(store, names)
    assert root.size == 50_000
    assert list(trees.entries(store, root.id)) == names
    [pack] = store.flush()
    assert pack.objects < 200
    assert {place.kind for _, place in store.packs.index(pack).objects()} == {Kind.TREE}
