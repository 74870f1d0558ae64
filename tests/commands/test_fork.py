"""`dsvc fork`: a second repository over the same stored files, independent of the first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LARGE = bytes(range(256)) * 4000


@pytest.fixture
def project(cli) -> Path:
    cli.ok("init")
    (cli.directory / "a.txt").write_text("a\n")
    (cli.directory / "big.bin").write_bytes(LARGE)
    cli.ok("commit", "-m", "first")
    cli.ok("tag", "v1")
    cli.ok("branch", "topic")
    (cli.directory / "a.txt").write_text("a2\n")
    cli.ok("commit", "-m", "second")
    return cli.directory


def at(cli, path: Path, *words: str):
    answer = cli(*words, directory=path)
    assert answer.code == 0, answer.err
    return answer


def packs(path: Path) -> dict[str, os.stat_result]:
    return {p.name: p.stat() for p in (path / ".dsvc/store/packs").iterdir()}


@pytest.fixture
def forked(cli, project) -> Path:
    cli.ok("fork", ".", "../fork")
    return project.parent / "fork"


def test_it_has_the_branches_tags_and_files(cli, project, forked):
    assert (forked / "a.txt").read_text() == "a2\n"
    assert (forked / "big.bin").read_bytes() == LARGE
    assert at(cli, forked, "status", "-sb").out == "## main\n"
    for rev in ("main", "topic", "v1"):
        assert at(cli, forked, "rev-parse", rev).out == cli.ok("rev-parse", rev).out
    assert at(cli, forked, "config", "fork.parent").out == f"{project}\n"
    assert at(cli, forked, "fsck").code == 0


def test_packs_are_shared_and_not_copied(cli, project, forked):
    here, there = packs(project), packs(forked)
    same = [name for name in here if name in there]
    assert same
    assert all(here[name].st_ino == there[name].st_ino for name in same)


def test_work_in_one_is_not_seen_in_the_other(cli, project, forked):
    (forked / "new.txt").write_text("new")
    at(cli, forked, "commit", "-m", "there")
    assert cli.ok("rev-parse", "main").out != at(cli, forked, "rev-parse", "main").out
    assert not (project / "new.txt").exists()
    assert cli.ok("fsck").code == 0


def test_either_side_may_collect_garbage_and_go(cli, project, forked):
    cli.ok("switch", "topic")
    cli.ok("branch", "-D", "main")
    cli.ok("tag", "-d", "v1")
    cli.ok("gc", "--prune=now")
    assert at(cli, forked, "fsck").code == 0
    assert at(cli, forked, "cat", "main:a.txt").out == "a2\n"
    at(cli, forked, "gc", "--prune=now")
    assert cli.ok("fsck").code == 0
    shutil.rmtree(project)
    assert at(cli, forked, "fsck").code == 0
    assert at(cli, forked, "cat", "v1:a.txt").out == "a\n"


def test_copies_where_links_are_not_wanted(cli, project):
    answer = cli.ok("-c", "store.link=copy", "fork", ".", "../fork", "--json").json
    assert answer["packs"].keys() == {"copy"}
    assert answer["bytes_shared"] == 0
    here, there = packs(project), packs(project.parent / "fork")
    assert not {s.st_ino for s in here.values()} & {s.st_ino for s in there.values()}
    assert at(cli, project.parent / "fork", "fsck").code == 0


def test_another_disk_gets_copies(cli, project):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == project.stat().st_dev or not os.access(memory, os.W_OK):
        pytest.skip("no second disk at /dev/shm")
    target = memory / f"dsvc-test-{os.getpid()}"
    try:
        answer = cli.ok("fork", ".", str(target), "--json").json
        assert answer["packs"].keys() == {"copy"}
        assert at(cli, target, "fsck").code == 0
    finally:
        shutil.rmtree(target, ignore_errors=True)


def test_a_disk_that_clones_files_shares_their_blocks(cli, project, cloning_disk):
    here = cloning_disk / "project"
    shutil.copytree(project, here, symlinks=True)
    answer = at(cli, here, "-c", "store.link=reflink", "fork", ".", "../fork", "--json").json
    assert answer["packs"].keys() == {"reflink"}
    assert at(cli, cloning_disk / "fork", "fsck").code == 0
    assert "reflinks" in at(cli, here, "doctor").out


def test_a_repository_that_is_written_to_is_forked_whole(cli, project):
    commit = 'i=$((i+1)); echo $i > a.txt; "$0" -m dsvc commit -qm $i'
    collect = '[ $((i % 3)) = 0 ] && "$0" -m dsvc gc --prune=now > gc.log'
    script = f"i=0; while [ $i -lt 6 ]; do {commit}; {collect}; done; true"
    writer = subprocess.Popen(["sh", "-c", script, sys.executable], cwd=project, env=cli.environment)
    try:
        for number in range(3):
            cli.ok("fork", str(project), str(project.parent / f"fork{number}"))
    finally:
        assert writer.wait() == 0
    for number in range(3):
        assert at(cli, project.parent / f"fork{number}", "fsck").code == 0


def test_an_empty_repository_and_a_detached_head(cli, project):
    empty = project.parent / "empty"
    cli.ok("init", str(empty))
    at(cli, project.parent, "fork", "empty", "from-empty")
    (project.parent / "from-empty" / "x").write_text("x")
    at(cli, project.parent / "from-empty", "commit", "-m", "first")
    cli.ok("switch", "--detach", "v1")
    cli.ok("fork", ".", "../at-tag")
    assert (project.parent / "at-tag" / "a.txt").read_text() == "a\n"


def test_where_it_cannot_go_and_nothing_is_left(cli, project):
    (project.parent / "full").mkdir()
    (project.parent / "full" / "x").write_text("x")
    assert cli("fork", ".", "../full").code == 3
    assert cli("fork", ".", ".dsvc/inside").code == 3
    assert cli("fork", "..", "../fork").code == 10
    assert cli("-c", "store.link=reflink", "fork", ".", "../fork").code in (0, 3)
    assert (project.parent / "full" / "x").exists()
    assert cli("fork", ".").code == 2


def test_a_source_that_is_not_there_is_not_taken_for_the_repository_around_it(cli, project):
    answer = cli("fork", "nowhere", "../fork")
    assert (answer.code, "there is no folder " in answer.err) == (10, True)
    assert not (project.parent / "fork").exists()


@pytest.mark.parametrize("words", [["init"], ["clone", "."], ["fork", "."], ["worktree", "add"]])
@pytest.mark.parametrize("folder", ["a.txt", "a.txt/inner", "/proc/nowhere"])
def test_a_folder_that_cannot_be_made_is_named(cli, project, words, folder):
    answer = cli(*words, folder)
    assert answer.code == 3
    assert "cannot be made: " in answer.err or "is not an empty folder" in answer.err
    assert at(cli, project, "status", "-s").out == ""
    assert "a.txt" not in at(cli, project, "branch").out
