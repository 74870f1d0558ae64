"""What a scan finds by stat alone, what it must not miss, and that two processes find what one finds."""

from __future__ import annotations

import os
import signal

import pytest

from dsvc.worktree import scan, survey
from dsvc.worktree.index import signature
from dsvc.worktree.scan import Scanner


def test_new_changed_and_gone(copy):
    copy.put({"a": b"one", "b": b"one", "d/a": b"one", "d/e/a": b"one"})
    copy.record()
    assert copy.scan(trusting=True) == {}
    copy.put({"a": b"longer", "new": b"new", "d/e/new": b"new", "f/new": b"new"})
    copy.remove("b")
    copy.remove("d/a")
    found = copy.scan()
    root = found[b""]
    assert (set(root.changed), set(root.new), root.gone, root.new_directories) == ({b"a"}, {b"new"}, [b"b"], [b"f"])
    assert root.changed[b"a"] == signature(os.lstat(copy.root / "a"))
    assert found[b"d"].gone == [b"a"]
    assert set(found[b"d/e"].new) == {b"new"}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("before", "after", "changed", "new", "gone", "new_directories"),
    [
        (b"x", ("link", "y"), {b"p"}, set(), [], []),
        (("link", "y"), b"x", {b"p"}, set(), [], []),
        (b"x", (b"x", "x"), {b"p"}, set(), [], []),
        (None, b"x", set(), {b"p"}, [b"p"], []),
        (None, ("link", "y"), set(), {b"p"}, [b"p"], []),
        (b"x", None, set(), set(), [b"p"], [b"p"]),
        (("link", "."), None, set(), set(), [b"p"], [b"p"]),
    ],
)
def test_changes_of_type(copy, before, after, changed, new, gone, new_directories):
    copy.put({"p": before})
    copy.record()
    copy.remove("p")
    copy.put({"p": after})
    delta = copy.scan(trusting=True)[b""]
    assert (set(delta.changed), set(delta.new), delta.gone, delta.new_directories) == (
        changed,
        new,
        gone,
        new_directories,
    )


def test_a_file_in_place_of_a_fifo_and_the_other_way_round(copy):
    copy.put({"a": b"one"})
    copy.record()
    copy.remove("a")
    os.mkfifo(copy.root / "a")
    delta = copy.scan(trusting=True)[b""]
    assert delta.gone == [b"a"]
    assert [(s.path, s.reason) for s in delta.skipped] == [(b"a", "a FIFO")]


def test_ignored_names_are_not_new(copy):
    copy.put({".dsvcignore": b"*.log\nbuild/\n"})
    copy.record()
    copy.put({"a.log": b"", "build/x": b"", "b": b""})
    delta = copy.scan(trusting=True)[b""]
    assert (set(delta.new), delta.new_directories) == ({b"b"}, [])


def test_refused_names_are_named_and_left_out(copy):
    copy.put({".GIT/config": b"", "d": None})
    assert [s.path for s in copy.scan()[b""].skipped] == [b".GIT"]


def test_paths_limit_what_is_looked_at(copy):
    copy.put({"a": b"one", "d/a": b"one", "e/a": b"one"})
    copy.record()
    copy.put({"a": b"two!", "d/a": b"two!", "e/a": b"two!"})
    assert copy.scan(b"d").keys() == {b"d"}
    assert copy.scan(b"a", b"e/a").keys() == {b"", b"e"}


def test_a_file_rewritten_in_the_same_tick_is_noticed(copy):
    """Its signature is as the index has it: only that the index is not older than the file tells."""
    copy.put({"d/a": b"one", "b": b"old"})
    copy.record()
    copy.put({"d/a": b"two"})
    now = signature(os.lstat(copy.root / "d" / "a"))
    copy.index.update({b"d/a": now})
    copy.index.stamp = os.lstat(copy.root / "d" / "a").st_ctime_ns
    assert set(copy.scan()[b"d"].changed) == {b"a"}
    copy.record()
    assert copy.in_tree(copy.index.tree)["d/a"] == b"two"
    copy.index.stamp += 1 << 40
    assert copy.scan() == {}


def test_paths_do_not_make_other_racy_files_trusted(copy):
    copy.put({"a": b"one", "b": b"one"})
    copy.record()
    copy.put({"a": b"two", "b": b"two"})
    copy.index.update({b"a": signature(os.lstat(copy.root / "a"))})
    copy.index.stamp = os.lstat(copy.root / "a").st_ctime_ns
    copy.record(paths=[b"b"], stamp=copy.index.stamp + (1 << 40))
    copy.record()
    assert copy.in_tree(copy.index.tree) == {"a": b"two", "b": b"two"}


@pytest.fixture
def forked(monkeypatch):
    for module in (scan, survey):
        monkeypatch.setattr(module, "WORTH_FORKING", 4)


def scanned(copy):
    scanner = Scanner(copy.root_bytes, copy.index, copy.rules())
    return list(scanner.walk())


def edited(copy):
    copy.put({f"d{n}/{m}": b"one" for n in range(6) for m in range(3)})
    copy.put({f"wide/{n:03}": b"one" for n in range(9)})
    copy.record()
    copy.put({"d0/1": b"longer", "d5/new": b"", "wide/000": b"longer", "wide/new": b"", "wide/sub/x": b"", "e/x": b""})
    copy.remove("d4")
    copy.remove("wide/008")
    os.mkfifo(copy.root / "wide" / "001pipe")
    os.mkfifo(copy.root / "wide" / "zpipe")


def test_two_processes_find_what_one_finds(copy, monkeypatch):
    edited(copy)
    alone = scanned(copy)
    for module in (scan, survey):
        monkeypatch.setattr(module, "WORTH_FORKING", 4)
    assert scanned(copy) == alone
    assert len(alone) == 7


def test_two_processes_record_what_one_records(copy, forked):
    edited(copy)
    copy.remove("wide/001pipe")
    copy.remove("wide/zpipe")
    assert copy.in_tree(copy.record().tree) == copy.files()


def test_a_child_that_dies_is_done_without(copy, forked, monkeypatch):
    edited(copy)
    expected = scanned(copy)
    parent, real = os.getpid(), os.lstat

    def lstat(path):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path)

    monkeypatch.setattr(scan.os, "lstat", lstat)
    assert scanned(copy) == expected


def test_an_error_in_the_child_is_raised_by_the_parent(forked):
    def fail():
        raise KeyError("there")

    with pytest.raises(KeyError, match="there"):
        survey.together(lambda: 1, fail)
    with pytest.raises(KeyError, match="there"):
        survey.together(fail, lambda: 1)
    assert survey.together(lambda: "a" * 3_000_000, lambda: "b" * 3_000_000) == ("a" * 3_000_000, "b" * 3_000_000)
