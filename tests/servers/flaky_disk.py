"""A folder mounted by FUSE that shows another one, and whose calls fail now and then as those of a network's disk do.

    python -m tests.servers.flaky_disk FOLDER MOUNT CONTROL

CONTROL is a file of JSON, read anew whenever it changed: `{"read": ["EIO", 3], ...}` lets every third read fail so, and
`{"link": ["EEXIST", 2, "done"]}` every second link, after it was done, as when its answer was lost and it is sent
again. What is being written below `tmp` never fails. CONTROL.failed gets a line for each failure. Ends when unmounted.
"""

import errno
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.fuse_disk import PassedOn, served


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
    with served("tests.servers.flaky_disk", mount, folder, mount, control):
        try:
            yield disk
        finally:
            disk.fail()


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

    class Disk(PassedOn, mfusepy.Operations):
        pass

    for name in ("getattr", "readdir", "open", "read", "link", "rename", "unlink"):
        setattr(Disk, name, failing(name, getattr(Disk, name)))
    timeouts = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(Disk(folder), mount, foreground=True, fsname="flaky", **timeouts)


if __name__ == "__main__":
    main()
