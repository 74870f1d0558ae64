"""`dsvc checkout`: git's old verb."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "a.txt").write_text("one\n")
    cli.ok("commit", "-m", "first")
    cli.ok("branch", "topic")
    (cli.directory / "a.txt").write_text("two\n")
    cli.ok("commit", "-m", "second")
    return cli.directory


def branch(cli) -> str:
    return cli.ok("status", "-sb").out.splitlines()[0]


def test_a_branch_and_back(cli, project):
    cli.ok("checkout", "topic")
    assert branch(cli) == "## topic"
    assert (project / "a.txt").read_text() == "one\n"
    cli.ok("checkout", "-")
    assert branch(cli) == "## main"


def test_a_new_branch_here_and_at_a_commit(cli, project):
    cli.ok("checkout", "-b", "here")
    assert branch(cli) == "## here"
    cli.ok("checkout", "-b", "there", "HEAD~1")
    assert (project / "a.txt").read_text() == "one\n"
    assert cli("checkout", "-b", "here").code == 3
    cli.ok("checkout", "-B", "here", "main")
    assert (project / "a.txt").read_text() == "two\n"


def test_a_commit_is_stood_at_without_a_branch(cli, project):
    answer = cli.ok("checkout", "HEAD~1")
    assert "Detached" in answer.err
    assert (project / "a.txt").read_text() == "one\n"


def test_paths_are_put_back_and_undo_takes_it_back(cli, project):
    (project / "a.txt").write_text("changed\n")
    cli.ok("checkout", "--", "a.txt")
    assert (project / "a.txt").read_text() == "two\n"
    cli.ok("checkout", "HEAD~1", "--", "a.txt")
    assert (project / "a.txt").read_text() == "one\n"
    cli.ok("checkout", "HEAD", "a.txt")
    assert (project / "a.txt").read_text() == "two\n"
    cli.ok("undo")
    cli.ok("undo")
    cli.ok("undo")
    assert (project / "a.txt").read_text() == "changed\n"


def test_a_path_alone_is_a_path_unless_it_is_a_branch_too(cli, project):
    (project / "a.txt").write_text("changed\n")
    cli.ok("checkout", "a.txt")
    assert (project / "a.txt").read_text() == "two\n"
    (project / "topic").write_text("x")
    assert cli("checkout", "topic").code == 2
    assert cli("checkout", "nothing").code == 3
    assert cli("checkout").code == 2


def test_changes_in_the_way_stop_it_and_force_does_not(cli, project):
    (project / "a.txt").write_text("precious\n")
    assert cli("checkout", "topic").code == 3
    assert (project / "a.txt").read_text() == "precious\n"
    cli.ok("checkout", "-f", "topic")
    cli.ok("undo")
    assert (project / "a.txt").read_text() == "precious\n"


def test_back_to_a_commit_without_a_branch(cli, project):
    cli.ok("checkout", "HEAD~1")
    cli.ok("switch", "main")
    assert "Detached" in cli.ok("switch", "-").err
    cli.ok("switch", "-")
    assert branch(cli) == "## main"
