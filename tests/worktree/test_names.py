"""Names that a disk does not tell apart: found before anything is written."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.commands.entry import run
from dsvc.objects import trees
from dsvc.objects.tree import Entry, EntryKind
from dsvc.refs.transaction import Act
from dsvc.repo.repository import Repository
from dsvc.storage.memory import MemoryBackend
from dsvc.worktree.index import EMPTY, Index
from dsvc.worktree.names import CollidingNamesError, fold, tells_names_apart
from dsvc.worktree.plan import Planner

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
def folding_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that does not tell upper from lower case, in a file."""
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    attempts = [
        (["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"], []),
        (["mkfs.vfat"], ["-o", "utf8"]),
    ]
    for make, options in attempts:
        if shutil.which(make[0]) is None or shutil.which("mount") is None:
            continue
        image.write_bytes(b"")
        with image.open("r+b") as file:
            file.truncate(16 << 20)
        if subprocess.run([*make, str(image)], check=False, capture_output=True).returncode:
            continue
        mounted = subprocess.run(
            ["mount", "-o", "loop", *options, str(image), str(place)], check=False, capture_output=True
        )
        if mounted.returncode:
            continue
        try:
            work = place / "work"
            work.mkdir()
            subprocess.run(["chattr", "+F", str(work)], check=False, capture_output=True)
            if not tells_names_apart(work):
                yield work
                return
        finally:
            subprocess.run(["umount", str(place)], check=False)
    pytest.skip("no disk that folds names can be made here (needs mount and ext4 with casefold, or vfat)")


def test_a_switch_on_such_a_disk_stops_before_it_writes(folding_disk, tmp_path):
    environment = {"HOME": str(tmp_path), "DSVC_USER_NAME": "Ada", "DSVC_USER_EMAIL": "a@example.com"}
    first, second = tmp_path / "first", folding_disk / "second"
    first.mkdir()

    def dsvc(folder: Path, *words: str) -> int:
        return run(words, environment, directory=folder)

    assert dsvc(first, "init", "-q") == 0
    (first / "x").write_text("x")
    assert dsvc(first, "commit", "-qm", "first") == 0
    assert dsvc(first, "switch", "-qc", "topic") == 0
    for name in ("README", "readme"):
        (first / name).write_text(name)
    assert dsvc(first, "commit", "-qm", "second") == 0
    assert dsvc(first, "switch", "-q", "main") == 0
    assert dsvc(first, "fork", "-q", ".", str(second)) == 0
    assert dsvc(second, "switch", "topic") == 3
    assert sorted(p.name for p in second.iterdir()) == [".dsvc", ".dsvcignore", "x"]
    assert dsvc(second, "status") == 0
    assert dsvc(second, "switch", "-q", "--map-names", "topic") == 0
    assert (second / "README").read_text() == "README"
    assert (second / "readme~1").read_text() == "readme"
    assert dsvc(second, "commit", "-qm", "nothing") == 3


def test_a_folder_in_which_nothing_can_be_tried_is_named_itself(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        tells_names_apart(tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")
