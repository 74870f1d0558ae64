"""A project in a folder, and dsvc as a program of its own beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def signals_of_a_terminal() -> Iterator[None]:
    """What runs in the background or under nohup ignores signals, and so would all that it starts."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)}
    for number, handler in before.items():
        if handler == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        if handler == signal.SIG_IGN:
            signal.signal(number, handler)


@dataclass
class Project:
    """A working copy; `project("runs")` is a process `dsvc runs` in it."""

    folder: Path
    environment: dict[str, str]

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        settings = {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen([sys.executable, "-m", "dsvc", *words], **{**settings, **options})

    def __call__(self, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def ok(self, *words: str, **options: Any) -> str:
        done = self(*words, **options)
        assert done.returncode == 0, done.stderr.decode()
        return (done.stdout or b"").decode()

    def python(self, code: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        """Run a program that records itself."""
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            timeout=600,  # no test is about time, and ten million points take minutes on a busy machine
            check=False,
        )

    def runs(self, *words: str) -> list[dict[str, Any]]:
        return json.loads(self.ok("runs", "list", "--json", *words))["runs"]

    def shown(self, name: str = "@") -> dict[str, Any]:
        return json.loads(self.ok("runs", "show", "--json", name))

    def run(self, *words: str) -> dict[str, Any]:
        """Run a command and return its record."""
        self("run", "-q", *words)
        return self.shown()

    def journals(self) -> list[str]:
        folder = self.folder / ".dsvc" / "worktree" / "runs"
        return sorted(os.listdir(folder)) if folder.is_dir() else []

    def sound(self) -> None:
        self.ok("fsck")
        assert self.journals() == []


def files(pins: dict[str, Any]) -> dict[str, str]:
    """Path -> state of inputs or outputs."""
    return {pin["path"]: pin["state"] for pin in pins["files"]}


def until(condition: Any, seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    environment = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "DSVC_USER_NAME": "Ada Example",
        "DSVC_USER_EMAIL": "ada@example.com",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    found = Project(folder, environment)
    found.ok("init", "-q")
    found.write("data.csv", "1,2\n3,4\n")
    found.ok("commit", "-qm", "first")
    return found
