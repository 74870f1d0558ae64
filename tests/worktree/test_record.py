"""What is recorded is what is on disk, whatever was there before; paths limit it; files that change meanwhile."""

from __future__ import annotations

import base64
import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsvc.objects import trees
from dsvc.objects.tree import Entry, EntryKind
from dsvc.worktree import record
from dsvc.worktree.guard import Guard, NeedsConfirmationError
from dsvc.worktree.scan import UnreadableError
from dsvc.worktree.storing import UnstableFileError
from tests.worktree.working_states import FILES

PROPERTY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PROPERTY
@given(st.lists(FILES, min_size=1, max_size=4), st.booleans())
def test_a_row_of_recordings(make_copy, states, trusting):
    with tempfile.TemporaryDirectory() as folder:
        copy = make_copy(Path(folder))
        for files in states:
            for path in os.listdir(copy.root):
                copy.remove(path)
            copy.put(files)
            tree = copy.record().tree
            assert copy.in_tree(tree) == files
            assert tree == copy.tree_of(files), "the same files give another tree"
            if trusting:  # only for this question: the next state may be written in the same tick
                stamp = copy.index.stamp
                assert copy.scan(trusting=True) == {}
                copy.index.stamp = stamp


@PROPERTY
@given(FILES, FILES, st.sets(st.sampled_from(["a", "b", "a/x", "c/x"]), min_size=1, max_size=2))
def test_paths_limit_what_is_taken(make_copy, before, after, paths):
    with tempfile.TemporaryDirectory() as folder:
        copy = make_copy(Path(folder))
        copy.put(before)
        copy.record()
        for path in os.listdir(copy.root):
            copy.remove(path)
        copy.put(after)
        tops = {path.partition("/")[0] for path in paths}
        recorded = copy.record(paths=[os.fsencode(p) for p in tops])

        def inside(path):
            return path.partition("/")[0] in tops

        expected = {p: c for p, c in before.items() if not inside(p)} | {p: c for p, c in after.items() if inside(p)}
        assert copy.in_tree(recorded.tree) == expected
        changed = {os.fsdecode(p) for p in recorded.changes}
        assert all(inside(p) for p in changed)
        base = copy.tree_of(before)
        assert trees.edit_tree(copy.store, base, recorded.changes).id == recorded.tree
        assert copy.in_tree(copy.record().tree) == after


def test_known_files_only(copy):
    copy.put({"a": b"one", "d/b": b"one", "gone": b"one"})
    copy.record()
    copy.put({"a": b"two", "new": b"new", "d/new": b"new", "e/new": b"new"})
    copy.remove("gone")
    assert copy.in_tree(copy.record(known_only=True).tree) == {"a": b"two", "d/b": b"one"}


def test_listed_changes_of_a_whole_recording(copy):
    copy.put({"a": b"one", "d/e/b": b"one"})
    assert set(copy.record(list_changes=True).changes) == {b"a", b"d/e/b"}


def test_folders_that_hold_only_ignored_files_are_left_out(copy):
    copy.put({".dsvcignore": b"*.log\nbuild/\n", "logs/a.log": b"", "build/x": b"", "empty": None, "d/build/x": b""})
    assert copy.in_tree(copy.record().tree) == {".dsvcignore": b"*.log\nbuild/\n", "empty": None}


def test_a_folder_that_loses_all_but_ignored_files_goes(copy):
    copy.put({".dsvcignore": b"*.log\n", "d/a": b"one", "d/a.log": b""})
    copy.record()
    copy.remove("d/a")
    assert copy.in_tree(copy.record().tree) == {".dsvcignore": b"*.log\n"}
    assert copy.scan(trusting=True).keys() == {b""}  # the folder is looked into again each time
    assert copy.in_tree(copy.record().tree) == {".dsvcignore": b"*.log\n"}


def test_known_files_are_recorded_though_a_rule_names_them(copy):
    copy.put({"a.log": b"one"})
    copy.record()
    copy.put({".dsvcignore": b"*.log\n", "a.log": b"two", "b.log": b"new"})
    assert copy.in_tree(copy.record().tree) == {".dsvcignore": b"*.log\n", "a.log": b"two"}


def test_names_that_are_not_text(copy):
    name = os.fsdecode(b"caf\xe9 \n'\"")
    copy.put({name: b"one", f"{name} d/{name}": b"two"})
    assert copy.in_tree(copy.record().tree) == {name: b"one", f"{name} d/{name}": b"two"}


