from __future__ import annotations

import random

from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import EntryKind


def changes(project, old, new, *paths):
    found = diff_trees(
        project.store,
        None if old is None else project.tree(old),
        None if new is None else project.tree(new),
        paths=[p.encode() for p in paths],
    )
    return ["+" * (c.new is not None) + "-" * (c.old is not None) + c.path.decode() for c in found]


class Watched:
    """A store that notes which directories are read."""

    def __init__(self, store: ObjectStore) -> None:
        self.store, self.read = store, set()

    def node(self, map_kind, node_id):
        self.read.add(node_id)
        return self.store.node(map_kind, node_id)

    def put(self, kind, payload):
        return self.store.put(kind, payload)


def test_files_that_come_go_and_change_in_order_of_the_walk(project):
    old = {"a.txt": "1", "a/x": "1", "a/y": "1", "b": "1", "same/deep/er": "1"}
    new = {"a.txt": "2", "a/x": "2", "a/z": "1", "c": "1", "same/deep/er": "1"}
    assert changes(project, old, new) == ["+-a/x", "-a/y", "+a/z", "+-a.txt", "-b", "+c"]
    assert changes(project, old, old) == []


def test_no_tree_on_one_side(project):
    files = {"a/b": "1", "c": "2", "empty": None}
    assert changes(project, None, files) == ["+a/b", "+c", "+empty"]
    assert changes(project, files, None) == ["-a/b", "-c", "-empty"]
    assert changes(project, None, None) == []


def test_empty_directories_appear_and_go_but_do_not_change(project):
    assert changes(project, {}, {"d/e": None}) == ["+d/e"]
    assert changes(project, {"d/e": None}, {}) == ["-d/e"]
    assert changes(project, {"d": None}, {"d/f": "1"}) == ["+d/f"]
    assert changes(project, {"d/f": "1"}, {"d": None}) == ["-d/f"]
    assert changes(project, {"d/f": "1"}, {"d/e": None}) == ["+d/e", "-d/f"]


def test_a_file_in_place_of_a_directory(project):
    assert changes(project, {"p/a": "1", "p/b/c": "1"}, {"p": "1"}) == ["+p", "-p/a", "-p/b/c"]
    assert changes(project, {"p": "1"}, {"p/a": "1"}) == ["-p", "+p/a"]
    assert changes(project, {"p": None}, {"p": "1"}) == ["+-p"]


def test_a_change_of_mode_is_a_change(project):
    old, new = {"run": "x"}, {"run": (EntryKind.EXECUTABLE, "x")}
    assert changes(project, old, new) == ["+-run"]


def test_limited_to_paths(project):
    old = {"a/b/c": "1", "a/b/d": "1", "a/e": "1", "f": "1"}
    new = {"a/b/c": "2", "a/b/d": "2", "a/e": "2", "f": "2", "g": "2"}
    assert changes(project, old, new, "a/b") == ["+-a/b/c", "+-a/b/d"]
    assert changes(project, old, new, "g", "a/b/d", "nothing/here") == ["+-a/b/d", "+g"]
    assert changes(project, old, new, "a", "a/b/c") == ["+-a/b/c", "+-a/b/d", "+-a/e"]
    assert changes(project, old, new, "a/b/c", "a/b/") == ["+-a/b/c", "+-a/b/d"]
    assert len(changes(project, old, new, "")) == 5
    assert changes(project, {"a": "1"}, {"a/b": "1", "a/c": "1"}, "a/b") == ["+a/b"]
    assert changes(project, {"a": "1"}, {"a/b": "1", "a/c": "1"}, "a") == ["-a", "+a/b", "+a/c"]


def test_what_is_equal_or_outside_of_the_paths_is_not_read(project):
    rng = random.Random(1)
    files = {f"d{rng.randrange(10)}/e{rng.randrange(10)}/f{rng.randrange(100)}": "1" for _ in range(900)}
    changed = {**files, "d3/e3/new": "1", "d5/e5/new": "2"}
    old, new = project.tree(files), project.tree(changed)
    watched = Watched(project.store)
    assert [c.path for c in diff_trees(watched, old, new)] == [b"d3/e3/new", b"d5/e5/new"]
    assert len(watched.read) == 2 * 5
    watched = Watched(project.store)
    assert [c.path for c in diff_trees(watched, old, new, paths=[b"d3"])] == [b"d3/e3/new"]
    assert len(watched.read) == 2 * 3


def test_applying_the_changes_makes_the_new_tree(project):
    rng = random.Random(7)

    def some() -> dict[str, str | None]:
        files: dict[str, str | None] = {}
        for _ in range(30):
            path = "/".join(rng.choice("abc") for _ in range(rng.randrange(1, 4)))
            if not any(p.startswith(path + "/") or path.startswith(p + "/") for p in files):
                files[path] = rng.choice(["1", "2", None])
        return files

    for _ in range(50):
        old, new = project.tree(some()), project.tree(some())
        listed = {c.path: c.new for c in diff_trees(project.store, old, new)}
        result = TreeId(trees.edit_tree(project.store, old, listed).id)
        wanted, got = project.read(new), project.read(result)
        assert {p: v for p, v in got.items() if v is not None} == {p: v for p, v in wanted.items() if v is not None}
