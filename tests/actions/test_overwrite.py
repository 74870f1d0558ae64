"""A command that overwrites files and is killed in the middle: what they held is stored before the first one goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Runs a dsvc command in a child that kills itself when the n-th file of the working copy is put in its place.
SCRIPT = """
import os, signal, sys
from dsvc.worktree import checkout
left = int(sys.argv[1])
real = checkout.Writer._replace
def replace(self, *arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *arguments)
checkout.Writer._replace = replace
from dsvc.commands.entry import main
sys.argv = ["dsvc", *sys.argv[2:]]
main()
"""


def dsvc(folder: Path, *words: str, killed_at: int | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "DSVC_USER_NAME": "Ada",
        "DSVC_USER_EMAIL": "ada@example.com",
    }
    start = ["-m", "dsvc"] if killed_at is None else ["-c", SCRIPT, str(killed_at)]
    return subprocess.run(
        [sys.executable, *start, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    dsvc(folder, "init", "-q")
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"committed {number}\n")
    dsvc(folder, "commit", "-qm", "first")
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"precious {number}\n")
    return folder


@pytest.mark.parametrize("killed_at", [0, 2])
def test_a_killed_restore_loses_nothing(project, killed_at):
    done = dsvc(project, "restore", ".", killed_at=killed_at)
    assert done.returncode == -signal.SIGKILL
    after = dsvc(project, "status", "-s")
    assert after.returncode == 0, after.stderr
    assert [(project / f"{n}.txt").read_text() for n in range(4)] == [f"precious {n}\n" for n in range(4)]
    assert dsvc(project, "fsck").returncode == 0
    done = dsvc(project, "restore", ".")
    assert done.returncode == 0, done.stderr
    assert (project / "0.txt").read_text() == "committed 0\n"


def test_a_killed_merge_is_taken_back(project):
    dsvc(project, "commit", "-qm", "second")
    dsvc(project, "switch", "-q", "-c", "topic", "HEAD~1")
    (project / "new.txt").write_text("new\n")
    dsvc(project, "commit", "-qm", "third")
    done = dsvc(project, "merge", "main", killed_at=2)
    assert done.returncode == -signal.SIGKILL
    after = dsvc(project, "status", "-s")
    assert after.returncode == 0, after.stderr
    assert after.stdout == ""
    done = dsvc(project, "merge", "main")
    assert done.returncode == 0, done.stderr
    assert (project / "3.txt").read_text() == "precious 3\n"
