"""Partial clones: the history is here, content comes when it is wanted, and what is absent is never deleted."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.commands.conftest import CommandLine
from tests.remotes.test_everywhere import Team, cli, commit, sshd, team

__all__ = ["cli", "sshd", "team"]

BIG = random.Random(1).randbytes(3_000_000)
OTHER = random.Random(2).randbytes(2_000_000)
FILES = {"code/train.py": b"print(1)\n", "data/big.bin": BIG, "data/other.bin": OTHER, "data/notes.txt": b"notes\n"}


@pytest.fixture
def ada(team: Team) -> CommandLine:
    ada = team.first("ada")
    commit(ada, "old", {"code/old.py": b"old\n"})
    commit(ada, "first", FILES)
    (ada.directory / "code/old.py").unlink()
    ada.ok("commit", "-q", "-m", "without the old one")
    ada.ok("push", "-q")
    return ada


def files(person: CommandLine) -> set[str]:
    root = person.directory
    return {
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".dsvc" not in path.parts
    } - {".dsvcignore"}


def test_code_without_data(team: Team, ada: CommandLine) -> None:
    bob = team.clone("bob", "--no-data")
    assert files(bob) == {"code/train.py", "data/notes.txt"}
    assert bob.ok("status", "--porcelain").out == ""
    assert len(bob.ok("log", "--oneline").out.splitlines()) == 3
    assert bob.ok("fsck", "--json").json["not_fetched"] == 3, "each content once, in however many commits it is"
    size = sum(path.stat().st_size for path in (bob.directory / ".dsvc" / "store").rglob("*") if path.is_file())
    assert size < 100_000

    commit(bob, "bob's", {"code/train.py": b"print(2)\n"})
    bob.ok("push", "-q")
    ada.ok("pull", "-q")
    assert files(ada) == set(FILES)
    assert (ada.directory / "code/train.py").read_bytes() == b"print(2)\n"

    bob.ok("data", "get", "data/big.bin")
    assert (bob.directory / "data/big.bin").read_bytes() == BIG
    assert "data/other.bin" not in files(bob)
    assert bob.ok("status", "--porcelain").out == ""
    bob.ok("data", "get")
    assert files(bob) == set(FILES)
    assert bob.ok("status", "--porcelain").out == ""


def test_status_shows_what_is_absent_as_absent(team: Team, ada: CommandLine) -> None:
    bob = team.clone("bob", "--no-data")

    def absent() -> list[str]:
        shown = bob.ok("status").out
        listed = [row["path"] for row in bob.ok("status", "--json").json["absent"]]
        assert ("Absent, not deleted" in shown) == bool(listed)
        assert all(f"\n  {path}\n" in shown for path in listed)
        assert "deleted:   " not in shown  # a change has its path behind it
        return listed

    assert absent() == ["data/big.bin", "data/other.bin"]
    assert "Nothing to commit, working copy clean" in bob.ok("status").out
    assert [row["path"] for row in bob.ok("status", "--json", "data/big.bin").json["absent"]] == ["data/big.bin"]
    bob.ok("data", "get", "data/big.bin")
    assert absent() == ["data/other.bin"]
    write = bob.directory / "data/other.bin"
    write.write_bytes(b"mine\n")
    assert absent() == []
    assert "modified:   data/other.bin" in bob.ok("status").out
    assert "Absent" not in ada.ok("status").out


def test_what_a_sparse_working_copy_leaves_out_is_not_called_absent(team: Team, ada: CommandLine) -> None:
    ada.ok("sparse", "set", "code")
    assert files(ada) == {"code/train.py"}
    assert ada.ok("status", "--json").json["absent"] == []


def test_changes_of_what_is_absent_and_what_is_here(team: Team, ada: CommandLine) -> None:
    bob = team.clone("bob", "--no-data")
    bob.ok("data", "get", "data/other.bin")
    changed = BIG + b"more"
    commit(ada, "new data", {"data/big.bin": changed, "data/other.bin": OTHER[::-1], "data/third.bin": BIG[::-1]})
    ada.ok("push", "-q")
    bob.ok("pull", "-q")
    assert files(bob) == {"code/train.py", "data/notes.txt", "data/other.bin"}
    assert (bob.directory / "data/other.bin").read_bytes() == OTHER[::-1], "what is here stays up to date"
    assert bob.ok("status", "--porcelain").out == ""
    (ada.directory / "data/big.bin").unlink()
    ada.ok("commit", "-q", "-m", "no more big")
    ada.ok("push", "-q")
    bob.ok("pull", "-q")
    assert bob.ok("status", "--porcelain").out == ""
    assert "data/big.bin" not in bob.ok("ls", "-r", "HEAD").out


def test_old_content_comes_when_it_is_asked_for(team: Team, ada: CommandLine) -> None:
    bob = team.clone("bob", "--no-data")
    offline = bob("--offline", "cat", "HEAD~1:code/old.py")
    assert offline.code == 14
    assert "offline" in offline.err
    assert bob.ok("cat", "HEAD~1:code/old.py").raw == b"old\n"
    assert bob.ok("--offline", "cat", "HEAD~1:code/old.py").raw == b"old\n"
    assert bob.ok("cat", "HEAD:data/big.bin").raw == BIG
    bob.ok("switch", "-q", "--detach", "HEAD~2")
    assert files(bob) == {"code/old.py"}
    bob.ok("switch", "-q", "main")
    assert bob.ok("status", "--porcelain").out == ""


def test_an_index_that_is_made_anew_deletes_nothing(team: Team, ada: CommandLine) -> None:
    bob = team.clone("bob", "--no-data")
    (bob.directory / ".dsvc" / "worktree" / "index").unlink()
    assert bob.ok("status", "--porcelain").out == ""
    commit(bob, "bob's", {"new.txt": b"new\n"})
    assert "data/big.bin" in bob.ok("ls", "-r", "HEAD").out


def test_filters(team: Team, ada: CommandLine) -> None:
    bob = team.clone("bob", "--filter", "data/other.bin")
    assert files(bob) == {"data/other.bin"}
    fred = team.clone("fred", "--filter", "code", "--filter", "*.txt")
    assert files(fred) == {"code/train.py", "data/notes.txt"}
    carl = team.clone("carl", "--filter", "size:2m")
    assert files(carl) == set(FILES) - {"data/big.bin"}
    dora = team.clone("dora", "--bare-history")
    assert files(dora) == set()
    assert len(dora.ok("log", "--oneline").out.splitlines()) == 3
    bad = team.person("eve")("clone", "--filter", "size:much", team.address, "project")
    assert bad.code == 2


def test_gc_and_a_remote_that_is_gone(team: Team, ada: CommandLine) -> None:
    bob = team.clone("bob", "--no-data")
    bob.ok("gc")
    assert bob.ok("status", "--porcelain").out == ""
    assert bob("fsck").code == 0
    bob.ok("config", "remote.origin.url", str(bob.directory / "nowhere"))
    answer = bob("cat", "HEAD:data/big.bin")
    assert answer.code == 14
    shutil.rmtree(bob.directory / "data", ignore_errors=True)
    assert bob.ok("status", "--porcelain").out.strip() == "D data/notes.txt", "what is absent is not deleted"
