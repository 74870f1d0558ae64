"""Datasets whose files were indexed, where no ZFS has them: compared and merged by their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.snapshot import Snapshot, encode_snapshot
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person, encode_commit
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct
from dsvc.repo.format import SNAPSHOTS
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import CommandLine

ROWS = "id,price\n" + "".join(f"{n},{n}.5\n" for n in range(1, 9))
ADA = Person("Ada", "ada@example.org", 0, 0)
ACT = Act("commit", "a state", "ada", "box", "one", time=1, zone=0)


class Pool:
    """A repository in which somebody with ZFS committed and indexed states of the dataset `data`."""

    def __init__(self, folder: Path) -> None:
        backend = LocalBackend(folder)
        self.repo = Repository.create(backend, backend.staging, act=ACT, refs={})
        self.repo.need(SNAPSHOTS)
        self._guid = 0

    def commit(
        self, branch: str, files: dict[str, str], *parents: CommitId, previous: int = 0, indexed: bool = True
    ) -> CommitId:
        """Commit a state of the dataset that went on from the state number `previous`."""
        store = self.repo.store
        self._guid += 1
        made = {
            name.encode(): Entry(EntryKind.FILE, store.put_content(text.encode()), len(text))
            for name, text in files.items()
        }
        tree = TreeId(ObjectId(trees.edit_tree(store, trees.empty_tree(store), dict(made)).id))
        snapshot = Snapshot("zfs", str(self._guid), 100, str(previous or ""), tree if indexed else None)
        entry = Entry(EntryKind.SNAPSHOT, store.put(Kind.SNAPSHOT, encode_snapshot(snapshot)), 100)
        code = Entry(EntryKind.FILE, store.put_content(b"code\n"), 5)
        whole = trees.edit_tree(store, trees.empty_tree(store), {b"data": entry, b"code.py": code})
        commit = Commit(TreeId(ObjectId(whole.id)), parents, ADA, ADA, f"state {self._guid}\n")
        commit_id = CommitId(store.put(Kind.COMMIT, encode_commit(commit)))
        transaction = self.repo.transaction()
        transaction.set(f"heads/{branch}", Direct(Kind.COMMIT, commit_id))
        self.repo.publish(transaction, ACT)
        return commit_id


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path / "pool")


def diverged(pool: Pool, ours: dict[str, str], theirs: dict[str, str]) -> None:
    base = pool.commit("main", {"rows.csv": ROWS, "old.txt": "old\n", "same.txt": "same\n"})
    pool.commit("theirs", {"rows.csv": ROWS, "old.txt": "old\n", "same.txt": "same\n"} | theirs, base, previous=1)
    pool.commit("main", {"rows.csv": ROWS, "old.txt": "old\n", "same.txt": "same\n"} | ours, base, previous=1)


def clone(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("clone", "-q", str(tmp_path / "pool"), str(cli.directory))
    cli.ok("data", "get", "-q", "--files", "data")


def test_diff_names_the_files_that_differ(cli: CommandLine, pool: Pool, tmp_path: Path) -> None:
    diverged(pool, {"rows.csv": ROWS.replace("3.5", "4")}, {"new.txt": "new\n"})
    clone(cli, tmp_path)
    assert cli.ok("diff", "--name-status", "HEAD~1", "HEAD").out == "M\tdata/rows.csv\n"
    assert "3  price: 3.5 -> 4" in cli.ok("diff", "HEAD~1", "HEAD").out
    assert cli.ok("diff", "--name-status", "HEAD", "origin/theirs", "--", "data/new.txt").out == "A\tdata/new.txt\n"
    assert "price: 3.5 -> 4" in cli.ok("show").out
    (cli.directory / "data/same.txt").write_text("other\n")
    assert cli.ok("diff", "--name-status", "HEAD~1").out == "M\tdata/rows.csv\nM\tdata/same.txt\n"
    assert cli.ok("log", "--oneline", "--name-status").out.count("data/") >= 1


def test_two_indexed_states_are_merged_by_their_files(cli: CommandLine, pool: Pool, tmp_path: Path) -> None:
    diverged(pool, {"rows.csv": ROWS.replace("3.5", "4")}, {"rows.csv": ROWS.replace("8.5", "9"), "new.txt": "new\n"})
    clone(cli, tmp_path)
    assert "data was merged by its files" in cli.ok("merge", "origin/theirs").err
    assert (cli.directory / "data/rows.csv").read_text() == ROWS.replace("3.5", "4").replace("8.5", "9")
    assert (cli.directory / "data/new.txt").exists()
    assert "clean" in cli.ok("status").out
    assert "tree" in cli.ok("ls", "-l", "HEAD").out
    cli.ok("fsck", "-q")
    cli.ok("undo")
    assert (cli.directory / "data/rows.csv").read_text() == ROWS.replace("3.5", "4")


def test_conflicts_are_those_of_files(cli: CommandLine, pool: Pool, tmp_path: Path) -> None:
    diverged(pool, {"rows.csv": ROWS.replace("3.5", "4")}, {"rows.csv": ROWS.replace("3.5", "5")})
    clone(cli, tmp_path)
    answer = cli("merge", "origin/theirs")
    assert answer.code == 13
    assert "CONFLICT (content): data/rows.csv" in answer.out + answer.err
    cli.ok("resolve", "--theirs", "data/rows.csv")
    cli.ok("merge", "--continue", "-m", "merged")
    assert (cli.directory / "data/rows.csv").read_text() == ROWS.replace("3.5", "5")
    assert cli.ok("diff", "--name-status", "HEAD", "origin/theirs").out == ""


def test_without_an_index_it_is_a_conflict_of_the_dataset(cli: CommandLine, pool: Pool, tmp_path: Path) -> None:
    base = pool.commit("main", {"a": "1\n"})
    pool.commit("theirs", {"a": "2\n"}, base, previous=1, indexed=False)
    pool.commit("main", {"a": "1\n", "b": "1\n"}, base, previous=1)
    clone(cli, tmp_path)
    answer = cli("merge", "origin/theirs")
    assert answer.code == 13
    assert "CONFLICT (reference): data" in answer.out + answer.err


def test_files_changed_here_meet_a_newer_state(cli: CommandLine, pool: Pool, tmp_path: Path) -> None:
    base = pool.commit("main", {"rows.csv": ROWS, "old.txt": "old\n"})
    clone(cli, tmp_path)
    (cli.directory / "data/rows.csv").write_text(ROWS.replace("3.5", "4"))
    cli.ok("commit", "-q", "-m", "a price")
    pool.commit("main", {"rows.csv": ROWS, "old.txt": "new\n"}, base, previous=1)
    cli.ok("pull")
    assert (cli.directory / "data/rows.csv").read_text() == ROWS.replace("3.5", "4")
    assert (cli.directory / "data/old.txt").read_text() == "new\n"
