"""`dsvc fsck`: names what is damaged, and the paths and commits it hits."""

from __future__ import annotations

import random
from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "data").mkdir()
    (cli.directory / "data" / "big.bin").write_bytes(random.Random(1).randbytes(400_000))
    cli.ok("commit", "-m", "first")
    return cli.directory


def damage_largest_pack(project: Path) -> None:
    pack = max((project / ".dsvc/store/packs").iterdir(), key=lambda p: p.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[100] ^= 0xFF
    pack.chmod(0o644)
    pack.write_bytes(content)


def test_a_whole_repository(cli, project):
    answer = cli.ok("fsck")
    assert answer.out == ""
    assert "nothing is damaged" in answer.err
    assert cli.ok("fsck", "--quick", "--json").json["whole"] is True


def test_damage_is_named_with_path_and_commit(cli, project):
    damage_largest_pack(project)
    answer = cli("fsck")
    assert answer.code == 15
    commit = cli.ok("rev-parse", "HEAD").out[:10]
    assert f"data/big.bin in commit {commit}" in answer.out
    document = cli("fsck", "--json").json
    assert document["whole"] is False
    assert any(hit["path"] == "data/big.bin" for d in document["damage"] for hit in d["hits"])


def test_damaged_objects_are_dropped_and_come_back(cli, project):
    damage_largest_pack(project)
    assert cli("fsck", "--drop-damaged").code == 15
    cli.ok("add", "--repair", "data")
    cli.ok("fsck")
