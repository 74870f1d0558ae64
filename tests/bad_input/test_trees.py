"""Trees that no dsvc would write, and links that lead out: nothing is ever written outside of the working copy."""

import os

import msgpack
import pytest
import zstandard

from dsvc.objects import trees
from dsvc.objects.ids import Kind, object_id
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend

NAMES = [
    b"..",
    b".",
    b"",
    b"/etc/x",
    b"/",
    b"a/b",
    b"../x",
    b".git",
    b".dsvc",
    b".GIT",
    b".Dsvc",
    b"GIT~1",
    b".gi\xe2\x80\x8ct",
    b"nul\0name",
]


@pytest.fixture
def outside(tmp_path):
    """A folder outside of the working copy with a file and an empty folder; it must stay as it is."""
    folder = tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    (folder / "f").write_text("outside\n")
    yield folder
    assert sorted(p.name for p in folder.iterdir()) == ["f", "sub"]
    assert (folder / "f").read_text() == "outside\n"
    assert list((folder / "sub").iterdir()) == []


@pytest.fixture
def project(cli):
    cli.ok("init", "-q")
    (cli.directory / "mine").write_text("mine\n")
    cli.ok("commit", "-qm", "first")
    return cli


def publish_tree(cli, payload, *, size=1):
    """Put a branch `evil` into the repository whose commit has a root tree of these bytes."""
    backend = LocalBackend(cli.directory / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    tree = payload if isinstance(payload, bytes) and len(payload) == 32 else repo.store.put(Kind.TREE, payload)
    person = Person("Eve", "", 1)
    commit = repo.put_commit(Commit(tree, (), person, person, "evil"))
    transaction = repo.transaction()
    transaction.set("heads/evil", Direct(Kind.COMMIT, commit))
    repo.publish(transaction, Act("commit", "", "eve", "box", "one", time=1, zone=0))
    repo.close()


def tree_with(cli, name):
    """Return the bytes of a tree like one that dsvc writes, with another name in it."""
    backend = LocalBackend(cli.directory / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    content = repo.store.put_content(b"evil\n")
    good = trees.write_tree(repo.store, [(b"PLACE", Entry(EntryKind.FILE, content, 5))])
    payload = repo.store.get(good.id, Kind.TREE)
    act = Act("add", "", "eve", "box", "one", time=1, zone=0)
    transaction = repo.transaction()
    transaction.set("added/eve", Direct(Kind.TREE, good.id))
    repo.publish(transaction, act)
    repo.close()
    assert payload.count(msgpack.packb(b"PLACE")) == 1
    return payload.replace(msgpack.packb(b"PLACE"), msgpack.packb(name))


def snapshot(folder):
    return {
        os.path.relpath(os.path.join(base, name), folder)
        for base, _, names in os.walk(folder)
        if ".dsvc" not in base
        for name in names
    }


def refuse_evil(project, refused, *codes):
    above = project.directory.parent
    before = snapshot(above)
    for words in (
        ("switch", "evil"),
        ("switch", "-f", "evil"),
        ("restore", "--source", "evil", "."),
        ("reset", "--hard", "evil"),
        ("merge", "--allow-unrelated-histories", "evil"),
        ("cherry-pick", "evil"),
        ("export", "evil", str(above / "exported")),
        ("ls", "evil"),
    ):
        refused(project(*words), *codes)
        assert snapshot(above) - {"exported"} == before
    assert project("fsck").code == 15
    project.ok("status")


@pytest.mark.parametrize("name", NAMES, ids=[repr(n[:12]) for n in NAMES])
def test_names_that_no_tree_may_hold(project, outside, refused, name):
    publish_tree(project, tree_with(project, name))
    refuse_evil(project, refused, 15)


def test_bombs(project, refused):
    bombs = [
        b"\x91" * 100_000,  # a list in a list in a list
        b"\xdd\xff\xff\xff\xff",  # four thousand million items announced
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"",
        b"\xc1",
        msgpack.packb([1, 2]) + b"more",
        zstandard.compress(b"\0" * 1_000_000),
    ]
    for bomb in bombs:
        publish_tree(project, bomb)
        for words in (("ls", "evil"), ("switch", "evil"), ("log", "evil", "--stat"), ("diff", "main", "evil")):
            refused(project(*words), 15)
    assert project("fsck").code == 15
    project.ok("status")


def test_a_tree_that_is_not_there(project, refused):
    publish_tree(project, bytes(object_id(Kind.TREE, b"nowhere")))
    refuse_evil(project, refused, 15)


def test_a_link_that_leads_out_where_a_branch_has_a_folder(project, outside):
    root = project.directory
    project.ok("switch", "-q", "-c", "link")
    (root / "d").symlink_to(outside)
    project.ok("commit", "-qm", "link")
    project.ok("switch", "-q", "main")
    (root / "d").mkdir()
    (root / "d" / "f").write_text("inside\n")
    (root / "d" / "new").write_text("new\n")
    project.ok("commit", "-qm", "folder")
    for branch in ("link", "main", "link", "main"):
        project.ok("switch", "-q", branch)
        assert (root / "d").is_symlink() == (branch == "link")
    assert (root / "d" / "f").read_text() == "inside\n"
    project("merge", "link")
    project.ok("merge", "--abort")
    assert (root / "d" / "f").read_text() == "inside\n"


@pytest.fixture
def replaced(project, outside):
    """A tracked folder that was replaced by a link to the folder outside; branch `other` differs in it."""
    root = project.directory
    (root / "d" / "sub").mkdir(parents=True)
    (root / "d" / "f").write_text("first\n")
    project.ok("commit", "-qm", "folder")
    project.ok("switch", "-q", "-c", "other")
    (root / "d" / "f").write_text("other\n")
    (root / "d" / "more").write_text("more\n")
    (root / "d" / "sub").rmdir()
    project.ok("commit", "-qm", "other")
    project.ok("switch", "-q", "-c", "without", "main")
    (root / "d" / "f").unlink()
    (root / "d" / "sub").rmdir()
    (root / "d").rmdir()
    project.ok("commit", "-qm", "without")
    project.ok("switch", "-q", "main")
    (root / "d" / "f").unlink()
    (root / "d" / "sub").rmdir()
    (root / "d").rmdir()
    (root / "d").symlink_to(outside)
    return project


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("switch", "other"),
        ("switch", "-f", "other"),
        ("switch", "without"),
        ("switch", "-f", "without"),
        ("restore", "d/f"),
        ("restore", "d"),
        ("restore", "--source", "other", "."),
        ("reset", "--hard", "other"),
        ("reset", "--hard"),
        ("merge", "other"),
        ("merge", "without"),
        ("clean", "-fdx"),
        ("clean", "-f", "d/f"),
        ("rm", "-rf", "d"),
        ("rm", "-f", "d/f"),
        ("mv", "mine", "d/mine"),
        ("mv", "d/f", "mine2"),
        ("stash",),
        ("commit", "-m", "link"),
        ("commit", "-m", "link", "d/f"),
        ("add", "d/f"),
        ("cherry-pick", "other"),
        ("undo",),
    ],
    ids=" ".join,
)
def test_a_folder_replaced_by_a_link_that_leads_out(replaced, outside, words):
    answer = replaced(*words)
    assert answer.code in (0, 3, 13), answer.err
    assert "bug in dsvc" not in answer.err
    assert (outside / "f").exists()
    replaced.ok("status")
    replaced.ok("fsck")
    assert (replaced.directory / "mine").exists() or (replaced.directory / "d" / "mine").exists()


def test_names_that_fall_together_on_a_disk_that_folds_case(project, monkeypatch, refused):
    import dsvc.actions.checkout

    root = project.directory
    project.ok("switch", "-q", "-c", "both")
    (root / "Read").write_text("one\n")
    (root / "read").write_text("two\n")
    project.ok("commit", "-qm", "both")
    project.ok("switch", "-q", "main")
    monkeypatch.setattr(dsvc.actions.checkout, "tells_names_apart", lambda folder: False)
    message = refused(project("switch", "both"), 3)
    assert "Read" in message
    assert "read" in message
    assert not (root / "read").exists()
    assert project.ok("status", "-s").out == ""
