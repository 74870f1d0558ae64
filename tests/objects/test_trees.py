"""Directories: read, write, change, compare."""

import pytest

from dsvc.objects import trees
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import Kind, content_id
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.trees import (
    MAX_DEPTH,
    TooDeepError,
    edit_tree,
    empty_tree,
    entries,
    lookup,
    tree_entry,
    walk,
    write_tree,
)


def file(text="x", size=None):
    return Entry(EntryKind.FILE, content_id(text.encode()), len(text) if size is None else size)


def test_a_directory_comes_back_in_order_of_names(memory_store):
    wanted = sorted((b"%04d" % (i * 7919 % 10_000), file(str(i))) for i in range(3000))
    root = write_tree(memory_store, wanted)
    assert list(entries(memory_store, root.id)) == wanted
    assert root == tree_entry(memory_store, root.id)
    assert root.size == sum(entry.size for _, entry in wanted)


def test_a_directory_weighs_what_lies_below_it(memory_store):
    root = edit_tree(memory_store, empty_tree(memory_store), {b"a/b/c": file("123"), b"a/d": file("45")})
    assert root.size == 5
    assert lookup(memory_store, root.id, b"a/b").size == 3
    assert [path for path, _ in walk(memory_store, root.id)] == [b"a", b"a/b", b"a/b/c", b"a/d"]
    assert next(path for path, _ in walk(memory_store, root.id, b"top/")) == b"top/a"


def test_lookup(memory_store):
    root = edit_tree(memory_store, empty_tree(memory_store), {b"a/b": file("1"), b"c": file("2")})
    assert lookup(memory_store, root.id, b"a/b") == file("1")
    assert lookup(memory_store, root.id, b"c") == file("2")
    assert lookup(memory_store, root.id, b"") == root
    for path in (b"x", b"a/x", b"a/b/c", b"c/x", b"/a", b"a/", b"a//b"):
        assert lookup(memory_store, root.id, path) is None


def test_edits_replace_files_by_directories_and_back(memory_store):
    root = edit_tree(memory_store, empty_tree(memory_store), {b"a": file("1")})
    root = edit_tree(memory_store, root.id, {b"a/b": file("2")})
    assert lookup(memory_store, root.id, b"a/b") == file("2")
    root = edit_tree(memory_store, root.id, {b"a": file("3")})
    assert lookup(memory_store, root.id, b"a") == file("3")
    root = edit_tree(memory_store, root.id, {b"a": None, b"a/x": file("4")})
    assert [path for path, _ in walk(memory_store, root.id)] == [b"a", b"a/x"]


def test_removing_what_is_not_there_changes_nothing(memory_store):
    root = edit_tree(memory_store, empty_tree(memory_store), {b"a/b": file()})
    assert edit_tree(memory_store, root.id, {b"x": None, b"x/y": None, b"a/c": None, b"a/b/c": None}) == root
    assert edit_tree(memory_store, root.id, {}) == root


def test_a_directory_that_loses_its_last_entry_stays(memory_store):
    root = edit_tree(memory_store, empty_tree(memory_store), {b"a/b": file()})
    root = edit_tree(memory_store, root.id, {b"a/b": None})
    assert [path for path, _ in walk(memory_store, root.id)] == [b"a"]


def test_differences_are_those_of_one_level(memory_store):
    old = edit_tree(memory_store, empty_tree(memory_store), {b"a/b": file("1"), b"c": file("2"), b"d": file("3")})
    new = edit_tree(memory_store, old.id, {b"a/b": file("9"), b"c": None, b"e": file("4")})
    found = list(trees.differences(memory_store, old.id, new.id))
    assert [name for name, _, _ in found] == [b"a", b"c", b"e"]
    assert found[0][1].kind == found[0][2].kind == EntryKind.TREE
    assert found[1][1:] == (file("2"), None)
    assert found[2][1:] == (None, file("4"))


def test_one_change_in_a_directory_of_many_stores_little(memory_store):
    root = write_tree(memory_store, ((b"%06d.jpg" % i, file(str(i))) for i in range(100_000)))
    written = []
    put = memory_store.put
    memory_store.put = lambda kind, payload: written.append(len(payload)) or put(kind, payload)
    changed = edit_tree(memory_store, root.id, {b"054321.jpg": file("new")})
    assert lookup(memory_store, changed.id, b"054321.jpg") == file("new")
    assert sum(written) < 200_000


def test_a_directory_that_is_not_stored_is_named(memory_store):
    with pytest.raises(ObjectMissingError, match=content_id(b"nothing").hex()):
        list(entries(memory_store, content_id(b"nothing")))


def test_a_file_is_no_directory(memory_store):
    other = memory_store.put(Kind.TREE, b"\x90")
    with pytest.raises(BadEncodingError):
        list(entries(memory_store, other))


def test_folders_in_folders(memory_store):
    root = tree_entry(memory_store, empty_tree(memory_store))
    for _ in range(MAX_DEPTH - 1):
        root = write_tree(memory_store, [(b"d", root)])
    assert sum(1 for _ in walk(memory_store, root.id)) == MAX_DEPTH - 1
    for _ in range(2):
        root = write_tree(memory_store, [(b"d", root)])
    with pytest.raises(TooDeepError, match="2048"):
        list(walk(memory_store, root.id))
