from __future__ import annotations

import pytest

from dsvc.history.ancestry import Ancestry
from dsvc.history.mergecommits import CommitMerger
from dsvc.history.mergeentry import Labels
from dsvc.history.treemerge import merge_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.tree import Entry, EntryKind

LINES = "".join(f"line {n}\n" for n in range(12))
TOP, END = "top\n" + LINES, LINES + "end\n"
BOTH = "top\n" + LINES + "end\n"
LINK = EntryKind.SYMLINK


def merge(project, base, ours, theirs, **options):
    found = merge_trees(
        project.store,
        None if base is None else project.tree(base),
        project.tree(ours),
        project.tree(theirs),
        content=options.pop("content", project.merge_content),
        similar=project.similar,
        labels=Labels(b"BASE", b"OURS", b"side/x"),
        **options,
    )
    files = {p: None if c is None else c.decode() for p, c in project.read(found.tree).items()}
    return files, [(c.path.decode(), c.kind) for c in found.conflicts], found


def test_what_one_side_changed_is_taken(project):
    base = {"a": "1", "d/b": "1", "d/c": "1", "gone/x": "1"}
    ours = {"a": "2", "d/b": "1", "d/c": "1", "gone/x": "1", "new/o": "1"}
    theirs = {"a": "1", "d/b": "2", "d/t": "3"}
    files, conflicts, _ = merge(project, base, ours, theirs)
    assert files == {"a": "2", "d/b": "2", "d/t": "3", "new/o": "1"}
    assert conflicts == []


def test_text_is_merged_by_lines_and_conflicts_are_marked(project):
    files, conflicts, found = merge(project, {"f": LINES}, {"f": TOP}, {"f": END})
    assert (files, conflicts, found.merged) == ({"f": BOTH}, [], (b"f",))
    files, conflicts, found = merge(project, {"f": "a\n"}, {"f": "b\n"}, {"f": "c\n"})
    assert files == {"f": "<<<<<<< OURS\nb\n=======\nc\n>>>>>>> side/x\n"}
    assert conflicts == [("f", "content")]
    versions = found.conflicts[0].versions
    assert [project.store.read_file(v.id) for v in (versions.base, versions.ours, versions.theirs)] == [
        b"a\n", b"b\n", b"c\n",
    ]  # fmt: skip


def test_binary_files_are_kept_beside_each_other(project):
    files, conflicts, found = merge(project, {"m": "\0a"}, {"m": "\0b", "m~side_x": "taken"}, {"m": "\0c"})
    assert files == {"m": "\0b", "m~side_x": "taken", "m~side_x_0": "\0c"}
    assert conflicts == [("m", "binary")]
    assert found.conflicts[0].kept == (b"m", b"m~side_x_0")
    files, conflicts, _ = merge(project, {}, {"m": "\0b"}, {"m": "\0c"})
    assert (files, conflicts) == ({"m": "\0b", "m~side_x": "\0c"}, [("m", "add/add")])


def test_a_change_against_a_deletion_keeps_the_file(project):
    assert merge(project, {"f": "1"}, {"f": "2"}, {})[:2] == ({"f": "2"}, [("f", "modify/delete")])
    assert merge(project, {"d/f": "1"}, {}, {"d/f": "2"})[:2] == ({"d/f": "2"}, [("d/f", "modify/delete")])


def test_modes_and_links_are_values(project):
    run = EntryKind.EXECUTABLE
    _, conflicts, found = merge(project, {"f": LINES}, {"f": (run, LINES)}, {"f": END})
    assert conflicts == []
    assert trees.lookup(project.store, found.tree, b"f").kind == run
    files, conflicts, _ = merge(project, {"l": (LINK, "a")}, {"l": (LINK, "b")}, {"l": (LINK, "c")})
    assert (files, conflicts) == ({"l": "b", "l~side_x": "c"}, [("l", "symlink")])
    assert merge(project, {"l": (LINK, "a")}, {"l": (LINK, "a")}, {"l": (LINK, "c")})[:2] == ({"l": "c"}, [])
    files, conflicts, _ = merge(project, {"l": "a"}, {"l": (LINK, "b")}, {"l": "c"})
    assert (files, conflicts) == ({"l": "b", "l~side_x": "c"}, [("l", "kinds")])


