"""Large files that the store keeps whole: cloned from the working copy and back, on real disks that can."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from dsvc.errors import FormatTooNewError
from dsvc.objects import ingest, packwriter
from dsvc.repo import format as formats
from dsvc.worktree import creating, storing
from tests.servers.sshd import DSVC, sshd

__all__ = ["sshd"]

SIZE = 9 << 20
on_both = pytest.mark.parametrize("cloning_disk", ["xfs", "btrfs"], indirect=True)


def noise(seed: int, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)


def used(folder: Path) -> int:
    """Bytes that are taken on a disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.sync()
        found = os.fstatvfs(fd)
    finally:
        os.close(fd)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def parted(project: Path) -> list[Path]:
    return [path for path in (project / ".dsvc/store/packs").iterdir() if path.is_dir()]


class Place:
    """A project on some disk; `ok` runs dsvc in it."""

    def __init__(self, cli, folder: Path) -> None:
        self.cli, self.folder = cli, folder
        folder.mkdir(exist_ok=True)

    def __call__(self, *words: str):
        return self.cli(*words, directory=self.folder)

    def ok(self, *words: str):
        answer = self(*words)
        assert answer.code == 0, answer.err
        return answer

    def collect(self) -> None:
        """Run gc an hour later."""
        self.cli.environment["DSVC_DATE"] = "2026-01-31T13:00:00+01:00"
        self.ok("commit", "-q", "--allow-empty", "-m", "later")
        self.ok("gc", "--prune=now")

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)


@pytest.fixture
def project(cli, cloning_disk) -> Place:
    place = Place(cli, cloning_disk / "project")
    assert place.ok("init", "--json").json["whole_files"] is True
    return place


@on_both
def test_nothing_is_written_twice(project):
    project.write("a.bin", noise(1))
    project.write("b.bin", noise(2))
    project.write("again.bin", noise(1))
    before = used(project.folder)
    answer = project.ok("commit", "-m", "first")
    assert used(project.folder) - before < SIZE // 4
    assert "second time" not in answer.err
    (pack,) = parted(project.folder)
    assert sorted(path.name for path in pack.iterdir()) == ["0", "1", "parts", "rest"]
    assert project.ok("fsck").code == 0

    (project.folder / "a.bin").unlink()
    os.chmod(project.folder / "b.bin", 0o755)
    project.ok("commit", "-qm", "second")
    before = used(project.folder)
    project.ok("restore", "-s", "HEAD~1", ".")
    assert (project.folder / "a.bin").read_bytes() == noise(1)
    assert (project.folder / "a.bin").stat().st_mode & 0o222
    project.ok("restore", ".")
    assert os.access(project.folder / "b.bin", os.X_OK)
    assert used(project.folder) - before < SIZE // 4


@on_both
def test_what_is_written_to_the_working_file_does_not_reach_the_store(project):
    project.write("a.bin", noise(1))
    project.ok("commit", "-qm", "first")
    with open(project.folder / "a.bin", "r+b") as file:
        file.write(b"changed in place")
    assert project.ok("cat", "HEAD:a.bin").raw == noise(1)
    assert "a.bin" in project.ok("status", "-s").out
    before = used(project.folder)
    project.ok("commit", "-qm", "second")
    assert used(project.folder) - before < SIZE // 4  # its other blocks are shared still
    assert project.ok("cat", "HEAD:a.bin").raw == b"changed in place" + noise(1)[16:]
    assert project.ok("fsck").code == 0
    project.ok("restore", "-s", "HEAD~1", "a.bin")
    assert (project.folder / "a.bin").read_bytes() == noise(1)


def test_a_file_that_was_written_anew_and_is_mostly_known_is_stored_as_its_new_chunks(project):
    project.write("a.bin", noise(1))
    project.ok("commit", "-qm", "first")
    (project.folder / "a.bin").unlink()
    project.write("a.bin", b"in front" + noise(1))
    project.ok("commit", "-qm", "second")
    assert len(parted(project.folder)) == 1
    assert project.ok("cat", "HEAD:a.bin").raw == b"in front" + noise(1)
    assert project.ok("fsck").code == 0


@on_both
def test_gc_takes_a_file_away_and_leaves_the_others_where_they_are(project):
    project.write("kept.bin", noise(1))
    project.write("gone.bin", noise(2))
    project.write("small", b"s")
    project.ok("commit", "-qm", "first")
    (kept,) = [p for p in parted(project.folder)[0].iterdir() if p.stat().st_size == SIZE and
               p.read_bytes() == noise(1)]
    inode = kept.stat().st_ino
    (project.folder / "gone.bin").unlink()
    project.ok("commit", "-q", "--amend", "-m", "first")
    before = used(project.folder)
    project.collect()
    patience = time.monotonic() + 20  # XFS gives the blocks of a deleted file back in the background
    while (given_back := before - used(project.folder)) <= SIZE // 2 and time.monotonic() < patience:
        time.sleep(0.05)
    assert given_back > SIZE // 2
    (pack,) = parted(project.folder)
    assert [p.stat().st_ino for p in pack.iterdir() if p.stat().st_size == SIZE] == [inode]
    assert project.ok("fsck").code == 0
    project.write("kept.bin", b"")
    project.ok("restore", "kept.bin")
    assert (project.folder / "kept.bin").read_bytes() == noise(1)


