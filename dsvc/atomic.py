"""Write files so that a reader or a crash sees the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path


def sync_directory(path: Path | str | bytes) -> None:
    """Make the names in a directory survive a crash; a file system that cannot is left alone."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def temporary_name(stem: str) -> str:
    """Return a file name that no other process uses and that tells who made it."""
    return f"{stem}.{os.getpid()}.{os.urandom(6).hex()}.tmp"


def is_left_over(name: str) -> bool:
    """Say whether a name is one of `temporary_name`, made by a process of this machine that is no more."""
    found = re.fullmatch(r".+\.(\d+)\.[0-9a-f]{12}\.tmp", name)
    if found is None:
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it runs, and is another's; or there can be none
        pass
    return False


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of it, however much one call takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_file(path: Path, data: bytes | Iterable[bytes], *, durable: bool = True, mode: int = 0o666) -> None:
    """Replace the file at `path` by one with this content (bytes, or pieces), through a temporary file beside it.

    Raises:
        OSError: as the file system reports it; the old file is untouched then and the temporary one removed.
    """
    temporary = path.parent / temporary_name(path.name)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            for piece in (data,) if isinstance(data, bytes) else data:
                write_all(fd, piece)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_directory(path.parent)
