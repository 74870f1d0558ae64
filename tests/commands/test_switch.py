"""`dsvc switch`: what stands in its way, and what to do about that."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    """On main; the branch side has a file new, and one that is ignored."""
    cli.ok("init")
    (cli.directory / ".dsvcignore").write_text("*.log\n")
    cli.ok("commit", "-m", "first")
    cli.ok("switch", "-c", "side")
    (cli.directory / "new").write_text("theirs\n")
    (cli.directory / "run.log").write_text("theirs\n")
    cli.ok("add", "-f", "run.log")
    cli.ok("commit", "-m", "second")
    cli.ok("switch", "main")
    return cli.directory


def test_what_is_new_can_be_put_aside(cli, project):
    (project / "new").write_text("mine\n")
    answer = cli("switch", "side")
    assert answer.code == 3
    assert "  new: not part of any commit\n" in answer.err
    assert answer.err.splitlines()[-1].startswith("hint: commit them or put them aside with 'dsvc stash'")
    cli.ok("stash")
    cli.ok("switch", "side")


def test_what_is_ignored_cannot_and_has_to_be_moved(cli, project):
    (project / "run.log").write_text("mine\n")
    answer = cli("switch", "side")
    assert answer.code == 3
    assert "  run.log: ignored, and not part of any commit\n" in answer.err
    assert answer.err.splitlines()[-1].startswith("hint: move them elsewhere")
    (project / "new").write_text("mine\n")
    assert "hint: move what is ignored elsewhere; as to the others, commit them" in cli("merge", "side").err
    assert (project / "run.log").read_text() == "mine\n"
    (project / "run.log").rename(project / "mine.log")
    cli.ok("switch", "-f", "side")
    assert (project / "run.log").read_text() == "theirs\n"


def test_restoring_what_no_commit_has(cli, project):
    (project / "mine").write_text("1")
    assert cli("restore", "mine").err.startswith("dsvc: mine is new: there is nothing of it in HEAD\n")
    assert cli("restore", "-s", "side", "gone").err.startswith("dsvc: gone is neither in side nor in the working copy")
