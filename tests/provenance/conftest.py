"""A project with three stages on two branches, made once and copied for each test that changes it."""

from __future__ import annotations

import os
import pty
import shutil
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs.conftest import Project

PREPARE = """
import glob
rows = [row for name in sorted(glob.glob("raw/*.csv")) for row in open(name)]
open("clean.csv", "w").writelines(sorted(rows))
"""
FEATURES = """
import sys
rows = [int(row) for row in open("clean.csv")]
wide = "--wide" in sys.argv
open("features.csv", "w").writelines(f"{row},{row * row}\\n" if wide else f"{row};\\n" for row in rows)
"""
TRAIN = """
import json, sys
sys.path.insert(0, ".")
size = sum(len(row) for row in open("features.csv"))
json.dump({"size": size}, open("model.json", "w"))
"""


def new_project(folder: Path) -> Project:
    """An empty repository in a folder."""
    folder.mkdir(parents=True)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "LANG": "C.UTF-8",
        "DSVC_USER_NAME": "Ada Example",
        "DSVC_USER_EMAIL": "ada@example.com",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    project = Project(folder, environment)
    project.ok("init", "-q")
    return project


def on_terminal(project: Project, *words: str, columns: int = 80) -> str:
    """What a command shows on a terminal of so many columns, without colours."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        termios.tcsetwinsize(1, (50, columns))
        variables = {**project.environment, "DSVC_PAGER": "cat", "NO_COLOR": "1", "TERM": "xterm"}
        os.execve(sys.executable, [sys.executable, "-m", "dsvc", *words], variables)
    shown = b""
    try:
        while part := os.read(terminal, 1 << 16):
            shown += part
    except OSError:  # Linux says so at the end
        pass
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0, shown
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture(scope="session")
def _stages(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("stages") / "project")
    for day in range(1, 9):
        project.write(f"raw/day{day}.csv", "".join(f"{n}\n" for n in range(day, day * 10)))
    project.write("prepare.py", PREPARE)
    project.write("features.py", FEATURES)
    project.write("train.py", TRAIN)
    project.ok("commit", "-qm", "Raw data")
    for words in (["prepare.py"], ["features.py"], ["train.py"]):
        project.ok("run", "-q", "--", "python", *words)
    project.ok("commit", "-qm", "Plain")
    project.ok("switch", "-qc", "wide")
    project.ok("run", "-q", "--", "python", "features.py", "--wide")
    project.ok("run", "-q", "--", "python", "train.py")
    project.ok("commit", "-qm", "Wide")
    project.ok("switch", "-q", "main")
    return project


@pytest.fixture
def stages(_stages: Project, tmp_path: Path) -> Project:
    """Raw data, prepare.py -> clean.csv, features.py -> features.csv, train.py -> model.json; wider on branch wide."""
    shutil.copytree(_stages.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", {**_stages.environment, "HOME": str(tmp_path)})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty repository."""
    return new_project(tmp_path / "project")


@pytest.fixture
def commands(project: Project) -> Callable[[str, str], Project]:
    """Write a program and run it."""

    def run(name: str, code: str) -> Project:
        project.write(name, code)
        project.ok("run", "-q", "--", "python", name)
        return project

    return run
