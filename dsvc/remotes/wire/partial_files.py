"""Uploads that have not arrived whole yet: files in a temporary folder that a later connection goes on with.

The name holds the hash of the key, so that the next upload of that key finds it. Whoever writes to one holds a lock on
it. Where the writer is a process that has not noticed yet that its other end is gone, a copy is gone on with.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from blake3 import blake3

_PIECE = 1 << 20


class PartialFile:
    """A file that holds the first `size` bytes of a blob; `hasher` has seen them."""

    def __init__(self, staging: Path, key: str, *, limit: int) -> None:
        """Find what an earlier upload left of this key, at most `limit` bytes of it, or begin a new file.

        Raises:
            OSError: as the file system reports it.
        """
        # As dsvc.atomic.temporary_name, with 0 for the process: it belongs to none, so only its age makes it stale.
        stem = f"put-{blake3(key.encode()).hexdigest()[:32]}.0."
        self.hasher = blake3()
        self.size = 0
        found = _earlier(staging, stem)
        for path in found:
            fd = _locked(path)
            if fd is not None:
                self.path, self._fd = path, fd
                break
        else:
            self.path = staging / f"{stem}{os.urandom(6).hex()}.tmp"
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if found:
                _copy(found[0], self._fd)
        size = min(os.fstat(self._fd).st_size, max(0, limit))
        os.ftruncate(self._fd, size)
        while self.size < size:
            piece = os.pread(self._fd, min(_PIECE, size - self.size), self.size)
            if not piece:
                break
            self.hasher.update(piece)
            self.size += len(piece)

    def restart(self) -> None:
        """Forget what is there."""
        os.ftruncate(self._fd, 0)
        self.size = 0
        self.hasher = blake3()

    def append(self, data: bytes | bytearray) -> None:
        """Write and hash `data`.

        Raises:
            OSError: as the file system reports it; what fitted is kept.
        """
        view = memoryview(data)
        while view:
            count = os.pwrite(self._fd, view, self.size)
            self.hasher.update(view[:count])
            self.size += count
            view = view[count:]

    def sync(self) -> None:
        """Wait until what was written so far is on the disk."""
        os.fdatasync(self._fd)

    def finish(self) -> Path:
        """Return the path of the file, whose content is now complete and may not be written any more."""
        os.fchmod(self._fd, os.fstat(self._fd).st_mode & 0o444)
        return self.path

    def close(self) -> None:
        """Let another upload have the file."""
        os.close(self._fd)

    def remove(self) -> None:
        """Delete the file."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _earlier(staging: Path, stem: str) -> list[Path]:
    """Return the files whose name begins with `stem`, the largest first."""
    found: list[tuple[int, Path]] = []
    with os.scandir(staging) as entries:
        for entry in entries:
            if entry.name.startswith(stem) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat(follow_symlinks=False).st_size, Path(entry.path)))
    return [path for _, path in sorted(found, reverse=True)]


def _locked(path: Path) -> int | None:
    """Open and lock a partial file; None where another process writes to it, or it is gone."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def _copy(source: Path, target: int) -> None:
    """Copy what is there of a file that another process writes to; a disk that can shares the bytes."""
    with contextlib.suppress(OSError), open(source, "rb") as file:
        while os.copy_file_range(file.fileno(), target, 1 << 30):
            pass