def test_references_go_through_their_callback(project):
    def tree(letter: bytes) -> TreeId:
        entry = Entry(EntryKind.SNAPSHOT, letter * 32, 5)
        return TreeId(trees.write_tree(project.store, [(b"data", entry)]).id)

    def merged(reference):
        return merge_trees(
            project.store, tree(b"a"), tree(b"b"), tree(b"c"), content=project.merge_content, reference=reference
        )

    newest = merged(lambda path, base, ours, theirs: max(ours, theirs))
    assert (newest.tree, newest.conflicts) == (tree(b"c"), ())
    undecided = merged(lambda *_: None)
    assert undecided.tree == tree(b"b")
    assert [c.kind for c in undecided.conflicts] == ["reference"]


def test_a_renamed_file_gets_the_other_sides_changes(project):
    files, conflicts, _ = merge(project, {"old": LINES}, {"new": TOP}, {"old": END})
    assert (files, conflicts) == ({"new": BOTH}, [])
    files, conflicts, _ = merge(project, {"old": LINES}, {"old": END}, {"d/new": TOP})
    assert (files, conflicts) == ({"d/new": BOTH}, [])
    files, conflicts, _ = merge(project, {"old": LINES}, {"old": END}, {"d/new": TOP}, renames=False)
    assert conflicts == [("old", "modify/delete")]


def test_conflicts_of_renames(project):
    assert merge(project, {"a": LINES}, {"b": LINES}, {})[:2] == ({"b": LINES}, [("b", "rename/delete")])
    files, conflicts, found = merge(project, {"a": LINES}, {"b": TOP}, {"c": END})
    assert (files, conflicts) == ({"b": BOTH, "c": BOTH}, [("b", "rename/rename")])
    assert found.conflicts[0].versions.theirs_path == b"c"
    one, two = LINES, LINES.replace("line", "word")
    files, conflicts, _ = merge(project, {"a": one, "b": two}, {"x": one, "b": two}, {"a": one + "end\n", "x": two})
    assert [kind for _, kind in conflicts] == ["rename/add"]
    assert all(text in files["x"] for text in ("line 3", "word 3", "end"))


def test_labels_name_the_paths_of_renamed_files(project):
    files, _, _ = merge(project, {"old": LINES}, {"new": "1\n" + LINES}, {"old": "2\n" + LINES})
    assert files["new"].startswith("<<<<<<< OURS:new\n1\n=======\n2\n>>>>>>> side/x:old\n")


def test_new_files_follow_a_renamed_directory(project):
    base = {"d/a": LINES, "d/b": TOP + "x"}
    ours = {"e/a": LINES, "e/b": TOP + "x"}
    files, conflicts, found = merge(project, base, ours, {**base, "d/new": "n", "d/deep/new": "n"})
    assert (sorted(files), conflicts) == (["e/a", "e/b", "e/deep/new", "e/new"], [])
    assert found.moved == ((b"d/deep/new", b"e/deep/new"), (b"d/new", b"e/new"))
    files, conflicts, _ = merge(project, base, ours, {**base, "d/new": "n", "e/new": "other"})
    assert conflicts == [("d/new", "directory rename")]
    assert files["d/new"] == "n"


def test_a_file_and_a_directory_of_one_name(project):
    files, conflicts, _ = merge(project, {}, {"p": "file"}, {"p/a": "1"})
    assert (files, conflicts) == ({"p/a": "1", "p~OURS": "file"}, [("p", "file/directory")])
    files, conflicts, _ = merge(project, {}, {"p/a": "1"}, {"p": "file"})
    assert (files, conflicts) == ({"p/a": "1", "p~side_x": "file"}, [("p", "file/directory")])
    assert merge(project, {"p/a": "1"}, {"p": "file"}, {"p/a": "1", "q": "1"})[:2] == ({"p": "file", "q": "1"}, [])


