"""A remote whose connection breaks: what two people have after it, and what goes over the wire again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dsvc.actions import remote_access
from dsvc.actions.fsck import check
from dsvc.errors import RemoteError
from dsvc.remotes.opening import Place
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend, SwapUncertainError
from dsvc.storage.local import LocalBackend
from tests.commands.conftest import CommandLine

ME = "ada"


class CutError(RemoteError):
    """The connection broke."""


@dataclass
class Line:
    """A connection that breaks at the `at`-th call (from 1; 0: never) and stays broken, or comes back (`once`).

    `done`: the call takes place at the other end, and only its answer is lost. `before(n)` runs ahead of each call.
    """

    at: int = 0
    done: bool = False
    once: bool = False
    calls: int = 0
    puts: list[str] = field(default_factory=list)
    gets: list[tuple[str, int, int | None]] = field(default_factory=list)
    before: Callable[[int, str], None] = lambda _number, _what: None


class FlakyBackend:
    def __init__(self, inner: Backend, line: Line) -> None:
        self.inner, self.line = inner, line

    def _call(self, what: str, work: Callable[[], Any]) -> Any:
        line = self.line
        line.calls += 1
        line.before(line.calls, what)
        broken = line.at and (line.calls == line.at if line.once else line.calls >= line.at)
        if broken and line.calls == line.at and line.done:
            work()
        if broken and what == "swap":
            raise SwapUncertainError("the answer was lost")
        if broken:
            raise CutError("the connection broke", hint="run the same command again")
        return work()

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        found: bytes = self._call("get", lambda: self.inner.get(key, offset=offset, length=length))
        self.line.gets.append((key, offset, length))
        return found

    def put(self, key: str, source: bytes | Path) -> None:
        self._call("put", lambda: self.inner.put(key, source))
        self.line.puts.append(key)

    def missing(self, keys: list[str]) -> list[str]:
        found: list[str] = self._call("missing", lambda: self.inner.missing(keys))
        return found

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        found: list[tuple[str, int]] = self._call("list", lambda: list(self.inner.list(prefix)))
        return iter(found)

    def delete(self, key: str) -> None:
        self._call("delete", lambda: self.inner.delete(key))

    def read_cell(self, name: str) -> bytes | None:
        found: bytes | None = self._call("read", lambda: self.inner.read_cell(name))
        return found

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        swapped: bool = self._call("swap", lambda: self.inner.swap_cell(name, expected, value))
        return swapped

    def close(self) -> None:
        self.inner.close()


@contextmanager
def over(line: Line) -> Iterator[Line]:
    """Let all remotes be reached over this line meanwhile."""
    real = remote_access.open_place

    def open_place(*arguments: Any, **options: Any) -> Place:
        place = real(*arguments, **options)
        return place._replace(backend=FlakyBackend(place.backend, line))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_access, "open_place", open_place)
        yield line


@dataclass
class World:
    """A folder with a hub and the clones of people; a copy of it is another world with the same past."""

    base: Path
    environment: dict[str, str]

    def person(self, name: str = ME) -> CommandLine:
        environment = {**self.environment, "DSVC_USER_NAME": name, "DSVC_USER_EMAIL": f"{name}@example.com"}
        return CommandLine(self.base / name, environment)

    def join(self, name: str) -> CommandLine:
        person = self.person(name)
        self.person(".").ok("clone", "-q", "hub", name)
        person.ok("remote", "set-url", "origin", "../hub")
        person.ok("config", "remote.origin.url", "../hub")  # so that copies of this world do not meet in one hub
        return person

    def copy(self, to: Path) -> World:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.base, to, symlinks=True)
        return World(to, self.environment)

    def packs(self) -> set[str]:
        return {f"packs/{path.name}" for path in (self.base / "hub" / "packs").iterdir()}

    def hub(self) -> Repository:
        backend = LocalBackend(self.base / "hub")
        return Repository.open(backend, backend.staging)

    def assert_whole(self, *names: str) -> None:
        """Nothing is damaged in the hub and the clones of these people."""
        roots = [self.base / "hub", *(self.base / name / ".dsvc" / "store" for name in names)]
        for root in filter(Path.is_dir, roots):
            if not (root / "cells" / "head").exists():
                continue  # not made yet
            backend = LocalBackend(root)
            repo = Repository.open(backend, backend.staging)
            assert [d.message for d in check(repo).damage] == [], root
            repo.close()


def write(person: CommandLine, files: dict[str, bytes | None]) -> None:
    for name, data in files.items():
        path = person.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)


def commit(person: CommandLine, message: str, files: dict[str, bytes | None]) -> str:
    write(person, files)
    person.ok("commit", "-q", "-m", message)
    return person.ok("rev-parse", "HEAD").out.strip()


def tip(person: CommandLine, name: str) -> str | None:
    """What a ref of origin points to, as anybody sees it."""
    found = person("ls-remote", "origin", name).out.split()
    return found[0] if found else None
