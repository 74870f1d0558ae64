"""A clone writes large files while they arrive: what is on disk is what was committed, whatever came when."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dsvc.objects import ingest, packwriter
from dsvc.objects.packref import PackClass
from dsvc.remotes.transfer import receiving
from dsvc.worktree import drafts
from dsvc.worktree.creating import Creator
from tests.commands.conftest import CommandLine, cli
from tests.remotes.test_resume import LEFT, Line, line, project

__all__ = ["cli", "line"]

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "LARGE", 300 * KIB)


@pytest.fixture
def from_the_store(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The ids of large files that a checkout wrote from the store."""
    written: list[bytes] = []
    usual = Creator._write_large

    def noted(self, fd, entry, path):  # type: ignore[no-untyped-def]
        written.append(entry.id)
        usual(self, fd, entry, path)

    monkeypatch.setattr(Creator, "_write_large", noted)
    return written


def begin(cli: CommandLine) -> bytes:
    cli.ok("init", "-q")
    data = random.Random(5).randbytes(1500 * KIB)
    (cli.directory / "model.bin").write_bytes(data)
    (cli.directory / "small.txt").write_text("small")
    cli.ok("commit", "-q", "-m", "1")
    cli.ok("remote", "add", "origin", "../hub")
    return data


def clone(cli: CommandLine, folder: Path, *words: str) -> CommandLine:
    CommandLine(folder, cli.environment).ok("clone", "-q", *words, "hub", "copy")
    return CommandLine(folder / "copy", cli.environment)


def test_large_files_come_ahead(cli: CommandLine, tmp_path: Path, from_the_store: list[bytes]) -> None:
    data = begin(cli)
    cli.ok("push", "-q")
    copy = clone(cli, tmp_path)
    assert from_the_store == []
    assert (copy.directory / "model.bin").read_bytes() == data
    mode = (copy.directory / "small.txt").stat().st_mode
    assert (copy.directory / "model.bin").stat().st_mode == mode
    assert copy.ok("status", "--porcelain").out == ""
    assert not list((copy.directory / ".dsvc" / "worktree" / "tmp").iterdir())
    assert copy("fsck").code == 0


def test_versions_that_share_chunks(cli: CommandLine, tmp_path: Path, from_the_store: list[bytes]) -> None:
    data = begin(cli)
    cli.ok("push", "-q")
    for number in range(2):  # the packs of both hold some chunks of the file, and no pack all of them
        data = data[: 300 * KIB * (number + 1)] + os.urandom(100) + data[300 * KIB * (number + 1) :]
        (cli.directory / "model.bin").write_bytes(data)
        (cli.directory / f"other{number}.bin").write_bytes(random.Random(number).randbytes(400 * KIB))
        cli.ok("commit", "-q", "-m", "more")
        cli.ok("push", "-q")
    copy = clone(cli, tmp_path)
    assert from_the_store == []
    for name in ("model.bin", "other0.bin", "other1.bin"):
        assert (copy.directory / name).read_bytes() == (cli.directory / name).read_bytes()
    assert copy.ok("status", "--porcelain").out == ""


def test_one_content_at_two_places(cli: CommandLine, tmp_path: Path, from_the_store: list[bytes]) -> None:
    data = begin(cli)
    (cli.directory / "again.bin").write_bytes(data)
    (cli.directory / "program").write_bytes(data)
    (cli.directory / "program").chmod(0o755)
    cli.ok("commit", "-q", "-m", "2")
    cli.ok("push", "-q")
    copy = clone(cli, tmp_path)
    assert len(from_the_store) == 2
    for name in ("model.bin", "again.bin", "program"):
        assert (copy.directory / name).read_bytes() == data
    assert os.access(copy.directory / "program", os.X_OK)
    assert copy.ok("status", "--porcelain").out == ""


@pytest.mark.parametrize("words", [("--branch", "v1"), ("--depth", "1"), ("--single-branch",)])
def test_of_what_it_will_stand_on(
    cli: CommandLine, tmp_path: Path, from_the_store: list[bytes], words: tuple[str, ...]
) -> None:
    data = begin(cli)
    cli.ok("tag", "v1", "-m", "first")
    (cli.directory / "model.bin").write_bytes(random.Random(6).randbytes(900 * KIB))
    cli.ok("commit", "-q", "-m", "2")
    cli.ok("push", "-q", "--tags", "origin", "main")
    copy = clone(cli, tmp_path, *words)
    wanted = data if words[0] == "--branch" else (cli.directory / "model.bin").read_bytes()
    assert (copy.directory / "model.bin").read_bytes() == wanted
    assert from_the_store == []


def test_a_file_that_fills_several_packs(
    cli: CommandLine, tmp_path: Path, from_the_store: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its packs come as they are, and what is in them is written as it comes."""
    monkeypatch.setattr(packwriter, "MAX_BYTES", 12 * MIB)
    monkeypatch.setattr(receiving, "GROUP_BYTES", 4 * MIB)
    monkeypatch.setitem(ingest.GROUP_BYTES, PackClass.BULK, 4 * KIB)  # pages of the map lie in several packs, too
    cli.ok("init", "-q")
    data = random.Random(7).randbytes(50 * MIB)
    (cli.directory / "model.bin").write_bytes(data)
    cli.ok("commit", "-q", "-m", "1")
    cli.ok("remote", "add", "origin", "../hub")
    cli.ok("push", "-q")
    copy = clone(cli, tmp_path)
    assert (copy.directory / "model.bin").read_bytes() == data
    assert from_the_store == []
    there = sizes(tmp_path / "hub")
    assert len(there) >= 4
    assert sizes(copy.directory) == there
    assert copy("fsck").code == 0


def sizes(folder: Path) -> list[int]:
    packs = [path.stat().st_size for path in folder.rglob("packs/*") if path.is_file()]
    return sorted(size for size in packs if size > MIB)


def test_a_clone_that_is_broken_off(cli: CommandLine, line: list[Line], tmp_path: Path) -> None:
    project(cli, 3)
    cli.ok("push", "-q")
    LEFT[0] = 1800 * KIB
    other = CommandLine(tmp_path, cli.environment)
    tries = 0
    while (answer := other("clone", "hub", "copy")).code != 0:
        tries += 1
        assert answer.code == 14, answer.err
        assert tries < 20
        assert not list((tmp_path / "copy" / ".dsvc").rglob("drafts")), "what is unfinished goes, the packs stay"
    assert tries > 1
    copy = CommandLine(tmp_path / "copy", cli.environment)
    for number in range(3):
        name = f"data{number}.bin"
        assert (copy.directory / name).read_bytes() == (cli.directory / name).read_bytes()
    assert copy("fsck").code == 0
    assert copy.ok("status", "--porcelain").out == ""
