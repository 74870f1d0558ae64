"""A disk that is full, read-only or not ours: a clear error, nothing lost, and everything works again afterwards."""

import contextlib
import os
import random
import subprocess
from pathlib import Path

import pytest
from mortal import Project, apart

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk and giving up rights need root")
SIZE = 8 << 20
NOBODY = 65534


class Disk:
    """A project on a small disk, with dsvc as a program of its own."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.project = mount / "project"
        self.project.mkdir()
        self.home = mount.parent / "home"
        self.home.mkdir(exist_ok=True)

    def __call__(self, *words, nobody=False):
        """Run a command in a process of its own, with `nobody` in one that has given up all rights."""

        def work():
            if nobody:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            return Project(self.project, home=self.home).here(*words)

        answer, _ = apart(work)
        return answer

    def ok(self, *words):
        done = self(*words)
        assert done.code == 0, f"dsvc {' '.join(words)}: {done.code}\n{done.err}"
        return done.out

    def refused(self, *words, nobody=False):
        done = self(*words, nobody=nobody)
        assert done.code == 3, f"dsvc {' '.join(words)}: {done.code}\n{done.err}{done.out}"
        lines = done.err.splitlines()
        assert len([line for line in lines if line.startswith("dsvc: ")]) == 1, done.err
        assert any(line.startswith("hint: ") for line in lines), done.err
        assert "Traceback" not in done.err
        return done.err

    def fill(self, *, leave=0):
        """Write a file that leaves so many bytes of the disk."""
        path = self.mount / "filler"
        with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 65536)
        with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
            while True:
                file.write(b"\0")
        if leave:
            os.truncate(path, os.path.getsize(path) - leave)

    def free(self):
        (self.mount / "filler").unlink()

    def files(self):
        found = {}
        for path in self.project.rglob("*"):
            if ".dsvc" not in path.parts and path.is_file():
                found[str(path.relative_to(self.project))] = path.read_bytes()
        return found


@pytest.fixture
def disk(tmp_path):
    mount = tmp_path / "mount"
    mount.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", mount]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield Disk(mount)
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


@pytest.fixture
def project(disk):
    disk.ok("init", "-q")
    (disk.project / "f").write_text("first\n")
    (disk.project / "big").write_bytes(noise(1, 600_000))
    disk.ok("commit", "-qm", "first")
    disk.ok("switch", "-q", "-c", "other")
    (disk.project / "big").write_bytes(noise(2, 900_000))
    (disk.project / "more").write_bytes(noise(3, 300_000))
    disk.ok("commit", "-qm", "other")
    disk.ok("switch", "-q", "main")
    return disk


@pytest.mark.parametrize("leave", [0, 100_000])
def test_commit(project, leave):
    (project.project / "new").write_bytes(noise(4, 400_000))
    before = project.files()
    project.fill(leave=leave)
    message = project.refused("commit", "-m", "second")
    assert "space" in message
    assert project.files() == before
    project.ok("status")
    project.free()
    project.ok("fsck")
    project.ok("commit", "-qm", "second")
    assert project.ok("status", "-s") == ""
    project.ok("fsck")


@pytest.mark.parametrize("leave", [0, 500_000])
def test_switch(project, leave):
    (project.project / "mine").write_text("mine\n")
    before = project.files()
    project.fill(leave=leave)
    assert "space" in project.refused("switch", "other")
    project.free()
    assert "On branch main" in project.ok("status")
    assert project.files() == before
    project.ok("switch", "other")
    assert project.ok("status", "-s").strip() == "?? mine"
    project.ok("fsck")


@pytest.mark.parametrize("leave", [0, 60_000, 500_000])
@pytest.mark.parametrize("words", [("restore", "."), ("reset", "--hard", "other"), ("stash",), ("merge", "other")])
def test_what_overwrites(project, leave, words):
    if words[0] != "merge":
        (project.project / "big").write_bytes(noise(5, 700_000))
        (project.project / "f").write_text("unsaved\n")
    before = project.files()
    project.fill(leave=leave)
    done = project(*words)
    if done.code:
        assert done.code == 3, done.err
        assert "space" in done.err
        project.free()
        project.ok("status")
        assert project.files() == before
    else:
        project.free()
        project.ok("undo")
        assert project.files() == before
    project.ok("fsck")
    project.ok(*words)


@pytest.mark.parametrize("leave", [0, 50_000])
def test_gc(project, leave):
    project.ok("branch", "-D", "other")
    for number in range(3):
        (project.project / "f").write_text(f"{number}\n")
        project.ok("commit", "-qm", "more")
    before = project.files()
    project.fill(leave=leave)
    done = project("gc", "--prune=now")
    assert done.code in (0, 3), done.err
    project.ok("status")
    project.free()
    project.ok("gc", "--prune=now")
    project.ok("fsck")
    assert project.files() == before
    assert len(project.ok("log", "--oneline").splitlines()) == 4


def test_a_push_to_a_full_disk_says_which_one(disk):
    ours = Disk(disk.mount.parent)
    ours.ok("init", "-q")
    (ours.project / "big").write_bytes(noise(1, 600_000))
    ours.ok("commit", "-qm", "first")
    ours.ok("push", "-q", "../mount/hub", "main")
    (ours.project / "big").write_bytes(noise(2, 900_000))
    ours.ok("commit", "-qm", "second")
    disk.fill(leave=100_000)
    assert f"no space is left on the disk: {disk.mount}/hub" in ours.refused("push", "../mount/hub", "main")
    disk.free()
    ours.ok("push", "-q", "../mount/hub", "main")
    ours.ok("clone", "-q", "../mount/hub", "copy")
    ours.ok("fsck")


def test_a_disk_that_is_read_only(project):
    (project.project / "f").write_text("changed\n")
    before = project.files()
    subprocess.run(["mount", "-o", "remount,ro", project.mount], check=True)
    try:
        assert "M f" in project.ok("status", "-s")
        for words in (("log",), ("diff",), ("ls",), ("cat", "HEAD:f"), ("fsck",), ("log", "--graph", "--all")):
            project.ok(*words)
        for line in ("commit -m x", "switch other", "restore f", "gc", "undo", "init sub"):
            assert "read-only" in project.refused(*line.split())
    finally:
        subprocess.run(["mount", "-o", "remount,rw", project.mount], check=True)
    assert project.files() == before
    project.ok("commit", "-qm", "x")


def test_somebody_without_rights(project):
    for path in (project.mount, project.mount.parent, *project.mount.parent.parents):
        if not os.stat(path).st_mode & 0o001 and str(path) != "/":
            os.chmod(path, os.stat(path).st_mode | 0o011)
    (project.project / "f").write_text("changed\n")
    secret = project.project / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    before = project.files()
    for words in (("commit", "-m", "x"), ("switch", "other"), ("restore", "f"), ("gc",), ("undo",)):
        assert project.refused(*words, nobody=True)
    assert project.files() == before
    project.ok("status")
    for path in (project.project / ".dsvc").rglob("*"):
        os.chown(path, NOBODY, NOBODY)
    for path in (project.project, project.project / ".dsvc"):
        os.chown(path, NOBODY, NOBODY)
    message = project.refused("commit", "-m", "x", nobody=True)
    assert "secret" in message
    for path in (project.project / ".dsvc" / "store" / "packs").iterdir():
        path.chmod(0)
    assert "packs" in project.refused("log", nobody=True)
