"""`dsvc purge`: content goes from all of history, ids stay."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "secret.txt").write_text("the first password\n")
    (cli.directory / "a.txt").write_text("a\n")
    cli.ok("commit", "-m", "first")
    (cli.directory / "secret.txt").write_text("the second password\n")
    cli.ok("commit", "-m", "second")
    cli.ok("rm", "secret.txt")
    cli.ok("commit", "-m", "third")
    return cli.directory


def test_a_path_goes_in_every_version(cli, project):
    first = cli.ok("rev-parse", "HEAD~2").out
    answer = cli.ok("purge", "secret.txt", "--reason", "published by mistake", "--yes")
    assert len(answer.out.splitlines()) == 2
    assert cli.ok("rev-parse", "HEAD~2").out == first
    for rev in ("HEAD~2", "HEAD~1"):
        gone = cli("cat", f"{rev}:secret.txt")
        assert gone.code != 0
        assert "password" not in gone.out
    for pack in (project / ".dsvc/store/packs").iterdir():
        assert b"password" not in pack.read_bytes()
    assert cli.ok("cat", "HEAD~2:a.txt").out == "a\n"
    assert cli.ok("fsck").code == 0


def test_one_version_by_revision_or_id(cli, project):
    cli.ok("purge", "HEAD~2:secret.txt", "--reason", "x", "--yes")
    assert cli("cat", "HEAD~2:secret.txt").code != 0
    assert cli.ok("cat", "HEAD~1:secret.txt").out == "the second password\n"
    file_id = cli.ok("rev-parse", "HEAD~1:secret.txt").out.strip()
    answer = cli.ok("purge", file_id, "--reason", "x", "--yes", "--json").json
    assert answer["files"] == [file_id]
    assert cli("cat", "HEAD~1:secret.txt").code != 0


def test_it_wants_a_reason_and_a_yes(cli, project):
    assert cli("purge", "secret.txt").code == 2
    refused = cli("purge", "secret.txt", "--reason", "x")
    assert refused.code == 3
    assert "2 files" in refused.err
    assert cli("cat", "HEAD~1:secret.txt").out == "the second password\n"


def test_what_is_not_there(cli, project):
    assert cli("purge", "nothing.txt", "--reason", "x", "--yes").code == 3
    assert cli("purge", "f" * 64, "--reason", "x", "--yes").code == 3


def test_it_cannot_be_undone(cli, project):
    cli.ok("purge", "secret.txt", "--reason", "x", "--yes")
    assert cli("undo").code == 3


def test_a_file_that_stands_in_head_is_pointed_out(cli, project):
    answer = cli.ok("purge", "a.txt", "--reason", "x", "--yes")
    assert "a.txt still stands in HEAD" in answer.err
