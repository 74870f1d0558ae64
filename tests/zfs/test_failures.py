"""What may go wrong with ZFS: it is said what and what to do, and nothing is half done."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from dsvc.zfs.errors import failure
from tests.tools.zfs_pool import Said, a_pool, needs_zfs_fuse
from tests.zfs.conftest import Project


def test_a_dataset_that_is_not_mounted(project):
    (project.data / "a").write_text("two\n")
    project.pool.zfs("unmount", project.dataset)
    for words in (("commit", "-m", "x"), ("status",)):
        said = project(*words)
        assert said.code == 3
        assert f"the dataset {project.dataset} is not mounted at data" in said.err
        assert f"zfs mount {project.dataset}" in said.err
    project.pool.zfs("mount", project.dataset)
    project.commit("again")
    assert (project.data / "a").read_text() == "two\n"


def test_a_dataset_that_was_renamed(project):
    project.pool.zfs("rename", project.dataset, f"{project.dataset}new")
    if not os.path.ismount(project.data):  # where the disk was busy, the rename leaves it unmounted
        project.pool.zfs("mount", f"{project.dataset}new")
    said = project("status")
    assert said.code == 3
    assert f"the dataset {project.dataset} of data is called {project.dataset}new now" in said.err
    before = project.ok("rev-parse", "HEAD").out
    project.ok("data", "add", "data", "--zfs", f"{project.dataset}new")
    assert project.ok("status", "--json").json["clean"]
    assert project.ok("rev-parse", "HEAD").out == before


def test_a_dataset_that_was_destroyed(project):
    for name in project.snapshots():
        project.pool.zfs("release", f"dsvc:{name.partition('@dsvc-')[2][:8]}", name)
    project.pool.zfs("destroy", "-r", project.dataset)
    said = project("status")
    assert said.code == 3
    assert "is gone: renamed, destroyed" in said.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--zfs", "nopool/x"), "nopool"),
        (("--zfs", "a@b"), "is not the name of a dataset"),
        ((), "no dataset of ZFS is mounted"),
    ],
)
def test_a_folder_that_can_be_no_dataset(empty_project, words, reason):
    said = empty_project("data", "add", "data", *words)
    assert said.code in (2, 3)
    assert reason in said.err
    assert empty_project.ok("status", "--json").json["changes"] == []


def test_a_folder_with_files_is_not_hidden(empty_project):
    (empty_project.folder / "data").mkdir()
    (empty_project.folder / "data" / "file").write_text("x")
    said = empty_project("data", "add", "data", "--zfs", empty_project.dataset)
    assert said.code == 3
    assert "holds files" in said.err
    assert empty_project.pool.run("zfs", "list", empty_project.dataset).code != 0


def test_a_program_that_works_in_the_folder_keeps_it(project):
    first = project.ok("rev-parse", "HEAD").out.strip()
    (project.data / "a").write_text("two\n")
    project.commit("second")
    held = os.open(project.data / "a", os.O_RDONLY)
    try:
        said = project("switch", "--detach", first)
    finally:
        os.close(held)
    assert said.code == 11
    assert "is in use" in said.err
    assert (project.data / "a").read_text() == "two\n"
    assert project.ok("status", "--json").json["clean"]


@pytest.fixture
def received(project, far_pool):
    """A clone that has received the first snapshot; the second one lies on the remote, as one stream."""
    hub = project.folder.parent / "hub"
    project.ok("remote", "add", "-q", "origin", str(hub))
    project.ok("push", "-q")
    parent = f"{far_pool}/{project.dataset.partition('/')[2]}-broken"
    project.pool.zfs("create", parent)
    assert project.pool.dsvc(project.folder.parent, "clone", "-q", str(hub), "other").code == 0
    other = Project(project.pool, project.folder.parent / "other", parent)
    other.ok("config", "zfs.parent", parent)
    other.ok("data", "get", "-q")
    (project.data / "b").write_bytes(os.urandom(300_000))
    project.commit("second")
    project.ok("push", "-q")
    return other


def test_a_stream_that_is_damaged_or_ends_early_leaves_nothing(project, received):
    """Of every kind of place in the stream: its head, its records, their content, its end."""
    whole = project.pool.run("zfs", "send", "-i", *project.snapshots()[-2:]).raw
    names = received.pool.zfs("list", "-H", "-r", "-t", "all", "-o", "name", received.dataset)
    for cut in (0, 1, 311, 312, 313, 700, len(whole) // 2, len(whole) - 312, len(whole) - 1):
        assert broken(received, whole[:cut]), cut
        assert received.pool.zfs("list", "-H", "-r", "-t", "all", "-o", "name", received.dataset) == names
    for place in (20, 60, 1000, len(whole) // 2, len(whole) - 300):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        assert broken(received, bytes(damaged)), place
        assert received.pool.zfs("list", "-H", "-r", "-t", "all", "-o", "name", received.dataset) == names
    received.ok("pull", "-q")
    assert (received.data / "b").stat().st_size == 300_000


def broken(project: Project, stream: bytes) -> bool:
    """Whether receiving these bytes into the project's dataset fails."""
    script = """
import sys
from dsvc.errors import DsvcError
from dsvc.zfs.provider import ZfsProvider
zfs, (parent, guid) = ZfsProvider(), sys.argv[1:]
base = next(kept for name in zfs.children(parent) for kept in zfs.snapshots(name))
try:
    zfs.receive(parent + "/new", iter([sys.stdin.buffer.read()]), guid, base, "00000000")
except DsvcError as error:
    sys.exit(7)
"""
    file = project.folder.parent / "stream"
    file.write_bytes(stream)


    said = project.pool.run(
        "bash", "-c", '"$0" -c "$1" "$2" 0 < "$3"', sys.executable, script, project.dataset, str(file),
        folder=Path(__file__).parents[2],
    )
    assert said.code in (0, 7), said.err
    return said.code == 7


