from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli: CommandLine) -> Path:
    cli.ok("init")
    for number in (1, 2, 3):
        (cli.directory / f"file{number}").write_text(str(number))
        (cli.directory / "all").write_text(f"{number}\n")
        cli.ok("commit", "-m", f"commit {number}")
    return cli.directory


def test_the_last_commit_is_taken_back_by_a_new_one(cli: CommandLine, project: Path) -> None:
    reverted = cli.ok("rev-parse", "HEAD").out.strip()
    cli.ok("revert", "--no-edit", "HEAD")
    assert not (project / "file3").exists()
    assert (project / "all").read_text() == "2\n"
    assert cli.ok("rev-parse", "HEAD~1").out.strip() == reverted
    cli.ok("revert", "HEAD")
    assert (project / "file3").read_text() == "3"


def test_a_range_is_taken_back_from_its_end(cli: CommandLine, project: Path) -> None:
    result = cli.ok("revert", "HEAD~2..HEAD", "--json").json
    assert len(result["done"]) == 2
    assert (project / "all").read_text() == "1\n"
    cli.ok("undo")
    assert (project / "all").read_text() == "3\n"


def test_a_conflict_is_settled_or_taken_back(cli: CommandLine, project: Path) -> None:
    assert cli("revert", "HEAD~1").code == 13
    assert "dsvc revert --abort" in cli("revert", "HEAD").err
    cli.ok("revert", "--abort")
    assert (project / "all").read_text() == "3\n"
    assert (project / "file2").exists()
    assert cli("revert", "HEAD~1").code == 13
    (project / "all").write_text("settled\n")
    cli.ok("resolve", "all")
    cli.ok("revert", "--continue")
    assert cli.ok("cat", "HEAD:all").out == "settled\n"
    assert not (project / "file2").exists()
    assert cli.ok("status", "-s").out == ""


def test_the_first_commit_and_changes_only(cli: CommandLine, project: Path) -> None:
    cli.ok("revert", "-n", "HEAD")
    assert cli.ok("cat", "HEAD:all").out == "3\n"
    assert (project / "all").read_text() == "2\n"
    assert cli("revert", "HEAD~2", "-m", "2").code == 3
