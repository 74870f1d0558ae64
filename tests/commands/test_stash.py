from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli: CommandLine) -> Path:
    cli.ok("init")
    (cli.directory / "a").write_text("1\n")
    (cli.directory / "b").write_text("b\n")
    cli.ok("commit", "-m", "base")
    return cli.directory


def test_changes_and_new_files_go_and_come_back(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("2\n")
    (project / "b").unlink()
    (project / "folder").mkdir()
    (project / "folder" / "new").write_text("new")
    cli.ok("stash", "-m", "later")
    assert cli.ok("status", "-s").out == ""
    assert (project / "a").read_text() == "1\n"
    assert not (project / "folder").exists()
    assert cli.ok("stash", "list").out == "stash@{0}: On main: later\n"
    assert cli.ok("stash", "show").out == "M\ta\nD\tb\nA\tfolder/new\n"
    assert cli.ok("cat", "stash@{0}:a").out == "2\n"
    cli.ok("stash", "pop")
    assert (project / "a").read_text() == "2\n"
    assert not (project / "b").exists()
    assert (project / "folder" / "new").read_text() == "new"
    assert cli.ok("stash", "list").out == ""


def test_the_newest_is_number_0_and_each_can_be_taken(cli: CommandLine, project: Path) -> None:
    for number in range(3):
        (project / "a").write_text(f"change {number}\n")
        cli.ok("stash", "push", "-m", str(number))
    cli.ok("stash", "drop", "stash@{1}")
    names = [s["message"] for s in cli.ok("stash", "list", "--json").json["stashes"]]
    assert names == ["On main: 2", "On main: 0"]
    cli.ok("stash", "apply", "1")
    assert (project / "a").read_text() == "change 0\n"
    assert len(cli.ok("stash", "list").out.splitlines()) == 2
    assert cli("stash", "pop", "7").code == 3
    assert cli("stash", "pop", "x").code == 2
    cli.ok("restore", "a")
    cli.ok("stash", "clear")
    assert cli("stash", "pop").code == 3
    cli.ok("undo")
    assert len(cli.ok("stash", "list").out.splitlines()) == 2


def test_only_some_paths(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("2\n")
    (project / "b").write_text("mine\n")
    (project / "new").write_text("new")
    cli.ok("stash", "push", "a")
    assert (project / "a").read_text() == "1\n"
    assert (project / "b").read_text() == "mine\n"
    assert (project / "new").read_text() == "new"
    cli.ok("stash", "pop")
    assert (project / "a").read_text() == "2\n"
    assert (project / "b").read_text() == "mine\n"


def test_nothing_to_stash(cli: CommandLine, project: Path) -> None:
    assert cli.ok("stash", "--json").json["result"] == "nothing"
    assert cli.ok("stash", "list").out == ""


def test_a_stash_meets_other_changes(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("stashed\n")
    cli.ok("stash")
    (project / "a").write_text("dirty\n")
    answer = cli("stash", "pop")
    assert answer.code == 3
    assert "a: changed" in answer.err
    cli.ok("commit", "-m", "other")
    (project / "b").write_text("dirty\n")
    answer = cli("stash", "pop")
    assert answer.code == 13
    assert (project / "a").read_text().startswith("<<<<<<< Updated upstream\ndirty\n")
    assert len(cli.ok("stash", "list").out.splitlines()) == 1
    assert "stash --abort" in cli("switch", "-c", "x").err
    cli.ok("stash", "--abort")
    assert (project / "a").read_text() == "dirty\n"
    assert (project / "b").read_text() == "dirty\n"
    assert cli("stash", "pop").code == 13
    cli.ok("resolve", "--theirs", "a")
    assert cli.ok("status", "--json").json["under_way"] is None
    assert (project / "a").read_text() == "stashed\n"
    cli.ok("stash", "drop")


def test_undo_brings_stashed_changes_back(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("2\n")
    (project / "new").write_text("new")
    cli.ok("stash")
    cli.ok("undo")
    assert (project / "a").read_text() == "2\n"
    assert (project / "new").read_text() == "new"
    assert cli.ok("stash", "list").out == ""


def test_show_gives_the_lines_when_asked(history) -> None:
    cli = history.cli
    cli.ok("init", "-q")
    history.commit("one", {"a.txt": "a\n"})
    history.write({"a.txt": "b\n"})
    cli.ok("stash")
    assert cli.ok("stash", "show").out == "M\ta.txt\n"
    assert cli.ok("stash", "show", "-p").out.endswith("@@ -1 +1 @@\n-a\n+b\n")
    assert cli.ok("stash", "show", "--stat", "stash@{0}").out.startswith(" a.txt | 2 +-\n")
