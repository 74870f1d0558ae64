from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli: CommandLine) -> Path:
    cli.ok("init")
    for number in ("1", "2"):
        (cli.directory / "a").write_text(number)
        (cli.directory / number).write_text(number)
        cli.ok("commit", "-m", number)
    return cli.directory


@pytest.mark.parametrize("flags", [[], ["--mixed"], ["--soft"]])
def test_the_branch_moves_and_the_files_stay(cli: CommandLine, project: Path, flags: list[str]) -> None:
    cli.ok("reset", *flags, "HEAD~1")
    assert (project / "a").read_text() == "2"
    assert cli.ok("status", "-s").out == "A  2\n M a\n"
    cli.ok("commit", "-m", "again")
    assert cli.ok("cat", "HEAD:a").out == "2"


def test_content_that_only_the_old_branch_had_is_not_overwritten_by_a_switch(cli: CommandLine, project: Path) -> None:
    cli.ok("switch", "-c", "side", "HEAD~1")
    (project / "a").write_text("side")
    cli.ok("commit", "-m", "side")
    cli.ok("switch", "main")
    cli.ok("reset", "HEAD~1")
    answer = cli("switch", "side")
    assert answer.code == 3
    assert "a: changed" in answer.err
    assert (project / "a").read_text() == "2"


def test_hard_moves_the_files_and_leaves_unknown_ones(cli: CommandLine, project: Path) -> None:
    (project / "unknown").write_text("u")
    (project / "a").write_text("changed")
    result = cli.ok("reset", "--hard", "HEAD~1", "--json").json
    assert result["mode"] == "hard"
    assert (project / "a").read_text() == "1"
    assert not (project / "2").exists()
    assert (project / "unknown").read_text() == "u"
    assert cli.ok("status", "-s").out == "?? unknown\n"


def test_hard_stores_an_unknown_file_that_stands_in_the_way(cli: CommandLine, project: Path) -> None:
    cli.ok("reset", "--hard", "HEAD~1")
    (project / "2").write_text("mine")
    cli.ok("reset", "--hard", "HEAD@{1}")
    assert (project / "2").read_text() == "2"
    cli.ok("undo")
    assert (project / "2").read_text() == "mine"


def test_keep_refuses_a_changed_file(cli: CommandLine, project: Path) -> None:
    (project / "a").write_text("changed")
    assert cli("reset", "--keep", "HEAD~1").code == 3
    (project / "a").write_text("2")
    cli.ok("reset", "--keep", "HEAD~1")
    assert (project / "a").read_text() == "1"


def test_paths_are_a_usage_error(cli: CommandLine, project: Path) -> None:
    for words in (["a"], ["HEAD", "a"], ["--", "a"]):
        answer = cli("reset", *words)
        assert answer.code == 2
        assert "dsvc restore" in answer.err
    assert cli("reset", "--soft", "--hard").code == 2
    assert cli("reset", "nowhere").code == 3


def test_paths_are_sent_to_restore(cli) -> None:
    cli.ok("init", "-q")
    (cli.directory / "a").write_text("1")
    cli.ok("commit", "-q", "-m", "one")
    cli.ok("commit", "-q", "--allow-empty", "-m", "two")
    assert "hint: dsvc restore a\n" in cli("reset", "a").err
    assert "hint: dsvc restore a\n" in cli("reset", "HEAD", "a").err
    assert "hint: dsvc restore --source HEAD~1 a\n" in cli("reset", "HEAD~1", "--", "a").err
