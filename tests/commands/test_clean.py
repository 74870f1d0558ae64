"""`dsvc clean`: shows by default, removes with -f, and what it removed comes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    files = {
        ".dsvcignore": "*.log\nbuild/\n",
        "a.txt": "a",
        "src/main.py": "main",
    }
    for name, text in files.items():
        file = cli.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    cli.ok("commit", "-m", "first")
    (cli.directory / "a.txt").write_text("changed")
    for name in ("new.txt", "src/new.py", "run.log", "scratch/deep/x", "scratch/y.log", "build/out", "added.txt"):
        file = cli.directory / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(name)
    cli.ok("add", "added.txt")
    return cli.directory


def removed(answer) -> list[str]:
    return [line.removeprefix("Removed ").removeprefix("Would remove ") for line in answer.out.splitlines()]


def test_without_f_nothing_is_removed(cli, project):
    answer = cli.ok("clean")
    assert removed(answer) == ["new.txt", "src/new.py"]
    assert "dsvc clean -f" in answer.err
    assert (project / "new.txt").exists()


def test_only_new_files_go_and_come_back(cli, project):
    assert removed(cli.ok("clean", "-f")) == ["new.txt", "src/new.py"]
    assert not (project / "new.txt").exists()
    assert (project / "a.txt").read_text() == "changed"
    assert (project / "added.txt").exists()
    assert (project / "scratch/deep/x").exists()
    cli.ok("undo")
    assert (project / "new.txt").read_text() == "new.txt"
    assert (project / "src/new.py").read_text() == "src/new.py"
    assert (project / "a.txt").read_text() == "changed"


def test_d_takes_folders_but_keeps_ignored_files_in_them(cli, project):
    assert removed(cli.ok("clean", "-fd")) == ["new.txt", "scratch/deep/", "scratch/deep/x", "src/new.py"]
    assert (project / "scratch/y.log").exists()
    assert not (project / "scratch/deep").exists()
    assert (project / "build/out").exists()


def test_x_takes_ignored_files_too(cli, project):
    cli.ok("clean", "-fdx")
    left = sorted(p.name for p in project.iterdir())
    assert left == [".dsvc", ".dsvcignore", "a.txt", "added.txt", "src"]
    cli.ok("undo")
    assert (project / "build/out").read_text() == "build/out"
    assert (project / "scratch/y.log").read_text() == "scratch/y.log"


def test_capital_x_takes_only_those(cli, project):
    assert removed(cli.ok("clean", "-fdX")) == ["build/", "build/out", "run.log", "scratch/y.log"]
    assert (project / "new.txt").exists()


def test_paths_limit_it(cli, project):
    assert removed(cli.ok("clean", "-n", "src", "scratch")) == ["scratch/deep/", "scratch/deep/x", "src/new.py"]
    assert removed(cli.ok("clean", "-f", "scratch/deep/x")) == ["scratch/deep/x"]
    assert (project / "scratch/deep").exists()


def test_other_repositories_and_devices_are_left(cli, project):
    (project / "vendor" / ".git").mkdir(parents=True)
    (project / "vendor" / "lib.c").write_text("c")
    os.mkfifo(project / "pipe")
    (project / "link").symlink_to("a.txt")
    answer = cli.ok("clean", "-fdx")
    assert (project / "vendor" / "lib.c").exists()
    assert (project / "pipe").exists()
    assert not (project / "link").is_symlink()
    assert "vendor" in answer.err
    assert "pipe" in answer.err
    cli.ok("undo")
    assert os.readlink(project / "link") == "a.txt"


def test_an_empty_folder_goes_with_d_and_comes_back(cli, project):
    (project / "empty").mkdir()
    cli.ok("clean", "-fd", "empty")
    assert not (project / "empty").exists()
    cli.ok("undo")
    assert (project / "empty").is_dir()


def test_json_and_usage(cli, project):
    answer = cli.ok("clean", "--json").json
    assert answer["dry_run"] is True
    assert answer["files"] == [{"path": "new.txt"}, {"path": "src/new.py"}]
    assert cli("clean", "-xX").code == 2
