"""A folder mounted by FUSE that shows another one, and whose calls fail now and then as those of a network's disk do.

    python -m tests.servers.flaky_disk FOLDER MOUNT CONTROL

CONTROL is a file of JSON, read anew whenever it changed: `{"read": ["EIO", 3], ...}` lets every third read fail so, and
`{"link": ["EEXIST", 2, "done"]}` every second link, after it was done, as when its answer was lost and it is sent
again. What is being written below `tmp` never fails. CONTROL.failed gets a line for each failure. Ends when unmounted.
"""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class FlakyDisk:
    """One mount. `fail(read=("EIO", 3))` says what fails from now on; `failed()` what did."""

    def __init__(self, mount: Path, control: Path) -> None:
        self.mount = mount
        self._control = control
        self.fail()

    def fail(self, **rules: tuple[object, ...]) -> None:
        """Set the rules anew; without any nothing fails."""
        written = self._control.with_suffix(".new")
        written.write_text(json.dumps(rules))
        written.replace(self._control)

    def failed(self) -> Counter[str]:
        """Return how many calls of each name failed until now."""
        log = Path(f"{self._control}.failed")
        return Counter(log.read_text().split()) if log.exists() else Counter()


@contextmanager
def flaky_disk(folder: Path, mount: Path, control: Path) -> Iterator[FlakyDisk]:
    """Mount `folder` at `mount`, which is made, for as long as the block lasts."""
    mount.mkdir()
    disk = FlakyDisk(mount, control)
    process = subprocess.Popen([sys.executable, "-m", "tests.servers.flaky_disk", *map(str, (folder, mount, control))])
    try:
        for _ in range(600):
            if os.path.ismount(mount):
                break
            assert process.poll() is None, "the disk could not be mounted"
            time.sleep(0.05)
        yield disk
    finally:
        disk.fail()
        subprocess.run(["fusermount", "-u", "-z", str(mount)], check=False)
        process.terminate()  # it would wait for whoever has a file open there
        process.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FlakyDisk]:
    pytest.importorskip("mfusepy", reason="FUSE cannot be used without mfusepy", exc_type=ImportError)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("/dev/fuse is missing or may not be used here")
    (tmp_path / "disk").mkdir()
    with flaky_disk(tmp_path / "disk", tmp_path / "mount", tmp_path / "rules") as mounted:
        yield mounted


def main() -> None:
    """Serve until unmounted."""
    import mfusepy

    folder, mount, control = sys.argv[1:]

    lock = threading.Lock()
    calls: Counter[str] = Counter()

    def failing(op: str, call: Callable[..., object]) -> Callable[..., object]:
        def called(disk: object, path: str, *arguments: object) -> object:
            failure = due(op, path)
            if failure and "done" not in failure:
                raise OSError(getattr(errno, failure[0]), failure[0])
            answer = call(disk, path, *arguments)
            if failure:
                raise OSError(getattr(errno, failure[0]), failure[0])
            return answer

        return called

    def due(op: str, path: str) -> list | None:
        rule = json.loads(Path(control).read_text()).get(op)
        if rule is None or path == "/" or (op != "rename" and path.startswith("/tmp")):
            return None
        with lock:
            calls[op] += 1
            if calls[op] % rule[1]:
                return None
            with open(f"{control}.failed", "a") as log:
                log.write(f"{op}\n")
        return rule

    class Disk(mfusepy.Operations):
        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            found = os.lstat(folder + path)
            names = ("mode", "nlink", "size", "uid", "gid", "ino", "blocks")
            times = {f"st_{n}time": getattr(found, f"st_{n}time_ns") for n in "amc"}
            return {f"st_{name}": getattr(found, f"st_{name}") for name in names} | times

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *os.listdir(folder + path)]

        def open(self, path: str, flags: int) -> int:
            return os.open(folder + path, flags)

        def create(self, path: str, mode: int, fi: object = None) -> int:
            return os.open(folder + path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            os.truncate(folder + path, length)
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
            os.link(folder + source, folder + target)
            return 0

        def rename(self, old: str, new: str) -> int:
            os.rename(folder + old, folder + new)
            return 0

        def unlink(self, path: str) -> int:
            os.unlink(folder + path)
            return 0

        def mkdir(self, path: str, mode: int) -> int:
            os.mkdir(folder + path, mode)
            return 0

        def rmdir(self, path: str) -> int:
            os.rmdir(folder + path)
            return 0

        def chmod(self, path: str, mode: int) -> int:
            os.chmod(folder + path, mode)
            return 0

        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            os.utime(folder + path, ns=times)
            return 0

    for name in ("getattr", "readdir", "open", "read", "link", "rename", "unlink"):
        setattr(Disk, name, failing(name, getattr(Disk, name)))
    mfusepy.FUSE(Disk(), mount, foreground=True, fsname="flaky", attr_timeout=0, entry_timeout=0, negative_timeout=0)


if __name__ == "__main__":
    main()
