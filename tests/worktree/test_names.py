"""Names that a disk does not tell apart: found before anything is written."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import msgpack
import pytest

from dsvc.objects import trees
from dsvc.objects.tree import Entry, EntryKind
from dsvc.refs.transaction import Act
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend
from dsvc.worktree.index import EMPTY, Index
from dsvc.worktree.names import CollidingNamesError, fold, tells_names_apart
from dsvc.worktree.plan import Planner
from tests.commands.conftest import CommandLine
from tests.servers.folding_disk import folding_disk

__all__ = ["folding_disk"]

COMPOSED, DECOMPOSED = "é.txt".encode(), b"e\xcc\x81.txt"


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    act = Act("init", "init", "a", "h", "main", 0, 0)
    return Repository.create(MemoryBackend(), lambda: tmp_path, act=act, refs={})


def tree_of(repo: Repository, *paths: bytes) -> bytes:
    content = repo.store.put_content(b"x")
    changes = {path: Entry(EntryKind.FILE, content, 1) for path in paths}
    return trees.edit_tree(repo.store, trees.empty_tree(repo.store), changes).id


def plan(
    repo: Repository, root: Path, target: bytes, *, base: bytes | None = None, sparse: tuple[bytes, ...] = ()
) -> list[bytes]:
    start = base if base is not None else trees.empty_tree(repo.store)
    index = Index(start, 0, {b"": EMPTY}, sparse)
    planned = Planner(repo.store, bytes(root), index, fold_names=True).plan(start, target)
    return [path for path, _ in planned.writes]


@pytest.mark.parametrize(
    "pair",
    [
        (b"README", b"readme"),
        (COMPOSED, DECOMPOSED),
        ("Straße".encode(), b"STRASSE"),
        (b"a/b/x", b"a/b/X"),
        (b"data/x", b"Data/y"),
    ],
)
def test_both_names_are_told_and_nothing_is_written(repo, tmp_path, pair):
    root = tmp_path / "copy"
    root.mkdir()
    with pytest.raises(CollidingNamesError) as caught:
        plan(repo, root, tree_of(repo, *pair, b"other"))
    for path in pair:
        top = path.partition(b"/")[0]
        assert top.decode() in caught.value.message
    assert not any(root.iterdir())


def test_a_name_that_goes_makes_room(repo, tmp_path):
    base = tree_of(repo, b"README")
    plan(repo, tmp_path, tree_of(repo, b"readme"), base=base)


def test_names_elsewhere_do_not_matter(repo, tmp_path):
    base = tree_of(repo, b"here/a", b"there/README", b"there/readme")
    plan(repo, tmp_path, tree_of(repo, b"here/b", b"there/README", b"there/readme"), base=base)


@pytest.mark.parametrize("pair", [(b"README", b"readme"), (b"Data/x", b"data/y")])
def test_one_of_them_may_be_left_out(repo, tmp_path, pair):
    with pytest.raises(CollidingNamesError) as caught:
        plan(repo, tmp_path, tree_of(repo, *pair, b"other"))
    second = pair[1].partition(b"/")[0]
    assert f"!/{second.decode()}" in caught.value.hint
    assert plan(repo, tmp_path, tree_of(repo, *pair, b"other"), sparse=(b"!/" + second,)) == [pair[0], b"other"]


def test_what_is_folded():
    assert fold(b"README") == fold(b"ReadMe")
    assert fold(COMPOSED) == fold(DECOMPOSED)
    assert fold(b"a") != fold(b"b")
    assert fold(b"\xff") != fold(b"\xfe")


@pytest.fixture
def on_folding_disk(folding_disk, tmp_path) -> CommandLine:
    """A project with a first commit on such a disk."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "a@example.com"}
    cli = CommandLine(folding_disk / "project", environment)
    cli.directory.mkdir()
    cli.ok("init", "-q")
    (cli.directory / "readme").write_text("read me\n")
    (cli.directory / "Data").mkdir()
    (cli.directory / "Data" / "x").write_text("x\n")
    cli.ok("commit", "-qm", "first")
    return cli


