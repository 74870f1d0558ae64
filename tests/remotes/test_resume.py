"""A transfer that is broken off goes on where it was: what has arrived is not asked for again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsvc.actions import remote_access
from dsvc.errors import RemoteError
from dsvc.remotes.opening import Place
from dsvc.remotes.transfer import landing, receiving
from dsvc.storage.backend import Backend
from dsvc.storage.passing import PassingBackend
from tests.commands.conftest import CommandLine, cli

__all__ = ["cli"]

KIB = 1 << 10


class Line(PassingBackend):
    """A backend behind a line that breaks after so many bytes of blobs were read or written."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.left = 1 << 60
        self.read = self.written = 0

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        data = self.inner.get(key, offset=offset, length=length)
        if len(data) > self.left:
            raise RemoteError("the line broke")
        self.left -= len(data)
        self.read += len(data)
        return data

    def put(self, key: str, source: bytes | Path) -> None:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > self.left:
            raise RemoteError("the line broke")
        self.left -= size
        self.written += size
        self.inner.put(key, source)


Break = Callable[[int], None]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Line]]:
    """The lines that were opened; `left[0]` bytes pass over the next one."""
    lines: list[Line] = []
    opened = remote_access.open_place

    def open_place(*words: object, **named: object) -> Place:
        place = opened(*words, **named)  # type: ignore[arg-type]
        lines.append(Line(place.backend))
        lines[-1].left = LEFT[0]
        return Place(lines[-1], place.staging)

    LEFT[0] = 1 << 60
    monkeypatch.setattr(remote_access, "open_place", open_place)
    monkeypatch.setattr(landing, "PART_BYTES", 256 * KIB)
    monkeypatch.setattr(receiving, "GROUP_BYTES", 1024 * KIB)
    yield lines
    LEFT[0] = 1 << 60


LEFT = [1 << 60]


def project(cli: CommandLine, commits: int) -> None:
    cli.ok("init", "-q")
    for number in range(commits):
        (cli.directory / f"data{number}.bin").write_bytes(random.Random(number).randbytes(1500 * KIB))
        cli.ok("commit", "-q", "-m", str(number))
    cli.ok("remote", "add", "origin", "../hub")


def test_a_clone_goes_on(cli: CommandLine, line: list[Line], tmp_path: Path) -> None:
    project(cli, 4)
    cli.ok("push", "-q")
    other = CommandLine(tmp_path, cli.environment)
    total, tries = 0, 0
    LEFT[0] = 2000 * KIB
    while True:
        tries += 1
        answer = other("clone", "hub", "copy")
        total += line[-1].read
        if answer.code == 0:
            break
        assert answer.code == 14, answer.err
        assert tries < 20
    assert tries > 2
    assert total < 6000 * KIB + tries * (8 * 256 + 64) * KIB, "only parts that were under way come twice"
    copy = CommandLine(tmp_path / "copy", cli.environment)
    for number in range(4):
        name = f"data{number}.bin"
        assert (copy.directory / name).read_bytes() == (cli.directory / name).read_bytes()
    assert copy("fsck").code == 0
    assert not list((copy.directory / ".dsvc" / "transfers").rglob("*.part"))


def test_a_push_goes_on(cli: CommandLine, line: list[Line], tmp_path: Path) -> None:
    project(cli, 4)
    total, tries = 0, 0
    LEFT[0] = 2000 * KIB
    while True:
        tries += 1
        answer = cli("push", "-j", "1", "--json")
        total += line[-1].written
        if answer.code == 0:
            assert abs(answer.json["bytes"] - line[-1].written) < 20 * KIB, "what an earlier push left is counted, too"
            break
        assert answer.code == 14, answer.err
        assert tries < 20
    assert tries > 2
    assert total < 6100 * KIB, "no pack that arrived is sent again"
    LEFT[0] = 1 << 60
    other = CommandLine(tmp_path, cli.environment)
    other.ok("clone", "hub", "copy")
    assert CommandLine(tmp_path / "copy", cli.environment)("fsck").code == 0
