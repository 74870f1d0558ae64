"""`dsvc branch`: list, make, move, rename, delete."""

from __future__ import annotations

import pytest


@pytest.fixture
def branches(history):
    """main with one commit more than `old`, and `side` with a commit of its own."""
    history.commit("one")
    history.cli.ok("branch", "old")
    history.commit("two")
    history.cli.ok("switch", "-q", "-c", "side", "old")
    history.commit("three")
    history.cli.ok("switch", "-q", "main")
    return history


def test_list(branches) -> None:
    cli = branches.cli
    assert cli.ok("branch").out == "* main\n  old\n  side\n"
    assert branches.shown("branch", "-v") == "* main <id> two\n  old  <id> one\n  side <id> three\n"
    assert cli.ok("branch", "--list", "s*").out == "  side\n"
    assert cli.ok("branch", "--merged").out == "* main\n  old\n"
    assert cli.ok("branch", "--no-merged").out == "  side\n"
    assert cli.ok("branch", "--contains", "side").out == "  side\n"
    assert cli.ok("branch", "--sort=-committerdate").out == "  side\n* main\n  old\n"
    listed = cli.ok("branch", "--format", "%(HEAD)%(refname:short)|%(subject)").out
    assert listed == "*main|two\n old|one\n side|three\n"
    assert cli.ok("branch", "--show-current").out == "main\n"
    document = cli.ok("branch", "--json").json
    assert [(b["name"], b["current"]) for b in document["branches"]] == [
        ("main", True), ("old", False), ("side", False),
    ]  # fmt: skip
    cli.ok("switch", "-q", "--detach", "old")
    assert branches.shown("branch").splitlines()[0] == "* (HEAD detached at <id>)"
    assert cli.ok("branch", "--show-current").out == ""


def test_make_move_and_copy(branches) -> None:
    cli = branches.cli
    cli.ok("branch", "new", "side")
    assert cli.ok("rev-parse", "new").out == cli.ok("rev-parse", "side").out
    taken = cli("branch", "new")
    assert taken.code == 3
    assert "there is already a branch new" in taken.err
    cli.ok("branch", "-f", "new", "main")
    assert cli.ok("rev-parse", "new").out == cli.ok("rev-parse", "main").out
    assert "this working copy stands on it" in cli("branch", "-f", "main", "old").err
    cli.ok("branch", "-c", "new", "copy")
    assert "copy" in cli.ok("branch").out
    assert cli("branch", "side/below").code == 3
    assert cli("branch", "bad..name").code == 2
    assert cli("branch", "x", "nope").code == 3


def test_rename_keeps_the_worktree_on_the_branch(branches) -> None:
    cli = branches.cli
    cli.ok("branch", "-m", "trunk")
    assert cli.ok("branch").out == "  old\n  side\n* trunk\n"
    assert cli("branch", "-m", "old", "side").code == 3
    cli.ok("branch", "-M", "old", "side")
    assert cli.ok("branch").out == "  side\n* trunk\n"
    cli.ok("undo")
    assert cli.ok("branch").out == "  old\n  side\n* trunk\n"


def test_rename_before_the_first_commit(cli) -> None:
    cli.ok("init", "-q")
    cli.ok("branch", "-m", "trunk")
    assert cli.ok("branch", "--show-current").out == "trunk\n"


def test_delete(branches) -> None:
    cli = branches.cli
    unmerged = cli("branch", "-d", "old", "side")
    assert unmerged.code == 3
    assert "'dsvc branch -D side'" in unmerged.err
    assert cli.ok("branch").out == "* main\n  old\n  side\n", "all or none"
    assert cli("branch", "-d", "main").code == 3
    cli.ok("branch", "-d", "old")
    cli.ok("branch", "-D", "side")
    assert cli.ok("branch").out == "* main\n"
    assert "did you mean main?" in cli("branch", "-d", "mai").err