def test_empty_directories_merge_as_values(project):
    assert merge(project, {}, {"a": None}, {"b": None})[0] == {"a": None, "b": None}
    assert merge(project, {"a": None, "x": "1"}, {"x": "1"}, {"a": None, "x": "2"})[0] == {"x": "2"}
    assert merge(project, {"d/a": "1", "d/b": "1"}, {"d/a": "1"}, {"d/b": "1"})[0] == {"d": None}
    assert merge(project, {"d/a": "1"}, {}, {"d": None})[0] == {}


def test_directories_of_one_side_are_not_opened(project):
    base = {f"d{n}/e/f{m}": f"{n} {m}" for n in range(4) for m in range(4)}
    ours = {**base, "d0/e/f0": "ours", "d2/e/f0": "ours"}
    theirs = {**base, "d1/e/f0": "theirs", "d2/e/f1": "theirs"}
    trio = [project.tree(files) for files in (base, ours, theirs)]
    expected = project.tree({**base, **{k: v for k, v in ours.items() if v == "ours"},
                             "d1/e/f0": "theirs", "d2/e/f1": "theirs"})  # fmt: skip
    closed = {trees.lookup(project.store, tree, b"d0/e").id for tree in trio}
    closed |= {trees.lookup(project.store, tree, b"d1/e").id for tree in trio}
    reading, real = set(), project.store.node

    class Watched:
        def __getattr__(self, name):
            return getattr(project.store, name)

        def node(self, map_kind, node_id):
            reading.add(node_id)
            return real(map_kind, node_id)

    assert merge_trees(Watched(), *trio, content=project.merge_content).tree == expected
    assert not reading & closed


def test_the_base_of_a_criss_cross_is_merged(project):
    root = project.commit(files={"f": LINES})
    a = project.commit(root, files={"f": TOP})
    b = project.commit(root, files={"f": END})
    left = project.commit(a, b, files={"f": BOTH, "l": "1"})
    right = project.commit(b, a, files={"f": BOTH.replace("line 5", "five")})
    merger = CommitMerger(project.store, Ancestry(project.get), project.merge_content, project.similar)
    found = merger.merge(left, right, ours_label=b"l", theirs_label=b"r")
    assert set(found.bases) == {a, b}
    assert project.read(found.base_tree) == {"f": BOTH.encode()}
    assert found.merge.conflicts == ()
    assert project.read(found.merge.tree) == {"f": BOTH.replace("line 5", "five").encode(), "l": b"1"}


def test_a_conflict_between_the_bases_does_not_come_back(project):
    root = project.commit(files={"f": "0\n"})
    a, b = project.commit(root, files={"f": "a\n"}), project.commit(root, files={"f": "b\n"})
    left = project.commit(a, b, files={"f": "ab\n"})
    right = project.commit(b, a, files={"f": "ab\n", "g": "1"})
    merger = CommitMerger(project.store, Ancestry(project.get), project.merge_content, project.similar)
    found = merger.merge(left, right, ours_label=b"l", theirs_label=b"r")
    assert b"<<<<<<< Temporary merge branch 1" in project.read(found.base_tree)["f"]
    assert found.merge.conflicts == ()


def test_unrelated_commits_merge_over_nothing(project):
    merger = CommitMerger(project.store, Ancestry(project.get), project.merge_content)
    ours, theirs = project.commit(files={"a": "1"}), project.commit(files={"b": "1"})
    found = merger.merge(ours, theirs, ours_label=b"l", theirs_label=b"r")
    assert (found.bases, found.base_tree) == ((), None)
    assert project.read(found.merge.tree) == {"a": b"1", "b": b"1"}


@pytest.mark.parametrize("swap", [False, True])
def test_a_hit_limit_is_told(project, swap):
    base = {f"a{n}": LINES + str(n) for n in range(6)}
    ours = {f"b{n}": TOP + str(n) for n in range(6)}
    theirs = {f"a{n}": END + str(n) for n in range(6)}
    sides = (theirs, ours) if swap else (ours, theirs)
    assert merge(project, base, *sides)[2].limit is None
    found = merge(project, base, *sides, limit=3)[2]
    assert (found.limit.candidates, found.limit.limit) == (6, 3)