def test_a_full_pool(tmp_path):
    with a_pool(tmp_path, "64M") as pool:
        project = Project.of_its_own(pool, tmp_path)
        (project.data / "a").write_bytes(os.urandom(20 << 20))
        project.commit("first")
        hub = tmp_path / "hub"
        project.ok("remote", "add", "-q", "origin", str(hub))
        project.ok("push", "-q")
        small = pool.another("small")
        pool.zfs("create", "-o", "quota=5M", f"{small}/in")
        assert pool.dsvc(tmp_path, "clone", "-q", str(hub), "other").code == 0
        other = Project(pool, tmp_path / "other", f"{small}/in")
        other.ok("config", "zfs.parent", f"{small}/in")
        said = other("data", "get")
        assert said.code == 3
        assert "no room" in said.err
        assert pool.zfs("list", "-H", "-r", "-o", "name", f"{small}/in").split() == [f"{small}/in"]
        pool.zfs("set", "quota=none", f"{small}/in")
        other.ok("data", "get", "-q")
        assert (other.data / "a").stat().st_size == 20 << 20


def fill(file: Path) -> None:
    def write() -> None:
        with file.open("wb", buffering=0) as out:
            while True:
                out.write(os.urandom(1 << 16))

    with pytest.raises(OSError, match="No space left"):
        write()


def once_there_is_room(project: Project, *words: str) -> Said:
    """Say it again for a while: a pool gives room back some time after a file was removed."""
    end = time.monotonic() + 60
    while (said := project(*words)).code == 3 and "no room" in said.err and time.monotonic() < end:
        time.sleep(0.2)
    assert said.code == 0, said.err
    return said


