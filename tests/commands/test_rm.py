"""`dsvc rm`: remove versioned files, never what is not stored."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    for name in ("a.txt", "data/one.csv", "data/two.csv", "src/main.py"):
        file = cli.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    cli.ok("commit", "-m", "first")
    return cli.directory


def status(cli) -> list[str]:
    return cli.ok("status", "-s").out.splitlines()


def test_a_file_goes_and_the_commit_is_without_it(cli, project):
    assert cli.ok("rm", "a.txt").out == "rm a.txt\n"
    assert not (project / "a.txt").exists()
    assert status(cli) == [" D a.txt"]
    cli.ok("commit", "-m", "without")
    assert "a.txt" not in cli.ok("ls").out


def test_a_folder_needs_r_and_goes_with_its_files_but_not_with_new_ones(cli, project):
    assert cli("rm", "data").code == 3
    (project / "data" / "new.csv").write_text("new")
    cli.ok("rm", "-rq", "data")
    assert [p.name for p in (project / "data").iterdir()] == ["new.csv"]
    assert status(cli) == [" D data/one.csv", " D data/two.csv", "?? data/"]


def test_the_last_file_takes_its_folder_along(cli, project):
    cli.ok("rm", "src/main.py")
    assert not (project / "src").exists()
    cli.ok("commit", "-m", "without src")
    assert "src" not in cli.ok("ls").out
    assert status(cli) == []


def test_a_changed_file_is_refused_and_goes_with_force_and_comes_back(cli, project):
    (project / "a.txt").write_text("precious")
    refused = cli("rm", "a.txt", "data/one.csv")
    assert refused.code == 3
    assert "a.txt" in refused.err
    assert "data/one.csv" not in refused.err
    assert (project / "data/one.csv").exists()
    cli.ok("rm", "-f", "a.txt")
    assert not (project / "a.txt").exists()
    cli.ok("undo")
    assert (project / "a.txt").read_text() == "precious"


def test_an_added_file_that_no_commit_has_counts_as_changed(cli, project):
    (project / "new.txt").write_text("new")
    cli.ok("add", "new.txt")
    assert cli("rm", "new.txt").code == 3
    cli.ok("rm", "-f", "new.txt")
    assert status(cli) == []
    cli.ok("undo")
    assert (project / "new.txt").read_text() == "new"


def test_unknown_paths(cli, project):
    (project / "new.txt").write_text("new")
    assert cli("rm", "new.txt").code == 3
    assert cli("rm", "nothing").code == 3
    assert cli("rm", "--ignore-unmatch", "nothing").code == 0
    assert (project / "new.txt").exists()


def test_dry_run_and_json(cli, project):
    answer = cli.ok("rm", "-rn", "--json", "data").json
    assert [p["path"] for p in answer["removed"]] == ["data/one.csv", "data/two.csv"]
    assert status(cli) == []


def test_cached_is_explained(cli, project):
    answer = cli("rm", "--cached", "a.txt")
    assert answer.code == 2
    assert "staging" in answer.err


def test_everything(cli, project):
    cli.ok("rm", "-r", ".")
    assert sorted(p.name for p in project.iterdir()) == [".dsvc"]
    cli.ok("undo")
    assert (project / "data/one.csv").read_text() == "data/one.csv"
    assert status(cli) == []


def test_a_folder_in_place_of_a_file_is_switched_to_and_back(cli, project):
    cli.ok("switch", "-c", "other")
    cli.ok("rm", "a.txt")
    (project / "a.txt").mkdir()
    (project / "a.txt" / "inner").write_text("inner")
    cli.ok("commit", "-m", "folder")
    cli.ok("switch", "main")
    assert (project / "a.txt").read_text() == "a.txt"
    assert status(cli) == []
    cli.ok("switch", "other")
    assert (project / "a.txt" / "inner").read_text() == "inner"
    assert status(cli) == []
