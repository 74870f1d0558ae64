"""`--map-names`: a commit whose names fall together on a disk, checked out all the same."""

from __future__ import annotations

import os

import pytest

import dsvc.actions.checkout
import dsvc.actions.sparse
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

FILES = {b"a/README.md": b"upper\n", b"a/Readme.md": b"lower\n", b"Data/x": b"one\n", b"data/y": b"two\n"}


@pytest.fixture
def folded(cli, monkeypatch):
    """A repository with a branch `both`, in which names fall together, on a disk that folds them."""
    assert cli("init").code == 0
    (cli.directory / "mine").write_text("mine\n")
    assert cli("commit", "-m", "first").code == 0
    backend = LocalBackend(cli.directory / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    parent = repo.view().commit("heads/main")
    assert parent is not None
    changes = {p: Entry(EntryKind.FILE, repo.store.put_content(c), len(c)) for p, c in FILES.items()}
    tree = trees.edit_tree(repo.store, repo.commit(parent).tree, changes).id
    person = Person("A", "a@example.org", 0, 0)
    commit = repo.put_commit(Commit(TreeId(ObjectId(tree)), (parent,), person, person, "both"))
    transaction = repo.transaction()
    transaction.set("heads/both", Direct(Kind.COMMIT, ObjectId(commit)))
    repo.publish(transaction, Act("test", "test", "a", "h", "main", 0, 0))
    repo.close()
    for verb in (dsvc.actions.checkout, dsvc.actions.sparse):
        monkeypatch.setattr(verb, "tells_names_apart", lambda folder: False)
    return cli


def disk(cli) -> dict[str, str]:
    root = cli.directory
    return {
        str(p.relative_to(root)): p.read_text()
        for p in sorted(root.rglob("*"))
        if p.is_file() and ".dsvc" not in p.parts and p.name != ".dsvcignore"
    }


BOTH = {"mine": "mine\n", "a/README.md": "upper\n", "a/Readme~1.md": "lower\n", "Data/x": "one\n", "data~1/y": "two\n"}


def clean(cli) -> bool:
    answer = cli("status", "-s")
    assert answer.code == 0, answer.err
    return answer.out == ""


def test_refused_without_the_flag_and_nothing_is_written(folded):
    answer = folded("switch", "both")
    assert answer.code == 3
    assert "a/README.md and a/Readme.md" in answer.err
    assert "--map-names" in answer.err
    assert disk(folded) == {"mine": "mine\n"}
    assert clean(folded)


@pytest.mark.parametrize(
    "words", [("switch", "both"), ("checkout", "both"), ("merge", "both"), ("restore", "-s", "both", ".")], ids=" ".join
)
def test_both_contents_are_on_disk(folded, words):
    answer = folded(*words, "--map-names")
    assert answer.code == 0, answer.err
    assert disk(folded) == BOTH
    if words[0] != "restore":
        assert clean(folded)


def test_an_edit_is_committed_under_the_true_name(folded):
    folded("switch", "both", "--map-names")
    (folded.directory / "a/Readme~1.md").write_text("new\n")
    (folded.directory / "data~1/z").write_text("more\n")
    assert folded("status", "-s").out.split() == ["M", "a/Readme.md", "??", "data/z"]
    assert "+new" in folded("diff").out
    answer = folded("commit", "-m", "edit")
    assert answer.code == 0, answer.err
    assert clean(folded)
    assert folded("show", "HEAD:a/Readme.md").out == "new\n"
    assert folded("show", "HEAD:a/README.md").out == "upper\n"
    assert folded("show", "HEAD:data/z").out == "more\n"
    expected = [*(p.decode() for p in FILES), "data/z", "mine", ".dsvcignore"]
    assert sorted(folded("ls", "-r").out.split()) == sorted(expected)


def test_paths_may_be_given_by_either_name(folded):
    folded("switch", "both", "--map-names")
    for given in ("a/Readme~1.md", "a/Readme.md"):
        (folded.directory / "a/Readme~1.md").write_text("new\n")
        answer = folded("restore", given)
        assert answer.code == 0, answer.err
        assert disk(folded) == BOTH
    assert clean(folded)


def test_switching_away_removes_both_and_back_needs_no_flag(folded):
    folded("switch", "both", "--map-names")
    assert folded("switch", "main").code == 0
    assert disk(folded) == {"mine": "mine\n"}
    assert not (folded.directory / "data~1").exists()
    assert clean(folded)
    assert folded("switch", "both").code == 0
    assert disk(folded) == BOTH
    assert folded("undo").code == 0
    assert disk(folded) == {"mine": "mine\n"}


def test_a_folder_is_moved_with_its_names(folded):
    folded("switch", "both", "--map-names")
    answer = folded("mv", "a", "b")
    assert answer.code == 0, answer.err
    assert "b/Readme~1.md" in disk(folded)
    assert folded("commit", "-m", "moved").code == 0
    assert clean(folded)
    assert folded("show", "HEAD:b/Readme.md").out == "lower\n"


def test_a_lost_index_loses_no_name(folded):
    folded("switch", "both", "--map-names")
    (folded.directory / ".dsvc/worktree/index").unlink()
    assert clean(folded)
    assert folded("switch", "main").code == 0
    assert disk(folded) == {"mine": "mine\n"}


def test_a_name_is_free_again_once_nothing_needs_it(folded):
    folded("switch", "both", "--map-names")
    folded("switch", "main")
    (folded.directory / "a").mkdir()
    (folded.directory / "a/Readme.md").write_text("another\n")
    assert folded("commit", "-m", "one name").code == 0
    assert folded("ls", "-r").out.split() == [".dsvcignore", "a/Readme.md", "mine"]


def test_a_file_that_is_there_keeps_its_name_and_nothing_is_overwritten(folded):
    (folded.directory / "a").mkdir()
    (folded.directory / "a/readme.md").write_text("third\n")
    (folded.directory / "a/Readme~1.md").write_text("in the way\n")
    assert folded("commit", "-m", "third").code == 0
    answer = folded("merge", "both", "--map-names", "-m", "merged")
    assert answer.code == 0, answer.err
    assert clean(folded)
    now = disk(folded)
    assert now["a/Readme~1.md"] == "in the way\n"
    assert sorted(now.values()) == sorted([*BOTH.values(), "third\n", "in the way\n"])
    assert folded("show", "HEAD:a/Readme.md").out == "lower\n"


def test_a_partial_working_copy_keeps_the_names(folded):
    folded("switch", "both", "--map-names")
    assert folded("sparse", "set", "Data").code == 0
    assert "data~1/y" not in disk(folded)
    assert clean(folded)
    assert folded("sparse", "disable").code == 0
    assert disk(folded) == BOTH
    assert clean(folded)


def test_a_checkout_that_fails_is_taken_back(folded, monkeypatch):
    folded("switch", "both", "--map-names")
    place = folded.directory / ".dsvc/worktree/names"
    before = place.read_bytes()

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("dsvc.workspace.Workspace.publish", fail)
        assert folded("switch", "main").code != 0
    assert disk(folded) == BOTH
    assert clean(folded)
    assert place.read_bytes() == before


def test_a_conflict_in_a_file_under_another_name(folded):
    folded("switch", "both", "--map-names")
    folded("switch", "-c", "mine")
    (folded.directory / "a/Readme~1.md").write_text("mine\n")
    folded("commit", "-m", "mine")
    folded("switch", "both")
    (folded.directory / "a/Readme~1.md").write_text("theirs\n")
    folded("commit", "-m", "theirs")
    assert folded("merge", "mine").code == 13
    assert "<<<<<<<" in disk(folded)["a/Readme~1.md"]
    assert folded("resolve", "a/Readme.md").code != 0  # it has markers
    (folded.directory / "a/Readme~1.md").write_text("joined\n")
    assert folded("resolve", "a/Readme~1.md").code == 0
    answer = folded("commit", "-m", "joined")
    assert answer.code == 0, answer.err
    assert folded("show", "HEAD:a/Readme.md").out == "joined\n"
    assert clean(folded)


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_checkout_that_dies_is_taken_back(folded, monkeypatch, way):
    folded("switch", "both", "--map-names")
    if way == "there":
        folded("switch", "main")
    before = disk(folded)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr("dsvc.worktree.recovery.journal.end", lambda path: os._exit(9))
        monkeypatch.setattr("dsvc.workspace.Workspace.clock", lambda workspace: os._exit(9))
        try:
            folded("switch", "both" if way == "there" else "main")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert disk(folded) != before
    assert clean(folded)
    assert disk(folded) == before


def files(folder) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): p.read_text()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".dsvc" not in p.parts and p.name != ".dsvcignore"
    }