def test_a_switch_on_such_a_disk_stops_before_it_writes(on_folding_disk, folding_disk, tmp_path):
    first = CommandLine(tmp_path / "first", on_folding_disk.environment)
    first.directory.mkdir()
    first.ok("init", "-q")
    (first.directory / "x").write_text("x")
    first.ok("commit", "-qm", "first")
    first.ok("switch", "-qc", "topic")
    for name in ("README", "readme"):
        (first.directory / name).write_text(name)
    first.ok("commit", "-qm", "second")
    first.ok("switch", "-q", "main")
    second = CommandLine(folding_disk / "second", first.environment)
    first.ok("fork", "-q", ".", str(second.directory))
    assert second("switch", "topic").code == 3
    assert sorted(p.name for p in second.directory.iterdir()) == [".dsvc", ".dsvcignore", "x"]
    second.ok("status")
    second.ok("switch", "-q", "--map-names", "topic")
    assert (second.directory / "README").read_text() == "README"
    assert (second.directory / "readme~1").read_text() == "readme"
    assert second("commit", "-qm", "nothing").code == 3


def shown(cli: CommandLine) -> list[str]:
    return sorted(p.name for p in cli.directory.iterdir() if not p.name.startswith("."))


def test_another_spelling_of_a_name_is_checked_out_and_taken_back(on_folding_disk):
    cli = on_folding_disk
    cli.ok("mv", "readme", "README")
    cli.ok("mv", "Data", "data")
    cli.ok("undo")
    cli.ok("undo")
    assert (shown(cli), cli.ok("status", "-s").out) == (["Data", "readme"], "")
    cli.ok("redo")
    cli.ok("redo")
    cli.ok("commit", "-qm", "respelled")
    for revision, names in (("HEAD~1", ["Data", "readme"]), ("main", ["README", "data"])):
        cli.ok("switch", "-q", *(["--detach"] if revision != "main" else []), revision)
        assert (shown(cli), cli.ok("status", "-s").out) == (names, "")
        assert (cli.directory / "readme").read_text() == "read me\n"
        assert (cli.directory / "data" / "x").read_text() == "x\n"


def test_a_changed_file_is_no_other_spelling(on_folding_disk):
    cli = on_folding_disk
    cli.ok("mv", "readme", "README")
    cli.ok("commit", "-qm", "respelled")
    (cli.directory / "README").write_text("mine\n")
    assert cli("switch", "--detach", "HEAD~1").code == 3
    assert (shown(cli), (cli.directory / "README").read_text()) == (["Data", "README"], "mine\n")


def test_a_second_spelling_beside_the_first_is_refused_also_where_both_have_the_same_content(on_folding_disk):
    cli = on_folding_disk
    cli.ok("mv", "readme", "README")
    cli.ok("commit", "-qm", "respelled")
    answer = cli("restore", "--source", "HEAD~1", "readme")
    assert (answer.code, "README and readme" in answer.err) == (3, True)
    assert (shown(cli), cli.ok("status", "-s").out) == (["Data", "README"], "")


def test_a_switch_that_was_killed_is_taken_back_to_the_other_spelling(on_folding_disk):
    cli = on_folding_disk
    cli.ok("mv", "readme", "README")
    cli.ok("commit", "-qm", "respelled")
    trees_of = [bytes.fromhex(cli.ok("rev-parse", f"{rev}:").out.strip()) for rev in ("HEAD~1", "HEAD")]
    cli.ok("switch", "-q", "--detach", "HEAD~1")
    # As a process leaves it that switched back to main and died before it published that.
    (cli.directory / "readme").rename(cli.directory / "README")
    write = (1, *trees_of, b"x" * 12, 1 << 22, socket.gethostname())
    (cli.directory / ".dsvc" / "worktree" / "journal").write_bytes(msgpack.packb(write))
    assert cli.ok("status", "-s").out == ""
    assert shown(cli) == ["Data", "readme"]


def test_an_export_to_such_a_disk_stops_and_loses_nothing(on_folding_disk, folding_disk, tmp_path):
    environment = on_folding_disk.environment
    cli = CommandLine(tmp_path / "elsewhere", environment)
    cli.directory.mkdir()
    cli.ok("init", "-q")
    for name in ("README", "readme", "Data/x", "data/y"):
        (cli.directory / name).parent.mkdir(exist_ok=True)
        (cli.directory / name).write_text(name)
    cli.ok("commit", "-qm", "first")
    target = folding_disk / "out"
    for paths, both in (([], "Data and data"), (["README", "readme"], "README and readme")):
        answer = cli("export", "HEAD", str(target), "--force", *paths)
        assert (answer.code, both in answer.err) == (3, True), answer.err
        shutil.rmtree(target)
    assert (cli.ok("export", "HEAD", str(target), "README", "Data").code, len(list(target.rglob("*")))) == (0, 3)


def test_a_folder_in_which_nothing_can_be_tried_is_named_itself(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        tells_names_apart(tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")
