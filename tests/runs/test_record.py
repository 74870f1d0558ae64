"""Records, notes, pins and names: one encoding each, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import FileId, Kind, ObjectId, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import EntryKind
from dsvc.refs.names import check_name
from dsvc.runs.names import (
    RunKey,
    matches,
    new_key,
    note_ref,
    parse_ref,
    removal_ref,
    run_ref,
    short_key,
)
from dsvc.runs.notes import Note, decode_note, encode_note, labels_after
from dsvc.runs.pins import Pin, Pins, PinState, Seen, StoredFile, put_pins, read_pins
from dsvc.runs.record import Run, decode_run, encode_run
from dsvc.storage.memory import MemoryBackend

KEYS = st.binary(min_size=16, max_size=16).map(RunKey)
IDS = st.binary(min_size=32, max_size=32).map(ObjectId)
TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MAPS = st.dictionaries(TEXTS, VALUES, max_size=4)
FILES = st.builds(StoredFile, IDS.map(FileId), st.integers(0, 2**40))
PINS = st.one_of(
    st.binary(min_size=1, max_size=9).map(lambda path: Pin(path, PinState.MISSING, Seen.DECLARED)),
    st.builds(
        Pin,
        st.binary(min_size=1, max_size=9),
        st.sampled_from([PinState.PINNED, PinState.CHANGED]),
        st.sampled_from([Seen.DECLARED, Seen.PYTHON | Seen.COMPARED]),
        st.sampled_from(EntryKind),
        IDS,
        st.integers(0, 2**40),
    ),
)
LISTS = st.builds(
    lambda rows, table, tree: Pins(len(rows), sum(p.size for p in rows), tuple(rows), table, tree) if rows else Pins(),
    st.lists(PINS, max_size=3),
    st.none() | FILES,
    st.none() | IDS.map(TreeId),
)
RUNS = st.builds(
    Run,
    key=KEYS,
    authority=st.sampled_from(["workload", "derived", "correction"]),
    start=st.integers(0, 2**60),
    zone=st.integers(-720, 720),
    user=TEXTS,
    name=TEXTS,
    description=TEXTS,
    command=st.lists(TEXTS | st.binary(max_size=3), max_size=3).map(tuple),
    directory=st.binary(max_size=4),
    source=st.none() | IDS.map(TreeId),
    parent=st.none() | KEYS,
    params=MAPS,
    metrics=MAPS,
    labels=st.dictionaries(TEXTS, TEXTS, max_size=3),
    inputs=LISTS,
    outputs=LISTS,
    logs=st.dictionaries(TEXTS, FILES, max_size=2),
    end=st.none() | st.integers(0, 2**60),
    exit_code=st.none() | st.integers(0, 255),
    signal=st.none() | st.integers(1, 64),
    lost=st.booleans(),
    error=TEXTS,
    metadata=MAPS,
)


@given(RUNS)
def test_a_record_is_read_as_it_was_written(run):
    payload = encode_run(run)
    found = decode_run(payload)
    assert found == run
    assert encode_run(found) == payload


@given(RUNS, st.binary(max_size=20))
def test_what_was_changed_is_no_record(run, junk):
    payload = encode_run(run)
    with pytest.raises(BadEncodingError):
        decode_run(payload + b"\0")
    fields = codec.decode(payload)
    for change in ({"new field": 1}, {"params": {}}, {"what": "other"}, {"key": b"short"}, {"refs": ((5, junk),)}):
        with pytest.raises(BadEncodingError):
            decode_run(codec.encode({**fields, **change}))
    for name in ("what", "key", "authority", "start", "zone", "user"):
        with pytest.raises(BadEncodingError):
            decode_run(codec.encode({k: v for k, v in fields.items() if k != name}))


@given(st.binary(max_size=60))
def test_anything_else_is_neither_record_nor_note(data):
    for decode in (decode_run, decode_note):
        with pytest.raises(BadEncodingError):
            decode(data)


def test_what_is_kept_with_a_record():
    small, large = StoredFile(FileId(ObjectId(b"s" * 32)), 10), StoredFile(FileId(ObjectId(b"l" * 32)), 10**6)
    run = Run(
        RunKey(bytes(16)),
        "workload",
        0,
        0,
        "",
        source=TreeId(ObjectId(b"t" * 32)),
        logs={"stdout": small, "stderr": large},
        also=((Kind.COMMIT, b"c" * 32),),
    )
    fields = codec.decode(encode_run(run))
    assert fields["refs"] == (
        (Kind.CHUNK, b"s" * 32),
        (Kind.FILE_MAP, b"l" * 32),
        (Kind.TREE, b"t" * 32),
        (Kind.COMMIT, b"c" * 32),
    )
    assert decode_run(encode_run(run)) == run


def test_many_pins_go_into_a_table(tmp_path):
    store = ObjectStore(MemoryBackend(), lambda: tmp_path)
    pins = [
        Pin(b"%06d" % n, PinState.PINNED, Seen.PYTHON, EntryKind.FILE, ObjectId(n.to_bytes(32, "big")), n)
        for n in range(10_000)
    ]
    listed = put_pins(store, reversed(pins), None)
    assert (listed.count, listed.size, listed.rows) == (10_000, sum(range(10_000)), ())
    assert list(read_pins(store, listed)) == pins
    few = put_pins(store, pins[:3], None)
    assert (list(few.rows), few.table) == (pins[:3], None)


def test_names():
    key, note = new_key(1_700_000_000_000_000), new_key(1_700_000_000_001_000)
    assert key < note
    for name in (run_ref(key), note_ref(key, note), removal_ref(key)):
        assert check_name(name) == name
    assert parse_ref(run_ref(key)).key == key
    assert parse_ref(note_ref(key, note)).note == note
    assert parse_ref(removal_ref(key)).is_removal
    for name in ("runs/x", "runs/", f"runs/{key.hex().upper()}", f"{run_ref(key)}/other", f"heads/{key.hex()}"):
        assert parse_ref(name) is None
    assert short_key(key) == key.hex()[12:22]
    assert matches(key, key.hex()[:14])
    assert matches(key, short_key(key)[:4])
    assert not matches(key, "g")


@given(st.permutations(range(4)))
def test_labels_after_notes_in_any_order(order):
    key = new_key(0)
    notes = [
        Note("labels", key, "", 1, 0, labels={"a": "1", "b": "1"}),
        Note("labels", key, "", 2, 0, labels={"a": None}),
        Note("comment", key, "", 3, 0, "text"),
        Note("labels", key, "", 4, 0, labels={"b": "2"}),
    ]
    assert labels_after({"a": "0", "c": "0"}, [notes[n] for n in order]) == {"b": "2", "c": "0"}
    assert [decode_note(encode_note(note)) for note in notes] == notes