def test_a_clone_may_map_names_from_the_start(folded):
    folded.ok("clone", "-b", "both", "--map-names", ".", "../copy")
    copy = folded.directory.parent / "copy"
    assert files(copy) == BOTH
    assert folded.ok("-C", str(copy), "status", "-s").out == ""


@pytest.mark.parametrize(
    "words",
    [
        ("clone", "--map-names", "project", "copy"),
        ("-C", "copy", "switch", "--map-names", "both"),
        ("-C", "copy", "merge", "--map-names", "origin/both"),
    ],
    ids=" ".join,
)
def test_ways_on_from_a_clone_that_was_refused(folded, words):
    folded.ok("switch", "--map-names", "both")
    copy = folded.directory.parent / "copy"
    answer = folded("clone", ".", str(copy))
    assert answer.code == 3
    assert "'dsvc clone'" in answer.err
    said = folded.ok("-C", str(copy), "status").out
    assert "No commits yet" in said
    assert "up to date" not in said
    words = tuple({"project": ".", "copy": str(copy)}.get(word, word) for word in words)
    folded.ok(*words)
    assert files(copy) == BOTH
    assert folded.ok("-C", str(copy), "status", "-s").out == ""


@pytest.mark.parametrize("words", [("fork", ".", "../other"), ("worktree", "add", "../other")], ids=" ".join)
def test_what_is_made_from_a_working_copy_maps_names_as_that_does(folded, words):
    assert folded("fork", ".", "../before").code == 0
    folded.ok("switch", "--map-names", "both")
    folded.ok(*words)
    other = folded.directory.parent / "other"
    assert files(other) == BOTH
    assert folded.ok("-C", str(other), "status", "-s").out == ""
