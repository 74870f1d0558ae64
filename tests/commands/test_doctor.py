"""`dsvc doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "a.txt").write_text("a\n")
    cli.ok("commit", "-m", "first")
    return cli.directory


def levels(cli, code: int) -> dict[str, str]:
    answer = cli("doctor", "--json")
    assert answer.code == code
    document = answer.json
    assert document["schema"] == "dsvc.doctor"
    return {check["name"]: check["level"] for check in document["checks"]}


def test_a_healthy_repository(cli, project):
    found = levels(cli, 0)
    assert {"python", "libraries", "chunker", "settings", "identity", "format", "head", "packs", "index"} <= set(found)
    assert set(found.values()) == {"ok"}
    assert "ok" in cli.ok("doctor").out
    assert cli.ok("doctor", "-q").out == ""


def test_outside_of_a_repository(cli):
    assert levels(cli, 0)["repository"] == "ok"


def test_no_identity_is_a_warning(cli, project):
    cli.environment.pop("DSVC_USER_NAME")
    cli.environment.pop("DSVC_USER_EMAIL")
    assert levels(cli, 0)["identity"] == "warn"
    assert "config" in cli.ok("doctor").out


def test_damaged_settings(cli, project):
    (project / ".dsvc/config.toml").write_text("[user\n")
    assert levels(cli, 1)["settings"] == "bad"


def test_a_lost_pack(cli, project):
    next((project / ".dsvc/store/packs").iterdir()).unlink()
    assert levels(cli, 1)["packs"] == "bad"
    assert "dsvc fsck" in cli("doctor").out


def test_a_damaged_head(cli, project):
    cells = project / ".dsvc/store/cells/head"
    newest = max(cells.iterdir(), key=lambda p: int(p.name))
    newest.chmod(0o644)
    newest.write_bytes(b"x" * 100)
    assert levels(cli, 1)["head"] == "bad"


def test_a_damaged_index(cli, project):
    (project / ".dsvc/worktree/index").write_bytes(b"damaged")
    assert levels(cli, 1)["index"] == "bad"


def test_a_lost_store_and_a_lost_repository(cli, project):
    cli.ok("worktree", "add", "../linked")
    shutil.rmtree(project / ".dsvc/store")
    assert levels(cli, 1)["store"] == "bad"
    shutil.rmtree(project / ".dsvc")
    assert cli("doctor", directory=project.parent / "linked").code == 1


def test_small_things_are_warnings(cli, project):
    cli.ok("worktree", "add", "../linked")
    shutil.rmtree(project.parent / "linked")
    (project / ".dsvc/hooks").mkdir()
    (project / ".dsvc/hooks/pre-commit").write_text("#!/bin/sh\n")
    (project / ".dsvc/store/tmp").mkdir(exist_ok=True)
    (project / ".dsvc/store/tmp/pack.999999999.abc.tmp").write_bytes(b"left")
    found = levels(cli, 0)
    assert (found["worktrees"], found["hooks"], found["leftovers"]) == ("warn", "warn", "warn")
    assert "chmod +x" in cli.ok("doctor").out
