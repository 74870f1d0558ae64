from __future__ import annotations

import random

from dsvc.history.dirrenames import directory_renames
from dsvc.history.renames import Rename, detect
from dsvc.history.treediff import diff_trees
from dsvc.objects.tree import Entry, EntryKind

LINES = "".join(f"line {n}\n" for n in range(12))


def renames(project, old, new, **options):
    options.setdefault("similar", project.similar)
    changes = list(diff_trees(project.store, project.tree(old), project.tree(new)))
    found = detect(changes, parts=project.store, **options)
    assert len(changes) == 2 * len(found.renames) + len(found.others)
    return {r.old_path.decode(): (r.new_path.decode(), r.score) for r in found.renames}, found


def test_equal_content_whatever_the_kind_of_file(project):
    found, _ = renames(project, {"a": "x", "run": "y"}, {"b": "x", "go": (EntryKind.EXECUTABLE, "y")}, similar=None)
    assert found == {"a": ("b", 100), "run": ("go", 100)}
    assert renames(project, {"a": "x"}, {"b": (EntryKind.SYMLINK, "x")})[0] == {}


def test_of_equal_files_those_with_the_same_name(project):
    found, _ = renames(project, {"a/x": "1", "a/y": "1"}, {"b/y": "1", "b/x": "1"})
    assert found == {"a/x": ("b/x", 100), "a/y": ("b/y", 100)}


def test_similar_text(project):
    found, rest = renames(project, {"a": LINES, "c": "other"}, {"b": LINES + "more\n", "d": "not at all"})
    assert list(found) == ["a"]
    assert found["a"][0] == "b"
    assert 50 <= found["a"][1] < 100
    assert [c.path for c in rest.others] == [b"c", b"d"]
    assert renames(project, {"a": LINES}, {"b": LINES + "more\n"}, similar=None)[0] == {}
    assert renames(project, {"a": LINES}, {"b": LINES + "more\n"}, minimum=99)[0] == {}
    assert renames(project, {"a": LINES}, {"b": LINES + "more\n"}, sources={b"z"})[0] == {}


def test_empty_files_when_wanted(project):
    assert renames(project, {"a": ""}, {"b": ""})[0] == {"a": ("b", 100)}
    assert renames(project, {"a": ""}, {"b": ""}, empty_files=False)[0] == {}


def test_large_files_by_shared_chunks(project):
    data = random.Random(3).randbytes(2_000_000)
    found, _ = renames(project, {"a.bin": data}, {"b.bin": data[:1_500_000] + b"x" * 300_000}, similar=None)
    assert found["a.bin"][0] == "b.bin"
    assert 55 < found["a.bin"][1] < 90
    assert renames(project, {"a.bin": data}, {"b.bin": random.Random(4).randbytes(2_000_000)})[0] == {}


def test_more_candidates_than_the_limit(project):
    old = {f"d/{n}": LINES.replace("line", f"row {n}") for n in range(10)}
    new = {f"e/{n}": text + "more\n" for n, text in enumerate(old.values())}
    found, result = renames(project, old, new)
    assert len(found) == 10
    assert result.limit is None
    found, result = renames(project, old, new, limit=4)
    assert len(found) == 4
    assert (result.limit.candidates, result.limit.limit) == (10, 4)


def renamed(*pairs: tuple[str, str]) -> list[Rename]:
    entry = Entry(EntryKind.FILE, b"i" * 32, 1)
    return [Rename(old.encode(), entry, new.encode(), entry, 100) for old, new in pairs]


def test_directories_by_majority():
    found = directory_renames(renamed(("d/a", "e/a"), ("d/b", "e/x"), ("d/c", "f/c")), lambda _: True)
    assert found.renames == {b"d": b"e"}
    assert found.moved(b"d/new") == b"e/new"
    assert found.moved(b"d/sub/new") == b"e/sub/new"
    assert found.moved(b"dd/new") is None
    split = directory_renames(renamed(("d/a", "e/a"), ("d/c", "f/c")), lambda _: True)
    assert (split.renames, split.split) == ({}, (b"d",))
    assert directory_renames(renamed(("d/a", "e/a")), lambda _: False).renames == {}


def test_directories_above_as_far_as_names_stay():
    found = directory_renames(renamed(("a/b/c/f", "x/b/c/f"), ("a/b/g", "x/b/g")), lambda d: d != b"a/b/c/f")
    assert found.renames == {b"a/b/c": b"x/b/c", b"a/b": b"x/b", b"a": b"x"}
    assert found.moved(b"a/q") == b"x/q"
    assert directory_renames(renamed(("d/a", "a")), lambda _: True).moved(b"d/n") == b"n"
