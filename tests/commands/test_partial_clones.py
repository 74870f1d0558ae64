"""What a person meets in a partial clone: what is absent stays in every commit, and comes when it is named."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine

IMAGE = random.Random(3).randbytes(300_000)
TABLE = b"".join(b"%d\n" % n for n in range(60_000))
CHANGED = TABLE.replace(b"\n500\n", b"\nfive hundred\n")


@pytest.fixture
def ada(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """Somebody who pushed two commits; all of `data` is large, and there is a link and an empty folder."""
    folder = tmp_path / "ada"
    folder.mkdir()
    ada = replace(cli, directory=folder)
    ada.ok("init", "-q")
    for name in ("code", "data", "nothing"):
        (folder / name).mkdir()
    (folder / "code" / "train.py").write_text("print(1)\n")
    (folder / "code" / "newest.py").symlink_to("train.py")
    (folder / "data" / "table.csv").write_bytes(TABLE)
    (folder / "data" / "image.bin").write_bytes(IMAGE)
    ada.ok("commit", "-q", "-m", "first")
    (folder / "data" / "table.csv").write_bytes(CHANGED)
    ada.ok("commit", "-q", "-m", "second")
    ada.ok("remote", "add", "origin", str(tmp_path / "shared"))
    ada.ok("push", "-q")
    return ada


def clone(ada: CommandLine, *words: str, name: str = "bob") -> CommandLine:
    place = ada.directory.parent
    replace(ada, directory=place).ok("clone", "-q", *words, "shared", name)
    return replace(ada, directory=place / name)


def absent(person: CommandLine) -> list[str]:
    return [row["path"] for row in person.ok("status", "--json").json["absent"]]


def paths(person: CommandLine) -> list[str]:
    return person.ok("ls", "-r", "HEAD").out.split()


@pytest.mark.parametrize("words", [("--bare-history",), ("-n", "--no-data")])
def test_reading_never_makes_a_file_look_deleted(ada: CommandLine, words: tuple[str, ...]) -> None:
    bob = clone(ada, *words)
    everything = paths(bob)
    assert bob.ok("status", "--porcelain").out == "", "links and empty folders are absent too"
    bob.ok("show", "HEAD")
    bob.ok("cat", "HEAD:code/train.py")
    assert bob.ok("status", "--porcelain").out == ""
    (bob.directory / ".dsvc" / "worktree" / "index").unlink()
    assert bob.ok("status", "--porcelain").out == "", "an index that is made anew does not know what was read"
    bob.ok("commit", "-q", "--allow-empty", "-m", "nothing")
    assert paths(bob) == everything
    bob.ok("data", "get")
    assert absent(bob) == []
    assert (bob.directory / "nothing").is_dir()
    assert (bob.directory / "code" / "newest.py").is_symlink()


def test_a_file_beside_absent_ones(ada: CommandLine) -> None:
    bob = clone(ada, "--no-data")
    assert absent(bob) == ["data"]
    (ada.directory / "data" / "notes.txt").write_text("notes\n")
    ada.ok("commit", "-q", "-m", "notes")
    ada.ok("push", "-q")
    bob.ok("pull", "-q")
    assert absent(bob) == ["data/image.bin", "data/table.csv"]
    bob.ok("data", "get", "code")
    assert not (bob.directory / "data" / "image.bin").exists(), "it was not asked for"
    carl = clone(ada, "--no-data", name="carl")
    (carl.directory / "data" / "sub").mkdir(parents=True, exist_ok=True)
    (carl.directory / "data" / "sub" / "more.txt").write_text("more\n")
    carl.ok("commit", "-q", "-m", "more")
    assert absent(carl) == ["data/image.bin", "data/table.csv"]
    carl.ok("rm", "data/sub/more.txt")
    carl.ok("commit", "-q", "-m", "less")
    assert absent(carl) == ["data/image.bin", "data/table.csv"]
    assert "data/image.bin" in paths(carl)


def test_diff_and_blame_of_what_is_absent(ada: CommandLine) -> None:
    bob = clone(ada, "--no-data")
    assert "+five hundred" in bob.ok("diff", "HEAD~1").out
    assert bob.ok("diff", "--stat", "HEAD~1").out == ada.ok("diff", "--stat", "HEAD~1").out
    assert bob.ok("blame", "data/table.csv").out == ada.ok("blame", "data/table.csv").out
    assert absent(bob) == ["data"]
    carl = clone(ada, "--no-data", name="carl")
    assert carl("--offline", "blame", "data/table.csv").code == 14
    assert carl("--offline", "diff", "HEAD~1").code == 14


def test_restore_brings_what_is_named(ada: CommandLine) -> None:
    bob = clone(ada, "--no-data")
    refused = bob("--offline", "restore", "data/table.csv")
    assert refused.code == 14
    assert bob.ok("restore", "data/table.csv").err == "Restored 1 file; 'dsvc undo' takes it back\n"
    assert (bob.directory / "data" / "table.csv").read_bytes() == CHANGED
    assert bob.ok("status", "--porcelain").out == ""
    assert absent(bob) == ["data/image.bin"]
    bob.ok("checkout", "HEAD~1", "--", "data/table.csv")
    assert (bob.directory / "data" / "table.csv").read_bytes() == TABLE
    carl = clone(ada, "--bare-history", name="carl")
    carl.ok("restore", "-s", "HEAD~1", "data/table.csv")
    assert (carl.directory / "data" / "table.csv").read_bytes() == TABLE
    assert carl.ok("status", "--porcelain").out == " M data/table.csv\n"
    (carl.directory / "data" / "image.bin").write_text("mine\n")
    carl.ok("restore", "data/image.bin")
    assert (carl.directory / "data" / "image.bin").read_bytes() == IMAGE
    carl.ok("undo")
    assert (carl.directory / "data" / "image.bin").read_text() == "mine\n"
    ada.ok("sparse", "set", "code")
    left_out = ada("restore", "data/table.csv")
    assert left_out.code == 3
    assert "dsvc sparse add data/table.csv" in left_out.err


def test_the_end_of_a_sparse_working_copy_brings_no_more_than_the_clone_wants(ada: CommandLine) -> None:
    bob = clone(ada, "--no-data")
    bob.ok("data", "get", "data/table.csv")
    everything = paths(bob)
    bob.ok("sparse", "set", "code")
    bob.ok("sparse", "disable")
    assert sorted(path.name for path in (bob.directory / "data").iterdir()) == ["table.csv"]
    assert absent(bob) == ["data/image.bin"]
    assert bob.ok("status", "--porcelain").out == ""
    bob.ok("commit", "-q", "--allow-empty", "-m", "nothing")
    assert paths(bob) == everything


def test_get_stays_offline(ada: CommandLine) -> None:
    bob = clone(ada, "--no-data")
    refused = bob("--offline", "data", "get", "data/table.csv")
    assert refused.code == 14
    assert "offline" in refused.err
    assert not (bob.directory / "data").exists()
    bob.ok("data", "get", "data/table.csv")
    bob.ok("--offline", "data", "get", "data/table.csv")


@pytest.mark.parametrize("words", [("--filter", "code"), ("--filter", "size:10"), ("--no-data",)])
def test_rules_come_along(ada: CommandLine, words: tuple[str, ...]) -> None:
    bob = clone(ada, *words)
    (bob.directory / ".venv").mkdir()
    (bob.directory / ".venv" / "much.txt").write_text("much\n")
    assert bob.ok("status", "--porcelain").out == ""


def test_rules_hold_where_they_are_left_out(ada: CommandLine) -> None:
    bob = clone(ada, "--bare-history")
    bob.ok("data", "get", "code")
    ada.ok("sparse", "set", "*.py")
    for person in (ada, bob):
        assert not (person.directory / ".dsvcignore").exists()
        (person.directory / ".venv").mkdir()
        (person.directory / ".venv" / "much.txt").write_text("much\n")
        assert person.ok("status", "--porcelain").out == ""
        assert person.ok("check-ignore", ".venv").out == ".venv\n"


def test_to_places_that_lack_the_content_too(ada: CommandLine, tmp_path: Path) -> None:
    bob = clone(ada, "--no-data")
    refused = bob("--offline", "push", "../second", "main")
    assert refused.code == 14
    bob.ok("push", "-q", "../second", "main")
    bob.ok("push", "-q", "--mirror", "../third")
    everyone = replace(bob, directory=tmp_path)
    for place in ("second", "third"):
        assert everyone("-C", place, "fsck").code == 0
    carl = clone(ada, "--bare-history", name="carl")
    carl.ok("bundle", "create", "../all.bundle", "--all")
    carl.ok("bundle", "create", "../new.bundle", "--since", "HEAD~1")
    everyone.ok("clone", "-q", "all.bundle", "dora")
    assert (tmp_path / "dora" / "data" / "image.bin").read_bytes() == IMAGE
    assert (tmp_path / "dora" / "data" / "table.csv").read_bytes() == CHANGED


def test_a_fork_of_one_is_one(ada: CommandLine, tmp_path: Path) -> None:
    clone(ada, "--no-data")
    everyone = replace(ada, directory=tmp_path)
    everyone.ok("fork", "bob", "mine")
    mine = replace(ada, directory=tmp_path / "mine")
    assert absent(mine) == ["data"]
    assert mine("fsck").code == 0
    mine.ok("switch", "-q", "--detach", "HEAD~1")
    mine.ok("data", "get")
    assert (mine.directory / "data" / "table.csv").read_bytes() == TABLE


SCRIPT = "n = len(open('data/table.csv').read().split())\nopen('out.txt', 'w').write(f'{n}\\n')\n"


@pytest.fixture
def recorded(ada: CommandLine) -> str:
    """The id of a run of Ada's, by a stage, that read the large table."""
    (ada.directory / "count.py").write_text(SCRIPT)
    (ada.directory / "dsvc.toml").write_text(
        '[stages.count]\ncmd = "python count.py"\ndeps = ["count.py", "data/table.csv"]\nouts = ["out.txt"]\n'
    )
    ada.ok("commit", "-q", "-m", "a stage")
    ada.ok("repro")
    ada.ok("commit", "-q", "-m", "what it wrote")
    ada.ok("push", "-q")
    return str(ada.ok("runs", "--json").json["runs"][0]["id"])


@pytest.mark.parametrize("words", [("--no-data",), ("--bare-history",)])
def test_a_run_is_repeated_with_what_it_read(ada: CommandLine, recorded: str, words: tuple[str, ...]) -> None:
    bob = clone(ada, *words)
    refused = bob("--offline", "rerun", recorded)
    assert refused.code == 14, refused.err
    assert "identical" in bob.ok("rerun", recorded).out
    assert not (bob.directory / "data").exists()


def test_stages_are_up_to_date_without_their_data(ada: CommandLine, recorded: str) -> None:
    bob = clone(ada, "--no-data")
    assert "unchanged" in bob.ok("--offline", "repro").out
    assert "not fetched: this is a partial clone" in bob("verify", "data/table.csv").out
    assert not (bob.directory / "data").exists()
    (bob.directory / "count.py").write_text(SCRIPT.replace("len(", "2 * len("))
    assert bob("--offline", "repro").code == 14
    assert "ran" in bob.ok("repro").out
    assert (bob.directory / "out.txt").read_text() == f"{2 * len(CHANGED.split())}\n"
    assert (bob.directory / "data" / "table.csv").read_bytes() == CHANGED
