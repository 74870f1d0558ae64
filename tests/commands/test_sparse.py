"""`dsvc sparse`: part of the tree on disk, all of it in the repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

FILES = ("README", "src/a.py", "src/deep/b.py", "data/index.csv", "data/raw/1.png", "data/raw/x/2.png")


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / ".dsvcignore").unlink()
    for name in FILES:
        file = cli.directory / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(name)
    cli.ok("commit", "-m", "first")
    return cli.directory


def on_disk(project: Path) -> list[str]:
    return sorted(
        p.relative_to(project).as_posix() for p in project.rglob("*") if p.is_file() and ".dsvc" not in p.parts
    )


def status(cli) -> list[str]:
    return cli.ok("status", "-s").out.splitlines()


def committed(cli, rev: str = "HEAD") -> list[str]:
    return sorted(cli.ok("ls", "-r", rev).out.splitlines())


SMALL = ["README", "src/a.py", "src/deep/b.py"]


def test_files_leave_and_come_back(cli, project):
    cli.ok("sparse", "set", "src")
    assert on_disk(project) == SMALL
    assert not (project / "data").exists()
    assert status(cli) == []
    assert cli.ok("sparse", "list").out == "src\n"
    cli.ok("sparse", "add", "data/raw/x")
    assert on_disk(project) == sorted(FILES)
    cli.ok("sparse", "set", "src")
    answer = cli.ok("sparse", "disable", "--json").json
    assert answer["written"] == 3
    assert on_disk(project) == sorted(FILES)
    assert status(cli) == []


def test_a_commit_keeps_what_is_not_there(cli, project):
    cli.ok("sparse", "set", "src")
    (project / "src/a.py").write_text("changed")
    (project / "src/new.py").write_text("new")
    cli.ok("commit", "-m", "second")
    assert cli.ok("cat", "HEAD:data/raw/1.png").out == "data/raw/1.png"
    assert status(cli) == []
    cli.ok("sparse", "disable")
    assert on_disk(project) == sorted([*FILES, "src/new.py"])
    assert status(cli) == []


def test_switches_and_merges_leave_absent_what_is_absent(cli, project):
    cli.ok("switch", "-c", "topic")
    (project / "data/raw/1.png").write_text("topic")
    (project / "data/raw/new.png").write_text("new")
    (project / "data/more").mkdir()
    (project / "data/more/3.png").write_text("3")
    (project / "data/index.csv").unlink()
    (project / "src/a.py").write_text("topic")
    cli.ok("commit", "-m", "topic")
    cli.ok("switch", "main")
    cli.ok("sparse", "set", "src")
    cli.ok("switch", "topic")
    assert on_disk(project) == SMALL
    assert (project / "src/a.py").read_text() == "topic"
    assert status(cli) == []
    cli.ok("switch", "main")
    (project / "src/c.py").write_text("c")
    cli.ok("commit", "-m", "main")
    cli.ok("merge", "topic")
    assert on_disk(project) == [*SMALL[:2], "src/c.py", "src/deep/b.py"]
    assert status(cli) == []
    assert cli.ok("cat", "HEAD:data/more/3.png").out == "3"
    cli.ok("sparse", "disable")
    assert (project / "data/raw/new.png").read_text() == "new"
    assert not (project / "data/index.csv").exists()
    assert status(cli) == []


def test_partly_present_folders_follow_switches(cli, project):
    cli.ok("switch", "-c", "topic")
    for name in ("data/raw/1.png", "data/raw/x/2.png", "data/index.csv"):
        (project / name).unlink()
    (project / "data/raw/new.py").write_text("new")
    cli.ok("commit", "-m", "topic")
    cli.ok("sparse", "set", "*.py", "*.csv")
    assert on_disk(project) == ["data/raw/new.py", "src/a.py", "src/deep/b.py"]
    for _ in range(2):
        cli.ok("switch", "main")
        assert on_disk(project) == ["data/index.csv", "src/a.py", "src/deep/b.py"]
        assert status(cli) == []
        cli.ok("switch", "topic")
        assert on_disk(project) == ["data/raw/new.py", "src/a.py", "src/deep/b.py"]
        assert status(cli) == []


def test_changed_files_stay_until_they_are_committed(cli, project):
    (project / "data/raw/1.png").write_text("precious")
    answer = cli.ok("sparse", "set", "src")
    assert "data/raw/1.png" in answer.err
    assert on_disk(project) == sorted([*SMALL, "data/raw/1.png"])
    assert status(cli) == [" M data/raw/1.png"]
    cli.ok("commit", "-m", "second")
    cli.ok("sparse", "reapply")
    assert on_disk(project) == SMALL
    assert cli.ok("cat", "HEAD:data/raw/1.png").out == "precious"


def test_new_files_outside_are_committed_beside_the_absent_ones(cli, project):
    cli.ok("sparse", "set", "src")
    (project / "data/raw/x").mkdir(parents=True)
    (project / "data/raw/x/3.png").write_text("3")
    (project / "data/raw/1.png").write_text("written anew")
    assert status(cli) == [" M data/raw/1.png", "?? data/raw/x/3.png"]
    cli.ok("commit", "-m", "second")
    assert committed(cli) == sorted([*FILES, "data/raw/x/3.png"])
    assert cli.ok("cat", "HEAD:data/raw/1.png").out == "written anew"
    assert status(cli) == []
    cli.ok("sparse", "reapply")
    assert on_disk(project) == SMALL
    cli.ok("sparse", "disable")
    assert on_disk(project) == sorted([*FILES, "data/raw/x/3.png"])


def test_a_folder_deleted_on_disk_takes_only_its_present_files(cli, project):
    cli.ok("sparse", "set", "src", "*.csv")
    assert (project / "data/index.csv").exists()
    shutil.rmtree(project / "data")
    assert status(cli) == [" D data/index.csv"]
    cli.ok("commit", "-m", "second")
    assert committed(cli) == sorted(set(FILES) - {"data/index.csv"})
    assert status(cli) == []


def test_files_in_the_way_are_left(cli, project):
    cli.ok("sparse", "set", "src")
    (project / "data").mkdir()
    (project / "data/index.csv").write_text("mine")
    cli.ok("sparse", "disable")
    assert (project / "data/index.csv").read_text() == "mine"
    assert status(cli) == [" M data/index.csv"]


def test_a_lost_index_does_not_delete_what_is_absent(cli, project):
    cli.ok("sparse", "set", "src")
    (project / ".dsvc/worktree/index").unlink()
    assert status(cli) == []
    (project / "src/a.py").write_text("changed")
    cli.ok("commit", "-m", "second")
    assert committed(cli) == sorted(FILES)


@pytest.mark.parametrize("path", ["data/raw/1.png", "data"])
def test_restoring_or_moving_what_is_left_out_says_how_to_get_it(cli, project, path):
    cli.ok("sparse", "set", "src")
    answer = cli("restore", path)
    assert answer.code == 3
    assert f"dsvc sparse add {path}" in answer.err
    assert "not checked out" in cli("mv", path, "elsewhere").err
    cli.ok("restore", ".")
    assert on_disk(project) == SMALL


def test_what_makes_no_sense(cli, project):
    assert cli("sparse", "set", "../x").code == 2
    assert cli("sparse", "add", "src").code == 3
    assert cli("sparse", "reapply").code == 3
    assert cli("sparse").code == 2


def test_undo_brings_back_the_patterns_and_the_files(cli, project):
    cli.ok("sparse", "set", "src")
    cli.ok("sparse", "add", "data/raw")
    more = on_disk(project)
    assert "sparse: src data/raw" in cli.ok("undo").err
    assert on_disk(project) == SMALL
    assert cli.ok("sparse", "list").out == "src\n"
    assert cli.ok("undo", "--json").json["files_moved"]
    assert on_disk(project) == sorted(FILES)
    assert cli.ok("sparse", "list").out == ""
    cli.ok("redo")
    cli.ok("redo")
    assert on_disk(project) == more
    assert cli.ok("sparse", "list").out == "src\ndata/raw\n"
    cli.ok("sparse", "set", "src", "data/raw")  # as it is
    cli.ok("sparse", "disable")
    cli.ok("undo")
    assert on_disk(project) == more
    assert status(cli) == []
    assert cli.ok("log", "--oneline").out.endswith(" first\n")
