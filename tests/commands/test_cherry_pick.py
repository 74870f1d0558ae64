from __future__ import annotations

from pathlib import Path

import pytest

from dsvc.objects.ids import CommitId, ObjectId
from dsvc.objects.values import Commit
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import CommandLine

LINES = "".join(f"line {n}\n" for n in range(12))


@pytest.fixture
def project(cli: CommandLine) -> Path:
    """A main branch with one commit, and a branch side with four more: two new files, two edits of `a`."""
    cli.ok("init")
    path = cli.directory
    (path / "a").write_text(LINES)
    cli.ok("commit", "-m", "base")
    cli.ok("switch", "-c", "side")
    for number in (1, 2):
        (path / f"new{number}").write_text(str(number))
        cli.ok("commit", "-m", f"new {number}", "--author", "Bob <bob@example.com>")
    for number in (3, 9):
        (path / "a").write_text((path / "a").read_text().replace(f"line {number}\n", f"edit {number}\n"))
        cli.ok("commit", "-m", f"edit {number}")
    cli.ok("switch", "main")
    return path


def message(cli: CommandLine, revision: str) -> str:
    return commit(cli, revision).message


def commit(cli: CommandLine, revision: str) -> Commit:
    commit_id = bytes.fromhex(cli.ok("rev-parse", revision).out.strip())
    backend = LocalBackend(cli.directory / ".dsvc" / "store")
    repo = Repository.open(backend, backend.staging)
    try:
        return repo.commit(CommitId(ObjectId(commit_id)))
    finally:
        repo.close()


def test_one_commit_keeps_its_author(cli: CommandLine, project: Path) -> None:
    cli.ok("cherry-pick", "-x", "side~2")
    assert (project / "new2").read_text() == "2"
    assert not (project / "new1").exists()
    picked = commit(cli, "HEAD")
    assert picked.author.name == "Bob"
    assert picked.committer.name == "Ada Example"
    origin = cli.ok("rev-parse", "side~2").out.strip()
    assert picked.message == f"new 2\n\n(cherry picked from commit {origin})"


def test_a_range_is_one_operation(cli: CommandLine, project: Path) -> None:
    (project / "dirty").write_text("mine")
    result = cli.ok("cherry-pick", "main..side", "--json").json
    assert [len(result["done"]), result["stopped"]] == [4, None]
    assert {"edit 3", "edit 9"} <= set((project / "a").read_text().splitlines())
    cli.ok("undo")
    assert (project / "a").read_text() == LINES
    assert not (project / "new1").exists()
    assert (project / "dirty").read_text() == "mine"


def test_a_change_that_is_here_is_left_out(cli: CommandLine, project: Path) -> None:
    cli.environment["DSVC_DATE"] = "2026-02-01T12:00:00+01:00"  # at the same second it would be the same commit
    cli.ok("cherry-pick", "side~3")
    result = cli.ok("cherry-pick", "main..side", "--json").json
    assert len(result["left_out"]) == 1
    assert len(result["done"]) == 3


