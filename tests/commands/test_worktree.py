"""`dsvc worktree`: several working copies of one repository."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "a.txt").write_text("a\n")
    (cli.directory / ".dsvcignore").write_text("*.log\n")
    cli.ok("commit", "-m", "first")
    return cli.directory


@pytest.fixture
def linked(cli, project) -> Path:
    path = project.parent / "linked"
    cli.ok("worktree", "add", "../linked")
    return path


def at(cli, path: Path, *words: str):
    answer = cli(*words, directory=path)
    assert answer.code == 0, answer.err
    return answer


def test_git_leaves_a_repository_alone(cli: CommandLine, tmp_path: Path) -> None:
    """The folder of dsvc is none of what git would add, in whichever way it was made."""
    cli.ok("init")
    (cli.directory / "a").write_text("a")
    cli.ok("commit", "-m", "one")
    cli.ok("clone", str(cli.directory), str(tmp_path / "clone"))
    cli.ok("fork", str(cli.directory), str(tmp_path / "fork"))
    cli.ok("worktree", "add", str(tmp_path / "linked"))
    for folder in (cli.directory, tmp_path / "clone", tmp_path / "fork", tmp_path / "linked"):
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        words = ["git", "ls-files", "-o", "--exclude-standard"]
        listed = subprocess.run(words, cwd=folder, check=True, capture_output=True)
        assert listed.stdout.split() == [b".dsvcignore", b"a"]
        assert CommandLine(folder, cli.environment).ok("status", "--json").json["clean"]


def test_it_has_a_branch_and_commits_of_its_own(cli, project, linked):
    assert (linked / "a.txt").read_text() == "a\n"
    assert at(cli, linked, "status", "-sb").out == "## linked\n"
    (linked / "a.txt").write_text("changed\n")
    at(cli, linked, "commit", "-m", "there")
    assert (project / "a.txt").read_text() == "a\n"
    assert cli.ok("status", "-sb").out == "## main\n"
    assert cli.ok("cat", "linked:a.txt").out == "changed\n"


def test_the_list_names_all(cli, project, linked):
    rows = cli.ok("worktree", "list", "--json").json["worktrees"]
    assert [(r["id"], r["path"], r["branch"], r["present"]) for r in rows] == [
        ("main", str(project), "main", True),
        ("linked", str(linked), "linked", True),
    ]
    assert at(cli, linked, "worktree", "list").out == cli.ok("worktree", "list").out


def test_two_cannot_stand_on_one_branch(cli, project, linked):
    refused = cli("switch", "linked")
    assert refused.code == 3
    assert "worktree linked" in refused.err
    refused = cli("worktree", "add", "../third", "main")
    assert refused.code == 3
    assert not (project.parent / "third").exists()
    at(cli, linked, "switch", "-c", "other")
    cli.ok("switch", "linked")


def test_a_given_branch_a_new_one_and_none(cli, project):
    cli.ok("branch", "topic")
    cli.ok("worktree", "add", "../one", "topic")
    cli.ok("worktree", "add", "../two", "-b", "fresh")
    cli.ok("worktree", "add", "../three", "--detach", "main")
    branches = {r["id"]: r["branch"] for r in cli.ok("worktree", "list", "--json").json["worktrees"]}
    assert branches == {"main": "main", "one": "topic", "two": "fresh", "three": None}
    assert cli("worktree", "add", "../four", "nothing").code == 3


def test_names_and_folders_that_do_not_serve(cli, project, linked):
    (project.parent / "full").mkdir()
    (project.parent / "full" / "x").write_text("x")
    assert cli("worktree", "add", "../full").code == 3
    assert cli("worktree", "add", ".dsvc/inner").code == 3
    (project / "linked").mkdir()
    cli.ok("worktree", "add", "linked", "-b", "inner")
    assert [r["id"] for r in cli.ok("worktree", "list", "--json").json["worktrees"]] == ["main", "linked", "linked-2"]
    assert cli.ok("status", "-s").out == ""


def test_settings_are_shared_and_may_differ(cli, project, linked):
    cli.ok("config", "diff.context", "5")
    assert at(cli, linked, "config", "diff.context").out == "5\n"
    at(cli, linked, "config", "--worktree", "diff.context", "7")
    assert at(cli, linked, "config", "diff.context").out == "7\n"
    assert cli.ok("config", "diff.context").out == "5\n"


def test_init_in_it_changes_nothing(cli, project, linked):
    assert "already" in at(cli, linked, "init").out
    assert not (linked / ".dsvc" / "store").exists()


def test_remove_refuses_changes_and_stores_them_when_forced(cli, project, linked):
    (linked / "new.txt").write_text("precious")
    refused = cli("worktree", "remove", "../linked")
    assert refused.code == 3
    assert (linked / "new.txt").exists()
    answer = cli.ok("worktree", "remove", "--force", "../linked")
    assert not linked.exists()
    stored = answer.err.split("dsvc export ")[1].split()[0]
    assert cli.ok("cat", f"{stored}:new.txt").out == "precious"
    assert len(cli.ok("worktree", "list").out.splitlines()) == 1
    assert "linked" in cli.ok("branch").out


def test_remove_by_id_of_a_clean_one_with_ignored_files(cli, project, linked):
    (linked / "run.log").write_text("log")
    assert cli("worktree", "remove", "main").code == 3
    assert cli("worktree", "remove", "linked", directory=linked).code == 3
    cli.ok("worktree", "remove", "linked")
    assert not linked.exists()


def test_a_removed_folder_is_pruned(cli, project, linked):
    shutil.rmtree(linked)
    assert "gone" in cli.ok("worktree", "list").out
    assert cli.ok("worktree", "prune", "-n").out == f"Would forget {linked}\n"
    cli.ok("worktree", "prune")
    assert [r["id"] for r in cli.ok("worktree", "list", "--json").json["worktrees"]] == ["main"]
    cli.ok("switch", "linked")


def test_the_folder_of_a_removed_worktree_says_so(cli, project, linked):
    kept = project.parent / "kept"
    shutil.copytree(linked, kept, symlinks=True)
    cli.ok("worktree", "remove", "linked")
    answer = cli("status", directory=kept)
    assert answer.code == 10
    assert "was removed" in answer.err


def test_both_move_together(cli, project, linked):
    away = project.parent / "away"
    away.mkdir()
    for folder in (project, linked):
        folder.rename(away / folder.name)
    assert at(cli, away / "linked", "status", "-s").out == ""
    rows = at(cli, away / "project", "worktree", "list", "--json").json["worktrees"]
    assert [r["present"] for r in rows] == [True, True]


def test_undo_here_does_not_touch_the_other(cli, project, linked):
    (linked / "b.txt").write_text("b")
    at(cli, linked, "commit", "-m", "there")
    (project / "c.txt").write_text("c")
    cli.ok("commit", "-m", "here")
    cli.ok("worktree", "add", "../third")
    cli.ok("worktree", "remove", "third")
    cli.ok("undo")
    assert cli.ok("status", "-s").out == "?? c.txt\n"
    assert at(cli, linked, "status", "-s").out == ""


def test_going_back_leaves_the_branches_of_others_alone(cli, project, linked):
    (linked / "b.txt").write_text("b\n")
    at(cli, linked, "commit", "-m", "second")
    there = at(cli, linked, "rev-parse", "HEAD").out
    (project / "a.txt").write_text("changed\n")
    cli.ok("commit", "-m", "third")
    answer = cli.ok("op", "restore", "@~3")
    assert "linked is left as it is: another working copy stands on it" in answer.err
    assert cli.ok("log", "--format=%s").out == "first\n"
    assert at(cli, linked, "rev-parse", "HEAD").out == there
    assert at(cli, linked, "status", "-s").out == ""
    cli.ok("undo")
    assert cli.ok("log", "--format=%s", "-n", "1").out == "third\n"


def test_undo_moves_no_branch_on_which_another_stands(cli, project, linked):
    (project / "a.txt").write_text("changed\n")
    cli.ok("commit", "-m", "second")
    cli.ok("branch", "side", "HEAD~1")
    cli.ok("branch", "-f", "side", "HEAD")
    at(cli, linked, "switch", "side")
    answer = cli("undo")
    assert answer.code == 3
    assert "branch side is checked out in worktree linked" in answer.err
    assert at(cli, linked, "status", "-s").out == ""


def test_going_back_does_not_lead_onto_the_branch_of_another(cli, project, linked):
    cli.ok("switch", "-c", "side")
    cli.ok("switch", "main")
    at(cli, linked, "switch", "side")
    answer = cli("op", "restore", "@~2")
    assert answer.code == 3
    assert "branch side is checked out in worktree linked" in answer.err
    assert cli.ok("branch", "--show-current").out == "main\n"