@needs_zfs_fuse
def test_a_commit_in_a_full_pool(tmp_path):
    """OpenZFS keeps room for it and has a test of its own."""
    with a_pool(tmp_path, "64M") as pool:
        project = Project.of_its_own(pool, tmp_path)
        (project.data / "a").write_text("one\n")
        project.commit("first")
        head, snapshots = project.ok("rev-parse", "HEAD").out, project.snapshots()
        fill(project.data / "big")
        assert [found["path"] for found in project.ok("status", "--json").json["changes"]] == ["data"]
        said = project("commit", "-m", "second")
        assert said.code == 3
        assert f"there is no room for 'zfs snapshot' of {project.dataset}@" in said.err
        assert "remove files" in said.err
        assert (project.ok("rev-parse", "HEAD").out, project.snapshots()) == (head, snapshots)
        assert (project.data / "a").read_text() == "one\n"
        (project.data / "big").unlink()
        once_there_is_room(project, "commit", "-q", "-m", "second")
        pool.zfs("create", "-o", f"mountpoint={tmp_path}/other", f"{pool.name}/other")
        if not os.path.ismount(pool.inside(tmp_path / "other")):
            pool.zfs("mount", f"{pool.name}/other")
        fill(pool.inside(tmp_path / "other") / "big")
        said = project("status")
        assert said.code == 3
        assert f"whether {project.dataset} was written to cannot be told" in said.err
        (pool.inside(tmp_path / "other") / "big").unlink()
        assert once_there_is_room(project, "status", "--json").json["clean"]


@needs_zfs_fuse
def test_the_daemon_dies_while_a_commit_waits_for_it(tmp_path):
    with a_pool(tmp_path, "64M") as pool:
        project = Project.of_its_own(pool, tmp_path)
        project.commit("first")
        head = project.ok("rev-parse", "HEAD").out
        os.kill(pool.daemon, signal.SIGKILL)
        said = project("commit", "--allow-empty", "-m", "second")
        assert said.code == 3
        assert "ZFS does not run on this machine" in said.err or "is not mounted" in said.err
        assert project.ok("rev-parse", "HEAD").out == head


@pytest.mark.parametrize(
    ("words", "said", "permission", "dataset"),
    [
        (("snapshot", "t/d@x"), "cannot create snapshots : permission denied", "snapshot", "t/d"),
        (("hold", "tag", "t/d@x"), "cannot hold snapshot 't/d@x': permission denied", "hold", "t/d"),
        (("destroy", "t/d@x"), "cannot destroy snapshots: permission denied", "destroy", "t/d"),
        (("clone", "t/d@x", "t/e"), "cannot create 't/e': permission denied", "clone", "t"),
        (("send", "-Lec", "t/d@x"), "warning: cannot send 't/d@x': permission denied", "send", "t/d"),
        (("receive", "-u", "t/d"), "cannot receive new filesystem stream: permission denied", "receive", "t"),
        (("set", "dsvc:made=x", "t/d"), "cannot set property for 't/d': permission denied", "userprop", "t/d"),
    ],
)
def test_which_permission_is_missing(words, said, permission, dataset):
    """OpenZFS's own words; zfs-fuse lets nobody but root in."""
    error = failure(words, said + "\n")
    assert error.details["dataset"] == dataset
    assert error.details["permission"].partition(",")[0] == permission
    assert f" {permission}" in error.message
    assert error.message.endswith(f"missing on {dataset}")
    assert error.hint.startswith("sudo zfs allow ")


@pytest.mark.parametrize("word", ["unmount", "clone", "mount"])
def test_a_switch_that_is_killed_is_taken_back(project, tmp_path, word):
    """Killed by its own zfs, right before that does something."""
    first = project.ok("rev-parse", "HEAD").out.strip()
    (project.data / "a").write_text("two\n")
    second = project.commit("second")
    real = project.pool.run("bash", "-c", "command -v zfs").out.strip()
    folder = tmp_path / "programs"
    folder.mkdir()
    wrapper = folder / "zfs"
    wrapper.write_text(f'#!/bin/bash\nif [ "$1" = {word} ]; then kill -9 $PPID; exit 1; fi\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    path = project.pool.environment["PATH"]
    project.pool.environment["PATH"] = f"{folder}:{path}"
    try:
        said = project("switch", "--detach", first)
    finally:
        project.pool.environment["PATH"] = path
    if word != "mount":  # a clone may be mounted as it is made
        assert said.code == 71
        assert project.ok("status", "--json").json["clean"]
        assert project.ok("rev-parse", "HEAD").out.strip() == second
        assert (project.data / "a").read_text() == "two\n"
    project.ok("switch", "-q", "--detach", first)
    assert (project.data / "a").read_text() == "one\n"
    assert project.ok("status", "--json").json["clean"]
