"""A disk that does not tell upper from lower case, as most Macs have.

The fixture `folding_disk` gives a test an empty folder on one: ext4 or vfat in a file, where this machine can mount
them, or else a folder mounted by FUSE that shows another one and folds the forms of Unicode, too:

    python -m tests.servers.folding_disk FOLDER MOUNT

A name keeps the form in which it was made. Ends when unmounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dsvc.worktree.names import tells_names_apart


@pytest.fixture
def folding_disk(tmp_path: Path) -> Iterator[Path]:
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    attempts = [
        (["mkfs.ext4", "-q", "-O", "casefold", "-E", "encoding=utf8"], []),
        (["mkfs.vfat"], ["-o", "utf8"]),
    ]
    for make, options in attempts:
        if shutil.which(make[0]) is None or shutil.which("mount") is None:
            continue
        image.write_bytes(b"")
        with image.open("r+b") as file:
            file.truncate(16 << 20)
        if subprocess.run([*make, str(image)], check=False, capture_output=True).returncode:
            continue
        mounted = subprocess.run(
            ["mount", "-o", "loop", *options, str(image), str(place)], check=False, capture_output=True
        )
        if mounted.returncode:
            continue
        try:
            work = place / "work"
            work.mkdir()
            subprocess.run(["chattr", "+F", str(work)], check=False, capture_output=True)
            if not tells_names_apart(work):
                yield work
                return
        finally:
            subprocess.run(["umount", str(place)], check=False)
    pytest.importorskip("mfusepy", reason="no disk that folds names can be made without mfusepy", exc_type=ImportError)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no disk that folds names can be made here (needs ext4 with casefold, vfat or FUSE)")
    (tmp_path / "folder").mkdir()
    with shown_folded(tmp_path / "folder", place):
        yield place


@contextmanager
def shown_folded(folder: Path, mount: Path) -> Iterator[None]:
    """Mount `folder` at `mount` for as long as the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", "tests.servers.folding_disk", str(folder), str(mount)])
    try:
        for _ in range(600):
            if os.path.ismount(mount):
                break
            assert process.poll() is None, "the disk could not be mounted"
            time.sleep(0.05)
        yield
    finally:
        subprocess.run(["fusermount", "-u", "-z", str(mount)], check=False)
        process.terminate()
        process.wait()


def fold(name: str) -> str:
    """What two names have in common that are one to this disk."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def main() -> None:
    """Serve until unmounted."""
    import mfusepy

    folder, mount = sys.argv[1:]

    def place(path: str) -> str:
        """Where a path lies: by the names that are there, for the rest as it is written."""
        at = folder
        for name in path.strip("/").split("/"):
            written = os.path.join(at, name)
            others = os.listdir(at) if not os.path.lexists(written) and os.path.isdir(at) else []
            at = next((os.path.join(at, other) for other in others if fold(other) == fold(name)), written)
        return at

    class Disk(mfusepy.Operations):
        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            found = os.lstat(place(path))
            names = ("mode", "nlink", "size", "uid", "gid", "ino", "blocks")
            times = {f"st_{n}time": getattr(found, f"st_{n}time_ns") for n in "amc"}
            return {f"st_{name}": getattr(found, f"st_{name}") for name in names} | times

        def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
            at = place(path)  # a name without the number of its inode would not be shown
            found = [(name, os.lstat(os.path.join(at, name))) for name in (".", "..", *os.listdir(at))]
            return [(name, {"st_ino": of.st_ino, "st_mode": of.st_mode}, 0) for name, of in found]

        def open(self, path: str, flags: int) -> int:
            return os.open(place(path), flags)

        def create(self, path: str, mode: int, fi: object = None) -> int:
            return os.open(place(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            os.truncate(place(path), length)
            return 0

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            return 0

        def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
            return 0

        def flush(self, path: str, fh: int) -> int:
            return 0

        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

        def link(self, target: str, source: str) -> int:
            os.link(place(source), place(target))
            return 0

        def symlink(self, target: str, source: str) -> int:
            os.symlink(source, place(target))
            return 0

        def readlink(self, path: str) -> str:
            return os.readlink(place(path))

        def unlink(self, path: str) -> int:
            os.unlink(place(path))
            return 0

        def mkdir(self, path: str, mode: int) -> int:
            os.mkdir(place(path), mode)
            return 0

        def rmdir(self, path: str) -> int:
            os.rmdir(place(path))
            return 0

        def rename(self, old: str, new: str) -> int:
            goal = place(new)
            if os.path.lexists(goal) and os.path.samefile(goal, place(old)):  # another form of the same name
                goal = os.path.join(os.path.dirname(goal), os.path.basename(new))
            os.rename(place(old), goal)
            return 0

        def chmod(self, path: str, mode: int) -> int:
            os.chmod(place(path), mode)
            return 0

        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            os.utime(place(path), ns=times) if times else os.utime(place(path))
            return 0

    timeouts = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(Disk(), mount, foreground=True, nothreads=True, use_ino=True, fsname="folding", **timeouts)


if __name__ == "__main__":
    main()
