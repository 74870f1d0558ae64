from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli: CommandLine) -> Path:
    """Twenty commits; the file `state` says broken from the thirteenth on."""
    cli.ok("init")
    for number in range(1, 21):
        (cli.directory / "number").write_text(str(number))
        (cli.directory / "state").write_text("broken" if number >= 13 else "fine")
        cli.ok("commit", "-m", f"commit {number}")
    return cli.directory


def test_marking_by_hand_finds_the_commit_by_halves(cli: CommandLine, project: Path) -> None:
    assert "Waiting" in cli.ok("bisect", "start").err
    cli.ok("bisect", "bad")
    answer = cli.ok("bisect", "good", "HEAD~19", "--json").json
    tests = 0
    while answer["state"] == "testing":
        tests += 1
        mark = "bad" if (project / "state").read_text() == "broken" else "good"
        answer = cli.ok("bisect", mark, "--json").json
    assert tests <= 5
    assert answer["state"] == "found"
    assert cli.ok("cat", f"{answer['commit']}:number").out == "13"
    assert "first bad commit" in cli.ok("bisect", "log").out
    cli.ok("bisect", "reset")
    assert (project / "number").read_text() == "20"
    assert cli.ok("status", "--json").json["branch"] == "main"
    assert cli("bisect", "good").code == 3


def test_a_program_decides(cli: CommandLine, project: Path) -> None:
    cli.ok("bisect", "start", "HEAD", "HEAD~19")
    answer = cli.ok("bisect", "run", "grep", "-q", "fine", "state")
    assert "is the first bad commit" in answer.out
    assert "commit 13" in answer.err
    cli.ok("bisect", "reset")


def test_skipped_commits_are_left_out(cli: CommandLine, project: Path) -> None:
    cli.ok("bisect", "start", "HEAD", "HEAD~19")
    script = "n=$(cat number); if [ $n = 12 ] || [ $n = 13 ]; then exit 125; fi; grep -q fine state"
    answer = cli("bisect", "run", "sh", "-c", script, "--json")
    assert answer.code == 1
    found = {cli.ok("cat", f"{line}:number").out for line in answer.out.split()}
    assert found == {"12", "13", "14"}


def test_a_merge_is_searched_on_both_sides(cli: CommandLine, project: Path) -> None:
    cli.ok("switch", "-c", "side", "HEAD~9")
    (project / "bug").write_text("bug")
    cli.ok("commit", "-m", "the bug")
    (project / "more").write_text("more")
    cli.ok("commit", "-m", "more")
    cli.ok("switch", "main")
    cli.ok("merge", "side")
    cli.ok("bisect", "start", "HEAD", "HEAD~15")
    answer = cli.ok("bisect", "run", "test", "!", "-e", "bug")
    assert "the bug" in answer.err


def test_what_cannot_be_searched(cli: CommandLine, project: Path) -> None:
    answer = cli("bisect", "start", "HEAD~5", "HEAD")
    assert answer.code == 3
    assert cli("bisect", "log").code == 3
    cli.ok("bisect", "start", "HEAD", "HEAD~5")
    assert cli("bisect", "run", "sh", "-c", "exit 200").code == 3
    (project / "state").write_text("changed by hand")
    cli.ok("bisect", "reset")
    assert (project / "state").read_text() == "changed by hand"


def test_undo_takes_a_wrong_answer_back(cli: CommandLine, project: Path) -> None:
    first = cli.ok("bisect", "start", "HEAD", "HEAD~19", "--json").json["commit"]
    cli.ok("bisect", "bad")
    cli.ok("undo")
    assert cli.ok("rev-parse", "HEAD").out.strip() == first
    assert len(cli.ok("bisect", "log").out.splitlines()) == 3


def test_it_says_which_commit_it_waits_for(history) -> None:
    history.commit("one")
    history.commit("two")
    assert "a bad and a good commit" in history.cli.ok("bisect", "start").err
    assert history.cli.ok("bisect", "bad").err == "Waiting for a good commit: dsvc bisect good REV\n"
    history.cli.ok("bisect", "reset")
    history.cli.ok("bisect", "start")
    assert history.cli.ok("bisect", "good", "HEAD~1").err == "Waiting for a bad commit: dsvc bisect bad REV\n"
