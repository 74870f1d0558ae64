"""Runs dsvc in this process, with streams that are kept and an environment that does not vary."""

from __future__ import annotations

import io
import json
import os
import re
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
    return command_line(tmp_path)


def command_line(tmp_path: Path) -> CommandLine:
    """A command line whose project and home are in a folder."""
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


@dataclass
class History:
    """Builds a repository through the command line; each commit is an hour after the one before."""

    cli: CommandLine
    hour: int = 0

    def write(self, files: dict[str, str | bytes | None]) -> None:
        for name, content in files.items():
            path = self.cli.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str, files: dict[str, str | bytes | None] | None = None) -> str:
        """Write the files and commit everything; return the commit's id."""
        self.write(files or {})
        self.hour += 1
        day, hour = divmod(self.hour, 24)
        self.cli.environment["DSVC_DATE"] = f"2026-01-{day + 1:02}T{hour:02}:00:00+01:00"
        self.cli.ok("commit", "-q", "--allow-empty", "-m", message)
        return self.cli.ok("rev-parse", "HEAD").out.strip()

    def shown(self, *words: str) -> str:
        """What a command prints, with ids in words and without blanks at the ends of lines."""
        text = re.sub(r"\b[0-9a-f]{64}\b", "<ID>", self.cli.ok(*words).out)
        text = re.sub(r"\b[0-9a-f]{10}\b", "<id>", text)
        return re.sub(r" +$", "", text, flags=re.MULTILINE)


@pytest.fixture
def history(cli: CommandLine) -> History:
    cli.ok("init", "-q")
    (cli.directory / ".dsvcignore").unlink()
    return History(cli)


@dataclass
class Clones:
    """People with a clone each of one hub, all of them in one folder: `ada`, who made it, and whoever joins."""

    base: Path
    environment: dict[str, str]

    @property
    def hub(self) -> Path:
        return self.base / "hub"

    @property
    def ada(self) -> CommandLine:
        return self.person("ada")

    def person(self, name: str) -> CommandLine:
        return CommandLine(self.base / name, {**self.environment, "DSVC_USER_NAME": name})

    def join(self, name: str, *words: str) -> CommandLine:
        self.person(".").ok("clone", "-q", *words, str(self.hub), name)
        return self.person(name)

    @staticmethod
    def commit(person: CommandLine, message: str, files: dict[str, str | bytes]) -> str:
        for name, content in files.items():
            path = person.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        person.ok("commit", "-q", "--allow-empty", "-m", message)
        return person.ok("rev-parse", "HEAD").out.strip()

    def there(self, name: str) -> str | None:
        """What a ref of the hub points to."""
        found = self.ada("ls-remote", str(self.hub), name).out.split()
        return found[0] if found else None


@pytest.fixture
def clones(cli: CommandLine, tmp_path: Path) -> Clones:
    """Ada has pushed one commit, with two files, to a new hub."""
    base = tmp_path / "people"
    (base / "ada").mkdir(parents=True)
    found = Clones(base, cli.environment)
    found.ada.ok("init", "-q")
    (found.ada.directory / ".dsvcignore").unlink()
    found.commit(found.ada, "first", {"a": "one\n", "folder/b": "two\n"})
    found.ada.ok("remote", "add", "-q", "origin", str(found.hub))
    found.ada.ok("push", "-q")
    return found
