"""`dsvc gc`: removes what nothing reaches, after the grace period."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "a.txt").write_text("a\n")
    cli.ok("commit", "-m", "first")
    cli.ok("switch", "-c", "topic")
    (cli.directory / "big.bin").write_bytes(bytes(range(256)) * 2000)
    cli.ok("commit", "-m", "big")
    cli.ok("switch", "main")
    cli.ok("branch", "-D", "topic")
    return cli.directory


def size(path: Path) -> int:
    return sum(p.stat().st_size for p in (path / ".dsvc/store/packs").iterdir())


def test_undo_reaches_what_gc_keeps(cli, project):
    cli.ok("gc")
    cli.ok("undo")
    assert cli.ok("rev-parse", "topic").code == 0


def test_prune_now_removes_it(cli, project):
    before = size(project)
    dry = cli.ok("gc", "--prune=now", "-n", "--json").json
    assert dry["objects_removed"] > 0
    assert size(project) == before
    answer = cli.ok("gc", "--prune=now")
    assert answer.out.startswith("Removed ")
    assert "undo reaches back to 2026-01-31" in answer.err
    assert size(project) < before
    assert cli.ok("fsck").code == 0


def test_the_grace_period_counts_from_the_given_moment(cli, project):
    cli.environment["DSVC_DATE"] = "2026-02-05T12:00:00+01:00"
    assert cli.ok("gc", "--json").json["objects_removed"] == 0
    assert cli.ok("gc", "--grace", "2", "--json").json["objects_removed"] > 0


def test_added_files_and_other_worktrees_are_kept(cli, project):
    cli.ok("worktree", "add", "../linked")
    (project / "added.txt").write_text("added")
    cli.ok("add", "added.txt")
    (project / "added.txt").write_text("changed since")
    cli.ok("gc", "--prune=now")
    assert cli.ok("status", "-s").out == "A  added.txt\n"
    assert cli("status", "-s", directory=project.parent / "linked").code == 0
    assert cli.ok("fsck").code == 0


def test_wrong_options(cli, project):
    assert cli("gc", "--prune=later").code == 2
    assert cli("gc", "--prune=now", "--grace", "1").code == 2


def test_in_a_folder_without_a_working_copy(cli, project, tmp_path):
    cli.ok("push", "-q", "--all", "../hub")
    cli.ok("push", "-q", "../hub", "main~0:old")
    hub = CommandLine(project.parent / "hub", cli.environment)
    assert hub.ok("fsck").code == 0
    assert hub.ok("gc", "--json").json["remote"] is None
    cli.ok("push", "-q", "--delete", "../hub", "old")
    said = hub.ok("gc", "--prune=now")
    assert said.out.startswith("Removed ")
    assert "operations there reach back" in said.err
    assert hub.ok("fsck", "--json").json["damage"] == []
    pack = max((hub.directory / "packs").iterdir(), key=lambda path: path.stat().st_size)
    pack.write_bytes(pack.read_bytes()[:-40])
    assert hub("fsck").code == 15
    assert hub("status").code != 0
    assert cli.ok("ls-remote", "../hub").out.count("heads/") == 1


def test_the_store_of_a_working_copy_is_none(cli, project):
    store = CommandLine(project / ".dsvc" / "store", cli.environment)
    undo = store.ok("gc").err
    assert "undo reaches back" in undo
