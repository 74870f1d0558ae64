"""`dsvc data usage`: sizes as read, as stored, and what is shared."""

from __future__ import annotations

import os
import random

import pytest


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def project(cli):
    cli.ok("init", "-q")
    (cli.directory / "data").mkdir()
    (cli.directory / "data/a.bin").write_bytes(noise(1, 1_000_000))
    (cli.directory / "data/same.bin").write_bytes(noise(1, 1_000_000))
    (cli.directory / "text.csv").write_bytes(b"".join(b"%07d\n" % n for n in range(100_000)))
    (cli.directory / "tiny").write_text("tiny\n")
    cli.ok("commit", "-qm", "first")
    return cli


def rows(answer):
    return {row["path"]: row for row in answer.json["paths"]}


def test_equal_content_counts_once_and_text_is_compressed(project):
    answer = project.ok("data", "usage", "--json")
    found, total = rows(answer), answer.json["total"]
    assert found["data"]["logical_bytes"] == 2_000_000
    assert 1_000_000 <= found["data"]["stored_bytes"] < 1_010_000
    assert found["text.csv"]["stored_bytes"] < 800_000 // 2
    assert total["logical_bytes"] == sum(row["logical_bytes"] for row in found.values())
    assert total["files"] == 5  # with .dsvcignore
    assert (total["shared_bytes"], total["absent_bytes"]) == (0, 0)
    deep = rows(project.ok("data", "usage", "--depth", "2", "--json"))
    assert deep["data/a.bin"]["stored_bytes"] == deep["data/same.bin"]["stored_bytes"] == found["data"]["stored_bytes"]
    (line,) = [line for line in project.ok("data", "usage", "data").out.splitlines() if line.endswith("in all")]
    assert line.split()[:2] == ["1.9", "MiB"]


def test_a_revision_and_a_path(project):
    (project.directory / "data/a.bin").unlink()
    project.ok("commit", "-qm", "second")
    assert project.ok("data", "usage", "data", "--depth", "0", "--json").json["total"]["files"] == 1
    assert project.ok("data", "usage", "HEAD~1", "data", "--depth", "0", "--json").json["total"]["files"] == 2
    answer = project("data", "usage", "missing")
    assert answer.code == 3
    assert "missing" in answer.err


def test_a_fork_shares_packs(project):
    project.ok("fork", ".", "../fork")
    total = project.ok("data", "usage", "--json").json["total"]
    assert total["shared_bytes"] == total["stored_bytes"] > 0


def test_what_a_partial_clone_lacks_is_absent(project):
    project.ok("clone", "--no-data", str(project.directory), "../partial")
    answer = project("data", "usage", "--json", directory=project.directory.parent / "partial")
    assert answer.code == 0, answer.err
    assert answer.json["total"]["absent_bytes"] > 2_000_000
    assert answer.json["total"]["stored_bytes"] < 10_000


@pytest.mark.parametrize("cloning_disk", ["xfs", "btrfs"], indirect=True)
def test_blocks_that_the_working_copy_has_too(cli, cloning_disk):
    cli("init", "-q", directory=cloning_disk)
    (cloning_disk / "big.bin").write_bytes(noise(1, 9 << 20))
    (cloning_disk / "small.bin").write_bytes(noise(2, 1 << 20))
    cli("commit", "-qm", "first", directory=cloning_disk)
    found = rows(cli("data", "usage", "--json", directory=cloning_disk))
    assert found["big.bin"]["shared_bytes"] == found["big.bin"]["stored_bytes"] == 9 << 20
    assert found["small.bin"]["shared_bytes"] == 0
    with open(cloning_disk / "big.bin", "r+b") as file:
        file.write(noise(3, 9 << 20))
    os.sync()
    found = rows(cli("data", "usage", "--json", directory=cloning_disk))
    assert found["big.bin"]["shared_bytes"] == 0


def test_references_count_as_absent_until_they_are_fetched(cli, web):
    web.files |= {"/a": b"a" * 5000, "/b": b"b" * 7000}
    cli.ok("init", "-q")
    for name in ("a", "b"):
        cli.ok("import-url", "--reference", f"{web.url}/{name}", f"data/{name}")
    cli.ok("commit", "-qm", "references")
    cli.ok("data", "get", "-q", "data/a")
    (row,) = [row for row in cli.ok("data", "usage", "--json").json["paths"] if row["path"] == "data"]
    assert (row["files"], row["logical_bytes"], row["absent_bytes"]) == (2, 12000, 7000)
    assert row["stored_bytes"] > 0
    assert "6.8 KiB of content are not here" in cli.ok("data", "usage").err
