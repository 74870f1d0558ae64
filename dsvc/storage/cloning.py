"""Let two files share their blocks (a reflink), and find out how much of one is shared.

Linux: the ioctls FICLONE and FS_IOC_FIEMAP of linux/fs.h and linux/fiemap.h (btrfs, XFS, ZFS 2.2 and later).
macOS: clonefile(2) of APFS, which makes the new file itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
from pathlib import Path

_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_FIEMAP = 0xC020660B  # linux/fs.h: _IOWR('f', 11, struct fiemap)
_REQUEST = struct.Struct("=QQIIII")  # start, length, flags, extents that were found, room for extents, reserved
_EXTENT = struct.Struct("=QQQ16xI12x")  # offset in the file, on the disk, length, flags
_SYNC, _LAST, _SHARED = 1, 1, 0x2000
_ROOM = 512  # extents a call


def clone_file(source: int, target: int) -> None:
    """Let the open file `target` share the bytes of `source`, on a disk that can.

    Raises:
        OSError: where the disk cannot.
    """
    import fcntl

    fcntl.ioctl(target, _FICLONE, source)


def clone_to(source: int, target: Path | bytes, *, mode: int = 0o666) -> int:
    """Make the file `target`, which shares the bytes of the open file `source`; return it open for reading and writing.

    Raises:
        OSError: where the disk cannot, or where there is a file of that name; nothing is left then.
    """
    if sys.platform == "darwin":
        return _clone_on_apfs(source, target, mode)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(target, flags, mode)
    try:
        clone_file(source, fd)
    except BaseException:
        os.close(fd)
        os.unlink(target)
        raise
    return fd


def _clone_on_apfs(source: int, target: Path | bytes, mode: int) -> int:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    here = -2  # AT_FDCWD of macOS
    if library.fclonefileat(source, here, os.fsencode(target), 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(target))
    os.chmod(target, 0o600)
    fd = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(fd, mode & ~mask)
    os.utime(fd)
    return fd


def can_clone(folder: Path) -> bool:
    """Say whether the disk that holds a folder clones files, by trying."""
    from dsvc.atomic import temporary_name

    file, copy = folder / temporary_name("probe"), folder / temporary_name("probe")
    try:
        file.write_bytes(b"probe")
        with open(file, "rb") as source:
            os.close(clone_to(source.fileno(), copy))
        return True
    except OSError:
        return False
    finally:
        for path in (file, copy):
            with contextlib.suppress(OSError):
                path.unlink()


def shared_bytes(fd: int) -> int | None:
    """Return how many bytes of an open file lie in blocks that another file has too; None where nobody can tell.

    What was just written is brought to the disk first.
    """
    extents = _extents(fd)
    return None if extents is None else sum(length for length, shared in extents if shared)


def _extents(fd: int) -> list[tuple[int, bool]] | None:
    """Return (length, shared) of a file's extents; None where the disk does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    import fcntl

    found: list[tuple[int, bool]] = []
    start, room = 0, bytes(_ROOM * _EXTENT.size)
    while True:
        request = bytearray(_REQUEST.pack(start, (1 << 64) - 1 - start, _SYNC, 0, _ROOM, 0) + room)
        try:
            fcntl.ioctl(fd, _FIEMAP, request)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EPERM):
                return None
            raise
        count = min(_REQUEST.unpack_from(request)[3], _ROOM)
        last = True
        for number in range(count):
            offset, _, length, flags = _EXTENT.unpack_from(request, _REQUEST.size + number * _EXTENT.size)
            found.append((length, bool(flags & _SHARED)))
            start, last = offset + length, bool(flags & _LAST)
        if last or not count:
            return found