def test_chunks_that_a_cut_up_file_shares_with_a_whole_one_outlive_it(project):
    project.write("a.bin", noise(1))
    project.ok("commit", "-qm", "first")
    (project.folder / "a.bin").unlink()
    project.write("a.bin", noise(1) + b"behind")
    project.ok("commit", "-q", "--amend", "-m", "first")
    project.collect()
    assert not parted(project.folder)  # of the whole file only chunks were needed
    assert project.ok("cat", "HEAD:a.bin").raw == noise(1) + b"behind"
    assert project.ok("fsck").code == 0


def test_purge_erases_it(project):
    project.write("secret.bin", noise(1))
    project.write("other.bin", noise(2))
    project.ok("commit", "-qm", "first")
    (project.folder / "secret.bin").unlink()
    project.ok("purge", "--yes", "secret.bin", "--reason", "secret")
    project.collect()
    assert all(p.read_bytes() != noise(1) for pack in parted(project.folder) for p in pack.iterdir())
    assert project.ok("cat", "HEAD:other.bin").raw == noise(2)
    assert project.ok("fsck").code == 0


def test_a_file_in_several_packs(project, monkeypatch):
    for module in (storing, creating):
        monkeypatch.setattr(module, "LARGE", 300_000)
    monkeypatch.setattr(ingest, "PART_CHUNKS", 5)
    monkeypatch.setattr(packwriter, "MAX_OBJECTS", 8)
    project.write("a.bin", noise(1, 2_000_000))
    project.ok("commit", "-qm", "first")
    assert len(parted(project.folder)) > 2
    (project.folder / "a.bin").unlink()
    project.ok("commit", "-q", "--amend", "--allow-empty", "-m", "first")
    project.collect()
    assert not parted(project.folder)

    project.write("b.bin", noise(2, 2_000_000))
    project.ok("commit", "-qm", "second")
    assert len({path.stat().st_ino for pack in parted(project.folder) for path in pack.glob("[0-9]*")}) == 1
    assert project.ok("fsck").code == 0
    (project.folder / "b.bin").unlink()
    project.ok("restore", "b.bin")
    assert (project.folder / "b.bin").read_bytes() == noise(2, 2_000_000)
    assert project.ok("data", "usage", "b.bin", "--json").json["total"]["shared_bytes"] > 1_900_000


def test_small_packs_are_merged_and_their_files_stay(project, monkeypatch):
    for module in (storing, creating):
        monkeypatch.setattr(module, "LARGE", 300_000)
    for number in range(12):
        project.write(f"{number}.bin", noise(number, 400_000))
        project.ok("commit", "-qm", f"{number}")
    assert len(parted(project.folder)) < 8
    files = {path.stat().st_ino: path.stat().st_size for pack in parted(project.folder) for path in pack.glob("[0-9]*")}
    assert list(files.values()) == [400_000] * 12
    assert project.ok("fsck").code == 0
    assert project.ok("data", "usage", "--json").json["total"]["shared_bytes"] > 12 * 380_000
    (project.folder / "3.bin").unlink()
    project.ok("restore", "3.bin")
    assert (project.folder / "3.bin").read_bytes() == noise(3, 400_000)


@on_both
def test_a_fork_shares_the_blocks_and_lives_on_without_its_source(cli, project, cloning_disk):
    project.write("a.bin", noise(1))
    project.ok("commit", "-qm", "first")
    for how in ("hardlink", "reflink"):
        before = used(project.folder)
        project.ok("-c", f"store.link={how}", "fork", ".", f"../{how}")
        assert used(project.folder) - before < SIZE // 4
        fork = Place(cli, cloning_disk / how)
        assert not fork.ok("status", "-s").out
        with open(fork.folder / "a.bin", "r+b") as file:
            file.write(b"x")
        assert project.ok("cat", "HEAD:a.bin").raw == noise(1)
        assert fork.ok("fsck").code == 0
        fork.ok("restore", "a.bin")
        assert used(project.folder) - before < SIZE // 4


