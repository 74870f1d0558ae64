"""A folder for what is under way to or from a remote, of one process alone.

A process that was broken off leaves its folder behind, and the next one goes on there. Processes that run at the same
time, as pushes of several runs do, each hold one of their own, by a lock that ends with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
import time
from itertools import count
from pathlib import Path

_OLD = 7 * 24 * 3600  # seconds after which nobody goes on with what was left


class Berth:
    """The first of the folders `1`, `2`, ... below `folder` that nobody holds; taken when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._fd = -1
        self._lock = threading.Lock()

    def path(self) -> Path:
        """Return the folder, which is there now.

        Raises:
            OSError: when it cannot be made.
        """
        with self._lock:
            while self._path is None:
                self._path = self._take()
            return self._path

    def close(self) -> None:
        """Let others have the folder; it is removed if nothing in it is still of use."""
        with self._lock:
            if self._path is None:
                return
            for part in (*self._path.iterdir(), self._path):
                with contextlib.suppress(OSError):
                    part.rmdir()
            os.close(self._fd)
            self._path = None
        self._sweep()

    def _take(self) -> Path | None:
        """Return a folder that is held now, or None when others were removing it meanwhile."""
        for number in count(1):
            path = self._folder / str(number)
            try:
                path.mkdir(parents=True, exist_ok=True)
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            if not _is_locked(fd):
                os.close(fd)
                continue
            if _is_same(fd, path):
                self._fd = fd
                return path
            os.close(fd)
            return None
        raise AssertionError

    def _sweep(self) -> None:
        """Remove what processes left that nobody went on with."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.stat().st_mtime < time.time() - _OLD:
                    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                    if _is_locked(fd):
                        shutil.rmtree(path, ignore_errors=True)
                    os.close(fd)
            self._folder.rmdir()


def _is_locked(fd: int) -> bool:
    """Lock an open folder; False when another process holds it. Where the disk knows no locks all is free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
