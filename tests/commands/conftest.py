"""Runs dsvc in this process, with streams that are kept and an environment that does not vary."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsvc.commands.entry import run


@dataclass(frozen=True)
class Answer:
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8", "surrogateescape")

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def error_json(self) -> Any:
        return json.loads(self.err)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


@dataclass
class CommandLine:
    """`cli("commit", "-m", "first")`; `cli.ok(...)` also asserts that the exit code is 0."""

    directory: Path
    environment: dict[str, str]
    terminal: bool = False
    stdin: bytes = b""

    def __call__(self, *words: str, directory: Path | None = None) -> Answer:
        stream = Terminal if self.terminal else io.BytesIO
        out, err = stream(), stream()
        code = run(
            words,
            self.environment,
            stdin=stream(self.stdin),
            stdout=out,
            stderr=err,
            directory=directory or self.directory,
        )
        return Answer(code, out.getvalue(), err.getvalue().decode("utf-8", "surrogateescape"))

    def ok(self, *words: str) -> Answer:
        answer = self(*words)
        assert answer.code == 0, answer.err
        return answer


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    directory = tmp_path / "project"
    home = tmp_path / "home"
    directory.mkdir()
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "DSVC_USER_NAME": "Ada Example",
        "DSVC_USER_EMAIL": "ada@example.com",
        "DSVC_DATE": "2026-01-31T12:00:00+01:00",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    return CommandLine(directory, environment)
