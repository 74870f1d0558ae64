"""Damaged files of the repository: a clear error with exit code 15 or 16, and no file of the user is touched."""

import json
import random

import pytest

from dsvc.storage.local import LocalBackend

READING = [("status",), ("log",), ("ls",), ("cat", "HEAD:f"), ("fsck",)]
READERS = [*READING, ("gc",), ("commit", "-qm", "x"), ("switch", "other")]


@pytest.fixture
def project(cli):
    cli.ok("init", "-q")
    (cli.directory / "f").write_text("first\n")
    (cli.directory / "big").write_bytes(random.Random(1).randbytes(400_000))
    cli.ok("commit", "-qm", "first")
    cli.ok("switch", "-q", "-c", "other")
    (cli.directory / "f").write_text("other\n")
    cli.ok("commit", "-qm", "second")
    cli.ok("switch", "-q", "main")
    (cli.directory / "mine").write_text("not committed\n")
    return cli


def files(cli):
    return {p.name: p.read_bytes() for p in cli.directory.iterdir() if p.is_file()}


def store(cli):
    return cli.directory / ".dsvc" / "store"


def newest(folder):
    return max(folder.iterdir(), key=lambda p: int(p.name) if p.name.isdecimal() else 0)


def damage(path, way):
    content = bytearray(path.read_bytes())
    path.chmod(0o644)
    if way == "flip":
        content[len(content) // 2] ^= 1
    elif way == "flip last":
        content[-1] ^= 1
    elif way == "truncate":
        del content[len(content) // 2 :]
    elif way == "empty":
        content.clear()
    elif way == "garbage":
        content[:] = random.Random(2).randbytes(len(content))
    elif way == "gone":
        path.unlink()
        return
    path.write_bytes(content)


def every_command(project, refused, *codes):
    """Run commands over the damage: each works or says clearly why not; fsck finds it; no file is touched."""
    before = files(project)
    for words in READERS:
        answer = project(*words)
        if words == ("fsck",):
            assert answer.code in codes, answer.out
            assert "bug in dsvc" not in answer.err
        elif answer.code != 0:
            refused(answer, *codes)
            assert files(project) == before
        elif words[0] == "switch":
            assert project.ok("cat", "main:mine").raw == b"not committed\n"
        else:
            assert files(project) == before


@pytest.mark.parametrize("way", ["flip", "flip last", "truncate", "empty", "garbage", "gone"])
def test_packs(project, refused, way):
    for pack in sorted((store(project) / "packs").iterdir()):
        damage(pack, way)
    every_command(project, refused, 15)


@pytest.mark.parametrize("way", ["flip last", "truncate", "gone"])
def test_one_pack_of_several(project, refused, way):
    largest = max((store(project) / "packs").iterdir(), key=lambda p: p.stat().st_size)
    damage(largest, way)
    answer = project("fsck")
    assert answer.code == 15
    assert "big" in answer.out + answer.err
    assert "commit" in answer.out + answer.err or "main" in answer.out + answer.err


@pytest.mark.parametrize("way", ["flip", "truncate", "empty", "garbage", "gone"])
def test_pack_lists(project, refused, way):
    for path in (store(project) / "lists").iterdir():
        damage(path, way)
    every_command(project, refused, 15)


@pytest.mark.parametrize("way", ["flip", "truncate", "empty", "garbage"])
def test_head_cell_and_the_way_back(project, refused, way):
    cell = newest(store(project) / "cells" / "head")
    damage(cell, way)
    every_command(project, refused, 15)
    message = refused(project("status"), 15)
    assert str(cell) in message
    cell.unlink()  # as the hint says
    project.ok("status")
    project.ok("fsck")


@pytest.mark.parametrize("way", ["flip", "truncate", "empty", "garbage"])
def test_format_record(project, refused, way):
    damage(newest(store(project) / "cells" / "format"), way)
    every_command(project, refused, 15)


def test_the_way_back_from_a_lost_format_record(project):
    """It is followed as the hints say; what the record must at least say is known from what lies there."""
    folder = store(project) / "cells" / "format"
    cell = newest(folder)
    damage(cell, "flip")
    answer = project("status")
    assert (answer.code, f"{cell} is damaged" in answer.err) == (15, True)
    for other in folder.iterdir():  # a disk that clones files wrote it more than once
        if other != cell:
            other.unlink()
    cell.unlink()
    before = files(project)
    answer = project("status")
    assert (answer.code, "hint: dsvc init" in answer.err) == (15, True)
    project.ok("init")
    assert files(project) == before
    assert project.ok("status", "--json").json["new"] == [{"path": "mine"}]
    project.ok("fsck")
    project.ok("commit", "-qm", "third")
    project.ok("switch", "-q", "other")


def test_a_newer_format(project, refused):
    backend = LocalBackend(store(project))
    before = files(project)
    for read, write, refuse in ([], ["zz-1"], ("commit", "switch", "gc")), (["zz-1"], ["zz-1"], None):
        record = {"dsvc": 1, "read": ["base-1", *read], "write": ["base-1", *write]}
        assert backend.swap_cell("format", backend.read_cell("format"), json.dumps(record).encode())
        for words in READERS:
            if refuse is None or words[0] in refuse:
                assert "zz-1" in refused(project(*words), 16)
            else:
                project.ok(*words)
        assert files(project) == before


@pytest.mark.parametrize("way", ["flip", "truncate", "empty", "garbage"])
def test_index_of_the_working_copy(project, refused, way):
    index = project.directory / ".dsvc" / "worktree" / "index"
    damage(index, way)
    before = files(project)
    for words in (("status",), ("commit", "-qm", "x"), ("switch", "other")):
        answer = project(*words)
        if answer.code != 0:
            message = refused(answer, 15)
            assert str(index) in message
        assert files(project)["mine"] == before["mine"]
    index.unlink(missing_ok=True)
    project.ok("status")
    project.ok("fsck")


@pytest.mark.parametrize("content", [b"[core\n", b"\xff\xfe\x00", b"= 1", b"a = ", b"[core]\ngitignore = 3\n"])
def test_config(project, refused, content):
    before = files(project)
    (project.directory / ".dsvc" / "config.toml").write_bytes(content)
    for words in (("status",), ("commit", "-qm", "x"), ("log",)):
        answer = project(*words)
        if answer.code != 0:
            assert "config.toml" in refused(answer, 2, 3, 15)
    assert files(project) == before


@pytest.mark.parametrize("way", ["flip", "truncate", "empty", "garbage"])
def test_caches_are_made_anew(project, way):
    project.ok("log", "--graph", "--all")
    shown = project.ok("log", "--oneline", "--", "f").out
    for path in (project.directory / ".dsvc" / "cache").iterdir():
        damage(path, way)
    assert project.ok("log", "--oneline", "--", "f").out == shown


@pytest.mark.parametrize("way", ["flip", "truncate", "empty", "garbage"])
def test_a_journal_that_is_broken(project, way):
    (project.directory / ".dsvc" / "worktree" / "journal").write_bytes(b"\x96\x01" + b"x" * 60)
    damage(project.directory / ".dsvc" / "worktree" / "journal", way)
    before = files(project)
    project.ok("status")
    assert files(project) == before
    project.ok("switch", "other")


def test_files_of_no_bytes_in_place_of_the_repository(cli, refused):
    (cli.directory / ".dsvc").mkdir()
    refused(cli("status"), 10)
    (cli.directory / ".dsvc").rmdir()
    (cli.directory / ".dsvc").write_bytes(b"")
    refused(cli("status"), 10)
    refused(cli("init"), 3, 10)
    assert (cli.directory / ".dsvc").read_bytes() == b""