def conflict(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text(LINES.replace("line 3\n", "mine 3\n"))
    cli.ok("commit", "-m", "mine")
    answer = cli("cherry-pick", "main..side")
    assert answer.code == 13
    assert "CONFLICT (content): a" in answer.out
    assert "1 more wait" in answer.err


def test_going_on_after_a_conflict(cli: CommandLine, project: Path) -> None:
    conflict(cli, project)
    assert cli("cherry-pick", "--continue").code == 13
    assert cli("rebase", "--continue").code == 3
    cli.ok("resolve", "--theirs", "a")
    cli.ok("cherry-pick", "--continue")
    assert [message(cli, f"HEAD~{n}") for n in range(5)] == ["edit 9", "edit 3", "new 2", "new 1", "mine"]
    assert commit(cli, "HEAD~2").author.name == "Bob"
    assert {"edit 3", "edit 9"} <= set((project / "a").read_text().splitlines())
    assert cli.ok("status", "-s").out == ""


@pytest.mark.parametrize("how", ["--continue", "--skip"])
def test_one_undo_takes_back_what_went_on_after_a_conflict(cli: CommandLine, project: Path, how: str) -> None:
    conflict(cli, project)
    if how == "--continue":
        cli.ok("resolve", "--theirs", "a")
    before = [cli.ok("status", "-s").out, cli.ok("rev-parse", "HEAD").out, (project / "a").read_text()]
    cli.ok("cherry-pick", how)
    after = cli.ok("rev-parse", "HEAD").out
    assert f"cherry-pick: {how}" in cli.ok("undo").err
    assert [cli.ok("status", "-s").out, cli.ok("rev-parse", "HEAD").out, (project / "a").read_text()] == before
    assert cli.ok("status", "--json").json["under_way"] == "cherry-pick"
    cli.ok("redo")
    assert cli.ok("rev-parse", "HEAD").out == after


def test_committing_by_hand_in_between(cli: CommandLine, project: Path) -> None:
    conflict(cli, project)
    cli.ok("resolve", "--theirs", "a")
    cli.ok("commit", "-m", "by hand")
    cli.ok("cherry-pick", "--continue")
    assert [message(cli, f"HEAD~{n}") for n in range(2)] == ["edit 9", "by hand"]


def test_a_settled_step_without_a_change_is_left_out(cli: CommandLine, project: Path) -> None:
    conflict(cli, project)
    cli.ok("resolve", "--ours", "a")
    result = cli.ok("cherry-pick", "--continue", "--json").json
    assert len(result["left_out"]) == 1
    assert [message(cli, f"HEAD~{n}") for n in range(2)] == ["edit 9", "new 2"]


def test_skipping(cli: CommandLine, project: Path) -> None:
    conflict(cli, project)
    cli.ok("cherry-pick", "--skip")
    assert [message(cli, f"HEAD~{n}") for n in range(2)] == ["edit 9", "new 2"]
    assert {"mine 3", "edit 9"} <= set((project / "a").read_text().splitlines())


def test_aborting_restores_branch_and_files(cli: CommandLine, project: Path) -> None:
    (project / "dirty").write_text("mine")
    conflict(cli, project)
    (project / "other").write_text("meanwhile")
    cli.ok("cherry-pick", "--abort")
    assert message(cli, "HEAD") == "mine"
    names = {p.name for p in project.iterdir()} - {".dsvc", ".dsvcignore"}
    assert names == {"a", "dirty", "other"}
    assert cli("cherry-pick", "--abort").code == 3


def test_without_a_commit(cli: CommandLine, project: Path) -> None:
    cli.ok("cherry-pick", "-n", "side~3", "side~2")
    assert message(cli, "HEAD") == "base"
    assert (project / "new1").exists()
    assert (project / "new2").exists()
    cli.ok("commit", "-m", "both")
    assert message(cli, "HEAD") == "both"


def test_merges_need_a_parent(cli: CommandLine, project: Path) -> None:
    (project / "b").write_text("b")
    cli.ok("commit", "-m", "b")
    cli.ok("switch", "-c", "joined")
    cli.ok("merge", "side")
    cli.ok("switch", "main")
    answer = cli("cherry-pick", "joined")
    assert answer.code == 3
    assert "-m 1" in answer.err
    cli.ok("cherry-pick", "-m", "1", "joined")
    assert (project / "new1").exists()


def test_what_is_in_the_way_is_refused(cli: CommandLine, project: Path) -> None:
    (project / "new1").write_text("mine")
    answer = cli("cherry-pick", "side~3")
    assert answer.code == 3
    assert (project / "new1").read_text() == "mine"
    assert message(cli, "HEAD") == "base"
    assert cli("cherry-pick").code == 2
    assert cli("cherry-pick", "main..main").code == 3
