"""What disks mounted by FUSE have in common that show a folder of another disk: every call is passed on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PassedOn:
    """The calls of `mfusepy.Operations`, done where `place` says."""

    use_ns = True

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def place(self, path: str) -> str:
        """Return where a path of the mount lies."""
        return self.folder + path

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = os.lstat(self.place(path))
        names = ("mode", "nlink", "size", "uid", "gid", "ino", "blocks")
        times = {f"st_{n}time": getattr(found, f"st_{n}time_ns") for n in "amc"}
        return {f"st_{name}": getattr(found, f"st_{name}") for name in names} | times

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        at = self.place(path)  # a disk that shows inodes would hide a name without the number of its own
        found = [(name, os.lstat(os.path.join(at, name))) for name in (".", "..", *os.listdir(at))]
        return [(name, {"st_ino": of.st_ino, "st_mode": of.st_mode}, 0) for name, of in found]

    def open(self, path: str, flags: int) -> int:
        return os.open(self.place(path), flags)

    def create(self, path: str, mode: int, fi: object = None) -> int:
        return os.open(self.place(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self.place(path), length)
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
        os.link(self.place(source), self.place(target))
        return 0

    def rename(self, old: str, new: str) -> int:
        os.rename(self.place(old), self.place(new))
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self.place(path))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self.place(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self.place(path))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self.place(path), mode)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self.place(path), ns=times)
        return 0


@contextmanager
def served(module: str, mount: Path, *words: Path) -> Iterator[None]:
    """Run `python -m module WORDS`, which serves `mount`, for as long as the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", module, *map(str, words)])
    try:
        for _ in range(600):
            if os.path.ismount(mount):
                break
            assert process.poll() is None, "the disk could not be mounted"
            time.sleep(0.05)
        yield
    finally:
        subprocess.run(["fusermount", "-u", "-z", str(mount)], check=False)
        process.terminate()  # it would wait for whoever has a file open there
        process.wait()