def test_it_travels_compressed_to_a_place_that_is_like_any_other(cli, project, tmp_path):
    text = b"".join(b"%09d\n" % n for n in range(1_000_000))
    project.write("a.csv", text)
    project.ok("commit", "-qm", "first")
    assert parted(project.folder)
    far = tmp_path / "far"
    project.ok("remote", "add", "far", str(far))
    project.ok("push", "far", "main")
    assert all(path.is_file() for path in (far / "packs").iterdir())
    assert sum(path.stat().st_size for path in (far / "packs").iterdir()) < len(text) // 2
    assert "parted" not in (far / "cells/format/1").read_text("latin1")
    near = Place(cli, tmp_path / "near")
    cli.ok("clone", str(project.folder), str(near.folder))
    assert (near.folder / "a.csv").read_bytes() == text
    assert near.ok("fsck").code == 0
    project.ok("bundle", "create", str(tmp_path / "b.bundle"), "main")
    cli.ok("clone", str(tmp_path / "b.bundle"), str(tmp_path / "unpacked"))
    assert (tmp_path / "unpacked/a.csv").read_bytes() == text


def test_it_is_cloned_from_a_host_that_keeps_it_whole(cli, project, sshd, tmp_path):
    project.write("a.bin", noise(1))
    project.ok("commit", "-qm", "first")
    cli.environment["DSVC_SSH_COMMAND"] = f"ssh -F {sshd.config}"
    address = f"ssh://{sshd.host}{project.folder}"
    cli.ok("-c", f"remote.origin.command={DSVC}", "clone", address, str(tmp_path / "near"))
    assert (tmp_path / "near/a.bin").read_bytes() == noise(1)
    assert cli("fsck", directory=tmp_path / "near").code == 0


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_stored_file_that_somebody_wrote_to_never_comes_back_unnoticed(project, keep_times):
    project.write("a.bin", noise(1))
    project.ok("commit", "-qm", "first")
    (stored,) = [p for p in parted(project.folder)[0].iterdir() if p.name == "0"]
    times = stored.stat()
    stored.chmod(0o644)
    with stored.open("r+b") as file:
        file.seek(5 << 20)
        file.write(b"damage")
    if keep_times:
        os.utime(stored, ns=(times.st_atime_ns, times.st_mtime_ns))
    answer = project("fsck")
    assert answer.code != 0
    assert "damaged" in answer.out + answer.err
    if not keep_times:
        (project.folder / "a.bin").unlink()
        assert project("restore", "a.bin").code != 0
        assert not (project.folder / "a.bin").exists()
        project.write("a.bin", noise(1))
    project("fsck", "--drop-damaged")
    project.ok("add", "--repair", "a.bin")
    assert project.ok("fsck").code == 0
    (project.folder / "a.bin").unlink()
    project.ok("restore", "a.bin")
    assert (project.folder / "a.bin").read_bytes() == noise(1)


def test_an_older_version_refuses_it_by_name(project, monkeypatch):
    monkeypatch.setattr(formats, "FEATURES", formats.FEATURES - {formats.PARTED})
    answer = project("log")
    assert answer.code == 16
    assert "parted-1" in answer.err
    with pytest.raises(FormatTooNewError):
        formats.check_writable(formats.PARTED_CURRENT)


def test_another_disk_is_told_once_and_may_use_hard_links(cli):
    project = Place(cli, cli.directory)
    if project.ok("init", "--json").json["whole_files"]:
        pytest.skip("the folder for tests is on a disk that clones files")
    project.write("a.bin", noise(1))
    assert "second time" in project.ok("commit", "-m", "first").err
    project.write("a.bin", noise(2))
    assert "second time" not in project.ok("commit", "-m", "second").err
    assert not parted(project.folder)

    assert "dsvc init --whole-files" in project.ok("config", "store.link", "hardlink").err, "it does nothing alone"
    project.ok("init", "--whole-files")
    assert not project.ok("config", "store.link", "hardlink").err
    project.write("a.bin", noise(3))
    project.ok("add", "--dry-run", "a.bin")
    assert (project.folder / "a.bin").stat().st_mode & 0o200
    project.ok("commit", "-qm", "third")
    assert not project.ok("status", "-s").out
    found = (project.folder / "a.bin").stat()
    stored = {p.stat().st_ino for pack in parted(project.folder) for p in pack.iterdir()}
    assert found.st_ino in stored
    assert not found.st_mode & 0o222
    (project.folder / "b.bin").hardlink_to(project.folder / "a.bin")  # changes the times of both
    project.write("c.bin", noise(3))  # the same content, written anew
    project.ok("commit", "-qm", "names")
    assert {(project.folder / name).stat().st_ino for name in ("a.bin", "b.bin", "c.bin")} == {found.st_ino}
    assert not project.ok("status", "-s").out
    project.ok("restore", "-s", "HEAD~2", "a.bin")
    assert (project.folder / "a.bin").read_bytes() == noise(2)
    assert (project.folder / "a.bin").stat().st_mode & 0o200
    project.ok("restore", "a.bin")
    assert (project.folder / "a.bin").stat().st_ino in stored
    (project.folder / "a.bin").unlink()  # what a program does that replaces it
    project.write("a.bin", noise(4))
    assert project.ok("cat", "HEAD:a.bin").raw == noise(3)
    assert project.ok("fsck").code == 0
