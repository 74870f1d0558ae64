"""Words that are not UTF-8, wherever a command takes one: stored where that can be, else refused in a sentence."""

from __future__ import annotations

import os

import pytest

from tests.commands.conftest import CommandLine

ODD = os.fsdecode(b"caf\xe9")


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    cli.ok("init")
    (cli.directory / "a").write_text("1")
    cli.ok("commit", "-m", "first")
    return cli


@pytest.mark.parametrize(
    "words",
    ["switch", "checkout", "merge", "rebase", "log", "show", "diff", "reset", "rev-parse", "branch -d", "tag -d"],
)
def test_no_branch_and_no_tag_is_called_so(project: CommandLine, words: str) -> None:
    answer = project(*words.split(), ODD)
    assert answer.code == 3, answer.err
    assert answer.err.startswith(("dsvc: 'caf", "dsvc: there is no "))


@pytest.mark.parametrize("verb", ["branch", "tag"])
def test_none_can_be_called_so(project: CommandLine, verb: str) -> None:
    answer = project(verb, ODD)
    assert answer.code == 2
    assert f"is not a valid name for a {verb}" in answer.err
    assert answer.err.splitlines()[1].startswith("hint: names are UTF-8 without blanks")


def test_a_repository_may_lie_in_a_folder_that_is_called_so(project: CommandLine) -> None:
    project.ok("init", f"../{ODD}")
    project.ok("-C", f"../{ODD}", "commit", "-m", "first")
    project.ok("-C", f"../{ODD}", "fork", ".", f"../fork-{ODD}")
    assert project.ok("-C", f"../fork-{ODD}", "log", "--format=%s").out == "first\n"
    project.ok("worktree", "add", "-b", "side", f"../side-{ODD}")
    found = project.ok("worktree", "list", "--json").json["worktrees"][1]
    assert found["path_b64"]


@pytest.mark.parametrize("words", [["config", "user.name", ODD], ["config", f"alias.{ODD}", "log"]])
def test_settings_are_text(project: CommandLine, words: list[str]) -> None:
    answer = project(*words)
    assert answer.code == 3
    assert "cannot be set to what is not UTF-8" in answer.err
    assert project.ok("status", "-s").out == ""
