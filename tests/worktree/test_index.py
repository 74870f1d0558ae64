"""The index on disk, its blocks against a dict, and folders that take the place of files or the other way round."""

from __future__ import annotations

import itertools

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.worktree import index as index_module
from dsvc.worktree.index import (
    ABSENT,
    DIRECTORY,
    EMPTY,
    UNKNOWN,
    DamagedIndexError,
    Index,
    join,
    make_block,
    pack_signature,
    read_index,
    write_index,
)

FILE = pack_signature(1, 2, 3, 4, 0o100644)


def index_of(*paths: bytes) -> Index:
    index = Index(b"\0" * 32, 0)
    index.update(dict.fromkeys(paths, FILE))
    return index


@pytest.mark.parametrize("order", list(itertools.permutations([b"a", b"x", b"x/one", b"x/two"])))
def test_a_folder_goes_in_any_order_of_its_parts(order):
    index = index_of(b"a", b"x/one", b"x/two")
    index.update(dict.fromkeys(order))
    assert set(index.blocks) == {b""}
    assert index.get(b"x") is None


@pytest.mark.parametrize("order", list(itertools.permutations([(b"x", None), (b"x/one", FILE), (b"a", None)])))
def test_a_folder_takes_the_place_of_a_file(order):
    index = index_of(b"a", b"x")
    index.update(dict(order))
    assert index.get(b"x") == DIRECTORY
    assert index.get(b"x/one") == FILE


@pytest.mark.parametrize("order", list(itertools.permutations([(b"x", FILE), (b"x/one", None), (b"a", None)])))
def test_a_file_takes_the_place_of_a_folder(order):
    index = index_of(b"a", b"x/one")
    index.update(dict(order))
    assert index.get(b"x") == FILE
    assert set(index.blocks) == {b""}


SIGNATURES = st.sampled_from([FILE, DIRECTORY, UNKNOWN, ABSENT, pack_signature(9, 9, 9, 9, 0o100755)])
NAMES = st.binary(min_size=1, max_size=3).filter(lambda name: b"/" not in name and b"\0" not in name)


@given(st.dictionaries(NAMES, SIGNATURES, max_size=12), st.dictionaries(NAMES, st.none() | SIGNATURES, max_size=12))
@pytest.mark.parametrize("splices", [0, 500])
def test_a_block_changes_as_a_dict_does(splices, before, changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_SPLICES", splices)
        changed = make_block(before).changed(changes)
    expected = {name: sig for name, sig in (before | changes).items() if sig is not None}
    assert changed.entries() == expected
    assert changed == make_block(expected)
    assert changed.name_list() == sorted(expected)


def test_many_changes_of_a_large_block():
    before = {b"%06d" % n: FILE for n in range(3000)}
    for count in (400, 600):  # one by one, and all at once
        changes = {b"%06d" % n: None if n % 3 else UNKNOWN for n in range(2900, 2900 + count)}
        expected = {name: sig for name, sig in (before | changes).items() if sig is not None}
        assert make_block(before).changed(changes) == make_block(expected)


PATHS = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=4).map(b"/".join)


@given(st.lists(st.dictionaries(PATHS, st.sampled_from([FILE, UNKNOWN, None]), max_size=5), max_size=5))
def test_an_index_survives_being_written(tmp_path_factory, updates):
    index = Index(b"\7" * 32, 123, {b"": EMPTY}, (b"/a", b"!/a/b"))
    for changes in updates:
        index.update(changes)
    path = tmp_path_factory.mktemp("index") / "index"
    write_index(path, index)
    assert read_index(path) == index
    reached, waiting = set(), [b""]
    while waiting:
        folder = waiting.pop()
        reached.add(folder)
        waiting += [join(folder, name) for name, sig in index.blocks[folder].entries().items() if sig == DIRECTORY]
    assert reached == index.blocks.keys(), "a block that no directory leads to"


def test_a_large_index_survives_being_written(tmp_path):
    index = Index(b"\7" * 32, -5, {b"": EMPTY})
    index.update({b"%d/%d" % (n, m): FILE for n in range(40) for m in range(1000)})
    write_index(tmp_path / "index", index)
    assert read_index(tmp_path / "index") == index
    index.forget(b"7")
    assert index.get(b"7/1") is None
    assert len(index.blocks) == 40


def test_there_is_none(tmp_path):
    assert read_index(tmp_path / "index") is None


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "text"])
def test_a_damaged_index_says_so(tmp_path, damage):
    path = tmp_path / "index"
    write_index(path, index_of(b"a", b"d/x"))
    content = path.read_bytes()
    flipped = content[:60] + bytes([content[60] ^ 1]) + content[61:]
    path.write_bytes({"cut": content[:-1], "empty": b"", "flipped": flipped, "text": b"[index]\n"}[damage])
    with pytest.raises(DamagedIndexError, match="is damaged") as caught:
        read_index(path)
    assert "remove that file" in caught.value.hint


def test_an_index_of_a_later_version_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "VERSION", 2)
    write_index(tmp_path / "index", index_of(b"a"))
    monkeypatch.undo()
    with pytest.raises(DamagedIndexError, match="another version"):
        read_index(tmp_path / "index")


def test_a_later_limit_makes_racy_files_unknown_and_leaves_folders_alone() -> None:
    old, racy = pack_signature(1, 50, 50, 3, 0o100644), pack_signature(1, 150, 150, 4, 0o100644)
    for stamp, expected in ((100, old), (0, UNKNOWN)):
        names = {b"a": old, b"b": racy, b"d": DIRECTORY, b"x": ABSENT}
        index = Index(b"\0" * 32, stamp, {b"": make_block(names), b"d": EMPTY})
        index.restamp(1000)
        assert index.stamp == 1000
        assert index.blocks[b""].entries() == {b"a": expected, b"b": UNKNOWN, b"d": DIRECTORY, b"x": ABSENT}


@pytest.mark.parametrize("count", [3, 40, 7_000, 40_000])
def test_a_directory_of_any_size_is_written_as_one_message(tmp_path, count):
    entries = {b"%07d" % number: FILE for number in range(count)}
    index = Index(b"\7" * 32, 9, {b"": make_block({b"d": DIRECTORY}), b"d": make_block(entries)})
    write_index(tmp_path / "index", index)
    body = (tmp_path / "index").read_bytes()[len(index_module.MAGIC) + 32 :]
    flat = msgpack.unpackb(body, use_list=False)
    assert msgpack.packb(flat, use_bin_type=True) == body
    read = read_index(tmp_path / "index")
    assert read is not None
    assert (read.blocks, read.tree, read.stamp) == (index.blocks, index.tree, 9)
