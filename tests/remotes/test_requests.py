"""Merge requests where nothing enforces rules: in a folder, over SSH and SFTP, in a bucket, asked by `.dsvcrules`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine, cli
from tests.remotes.test_everywhere import Team, _team
from tests.servers.sshd import sshd

__all__ = ["cli", "sshd"]

RULES = """\
[[protect]]
refs = ["main"]
push = ["ada@example.com", "bob@example.com"]
approvals = 1
approvers = ["ada@example.com", "eve@example.com"]
"""


@pytest.fixture(params=["folder", "ssh", "sftp", "s3"])
def team(request: pytest.FixtureRequest, tmp_path: Path, cli: CommandLine) -> Team:
    place = request.param
    made = _team(request, "ssh" if place == "sftp" else place, tmp_path, dict(cli.environment))
    return replace(made, options=(*made.options, "server=sftp")) if place == "sftp" else made


def write(person: CommandLine, message: str, **files: str) -> str:
    for name, text in files.items():
        (person.directory / name).write_text(text)
    person.ok("commit", "-qm", message)
    return person.ok("rev-parse", "HEAD").out.strip()


def test_from_opening_to_merge(team: Team) -> None:
    ada = team.first("ada")
    (ada.directory / ".dsvcrules").write_text(RULES)
    first = write(ada, "first", code="1\n2\n3\n4\n5\n6\n")
    ada.ok("push", "-q", "origin", "main")
    bob, eve = team.clone("bob"), team.clone("eve")

    bob.ok("switch", "-q", "-c", "topic")
    change = write(bob, "a change", code="1\n2\n3\n4\n5\nsix\n")
    refused = bob("push", "origin", "HEAD:main")
    assert refused.code == 12
    assert ".dsvcrules asks for 1 approval" in refused.err
    assert bob.ok("request", "open", "--into", "main", "-m", "Please take this", "--json").json["number"] == 1
    write(ada, "meanwhile", other="x\n")
    assert ada("push", "origin", "main").code == 12, "also of those who may push"
    ada.ok("push", "-q", "--no-rules", "origin", "main")

    eve.ok("request", "comment", "1", "-m", "why six?")
    bob.ok("request", "comment", "1", "-m", "a word")
    shown = ada.ok("request", "show", "1")
    assert "Please take this" in shown.out
    assert shown.out.index("why six?") < shown.out.index("a word")
    assert "+six" in ada.ok("request", "diff", "1").out
    assert "your own commits" in bob("request", "approve", "1").err
    missing = bob("request", "merge", "1")
    assert missing.code == 1
    assert "0 of 1 approval that" in missing.err

    eve.ok("request", "show", "1")
    eve.ok("request", "approve", "1", "-m", "fine")
    stopped = eve("request", "merge", "1")
    assert stopped.code == 1
    assert ".dsvcrules leaves main to others than eve@example.com" in stopped.err
    bob.ok("request", "merge", "1")
    ada.ok("pull", "-q")
    assert (ada.directory / "code").read_text().endswith("six\n")
    assert (ada.directory / "other").read_text() == "x\n"
    for commit in (first, change):
        assert ada("merge-base", "--is-ancestor", commit, "HEAD").code == 0
    assert "Approved-by: eve" in ada.ok("log", "-1").out
    assert ada.ok("request", "list").out == ""
    assert ada.ok("request", "show", "1", "--json").json["state"] == "merged"
    assert ada("fsck", "--remote", "origin", "--full").code == 0


def train(person: CommandLine, rate: str, score: str) -> None:
    """Train a model whose score is known, and commit what came out."""
    script = f"echo {rate} >model; echo '{{\"accuracy\": {score}}}' >metrics.json"
    person.ok("run", "-q", "-p", f"rate={rate}", "--", "sh", "-c", script)
    person.ok("commit", "-q", "-m", f"rate {rate}")


def test_the_runs_of_both_sides_are_compared(team: Team) -> None:
    ada = team.first("ada")
    write(ada, "first", code="1\n")
    ada.ok("config", "run.metrics", "metrics.json")
    train(ada, "0.1", "0.8")
    ada.ok("push", "-q", "origin", "main")
    bob, eve = team.clone("bob"), team.clone("eve")
    bob.ok("config", "run.metrics", "metrics.json")
    bob.ok("switch", "-q", "-c", "faster")
    train(bob, "0.2", "0.85")
    train(bob, "0.3", "0.9")
    bob.ok("run", "-q", "--", "sh", "-c", "echo done >report")
    bob.ok("commit", "-q", "-m", "a report")
    bob.ok("request", "open", "--into", "main")
    ada.ok("run", "-q", "--", "sh", "-c", "echo other >other")
    write(ada, "meanwhile", code="2\n")
    ada.ok("push", "-q", "origin", "main")

    shown = eve.ok("request", "show", "1").out
    lines = [line.split() for line in shown.splitlines()]
    assert ["rate", "0.1", "0.3"] in lines, "the newest run of the branch beside that of main"
    assert ["accuracy", "0.8", "0.9"] in lines
    assert "with none of main to compare it to: sh -c 'echo done >report'" in shown
    report, trained = eve.ok("request", "show", "1", "--json").json["runs"]
    assert (report["beside"], report["diff"]) == (None, None)
    assert trained["diff"]["params"] == [{"name": "rate", "old": 0.1, "new": 0.3}]
    assert trained["diff"]["metrics"] == [{"name": "accuracy", "old": 0.8, "new": 0.9}]
    assert trained["run"] == trained["diff"]["new"]

    bob.ok("request", "merge", "1")
    assert ["accuracy", "0.8", "0.9"] in [line.split() for line in eve.ok("request", "show", "1").out.splitlines()]


def test_whose_approval_counts(team: Team) -> None:
    ada = team.first("ada")
    (ada.directory / ".dsvcrules").write_text(RULES)
    write(ada, "first", code="1\n")
    ada.ok("push", "-q", "origin", "main")
    bob, dan = team.clone("bob"), team.clone("dan")
    bob.ok("switch", "-q", "-c", "topic")
    write(bob, "a change", code="2\n")
    bob.ok("request", "open", "--into", "main")
    dan.ok("request", "show", "1")
    dan.ok("request", "approve", "1")
    answer = bob("request", "merge", "1")
    assert answer.code == 1
    assert "the one by dan is not of those whom .dsvcrules asks" in answer.err
    bob.ok("request", "merge", "1", "--no-rules")
    assert bob.ok("request", "show", "1", "--json").json["state"] == "merged"
    second = bob("request", "close", "1")
    assert second.code != 0