def test_large_files(copy):
    data = os.urandom(900_000)
    copy.put({"big": data, "d/program": (data[:300_000], "x")})
    recorded = copy.record()
    assert copy.in_tree(recorded.tree) == {"big": data, "d/program": (data[:300_000], "x")}
    assert (recorded.files, recorded.size) == (2, 1_200_000)


def test_specials_are_skipped_and_named(copy, monkeypatch):
    os.mkfifo(copy.root / "pipe")
    (copy.root / "d").mkdir()
    monkeypatch.chdir(copy.root / "d")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        (copy.root / "other" / ".dsvc").mkdir(parents=True)
        copy.put({"a": b"one", "other/f": b"theirs"})
        recorded = copy.record()
    assert {(s.path, s.reason) for s in recorded.skipped} == {
        (b"pipe", "a FIFO"),
        (b"d/s", "a socket"),
        (b"other", "a dsvc repository of its own"),
    }
    assert copy.in_tree(recorded.tree) == {"a": b"one"}


@pytest.mark.parametrize("what", ["fifo", "folder", "gone"])
def test_a_file_that_is_none_any_more_when_it_is_read(copy, what, monkeypatch):
    copy.put({"a": b"one", "b": b"one"})
    copy.record()
    copy.put({"a": b"two", "b": b"two"})
    real = record.store_file

    def store(objects, path, sig, look=None, **rest):
        if path.endswith(b"/a"):
            copy.remove("a")
            if what == "fifo":
                os.mkfifo(path)
            elif what == "folder":
                os.mkdir(path)
        return real(objects, path, sig, look, **rest)

    monkeypatch.setattr(record, "store_file", store)
    assert copy.in_tree(copy.record().tree) == {"b": b"two"}


def test_a_file_that_changes_once_while_it_is_read_is_read_again(copy, monkeypatch):
    copy.put({"a": b"one", "big": b"x" * 400_000})
    real, left = os.read, [3]

    def read(fd, size):
        if left[0]:
            left[0] -= 1
            with open(copy.root / "big", "ab") as file:
                file.write(b"y")
        return real(fd, size)

    monkeypatch.setattr(record.os, "read", read)
    tree = copy.record().tree
    assert copy.in_tree(tree) == copy.files()


def test_a_file_that_changes_at_every_read_is_named(copy, monkeypatch):
    copy.put({"a": b"one"})
    real = os.read

    def read(fd, size):
        with open(copy.root / "a", "ab") as file:
            file.write(b"y")
        return real(fd, size)

    monkeypatch.setattr(record.os, "read", read)
    with pytest.raises(UnstableFileError, match="/a changes while it is read"):
        copy.record()


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(copy):
    copy.put({"secret": b"one"})
    (copy.root / "secret").chmod(0)
    with pytest.raises(UnreadableError, match="secret cannot be read"):
        copy.record()


def test_new_files_above_the_limit_need_a_word_and_known_ones_do_not(copy):
    copy.put({"a": b"x" * 900})
    with pytest.raises(NeedsConfirmationError):
        copy.record(guard=Guard(500))
    copy.record()
    copy.put({"a": b"y" * 950, "b": b"x" * 100})
    assert copy.in_tree(copy.record(guard=Guard(500)).tree).keys() == {"a", "b"}


def test_a_private_key_needs_a_word(copy):
    body = base64.encodebytes(os.urandom(600))
    key = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + body + b"-----END OPENSSH PRIVATE KEY-----\n"
    copy.put({"d/deploy": key})
    with pytest.raises(NeedsConfirmationError, match="d/deploy"):
        copy.record(guard=Guard(1 << 30))


def test_a_gitlink_stays_as_long_as_its_folder(copy):
    link = Entry(EntryKind.GITLINK, b"\1" * 20, 0)
    target = trees.edit_tree(copy.store, trees.empty_tree(copy.store), {b"sub": link}).id
    copy.move(target)
    copy.put({"sub/f": b"inside"})
    assert copy.record().tree == target
    copy.remove("sub")
    assert copy.in_tree(copy.record().tree) == {}


def test_very_deep_folders(copy):
    copy.put({"/".join("d" * 100) + "/f": b"one"})
    assert copy.in_tree(copy.record().tree) == copy.files()


@PROPERTY
@given(FILES)
def test_a_directory_of_many_names_is_recorded_as_any_other(make_copy, files):
    before, record._MANY_NAMES = record._MANY_NAMES, 2
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = make_copy(Path(folder))
            copy.put(files)
            tree = copy.record().tree
            assert tree == copy.tree_of(files)
            assert copy.in_tree(tree) == files
    finally:
        record._MANY_NAMES = before
