"""A backend in a folder: a blob is a file, a cell a row of numbered files of which the last one counts.

A pack may also be a folder, of which parts lie in files of their own (see dsvc.storage.parts).

No lock is taken. A blob appears by rename of a finished, synced temporary file. A cell moves from number n to n + 1 by
`link`, which fails when that name exists, so that of two writers one wins; where a file system has no hard links
the rename of a folder onto a non-empty one, which fails too, does the same. docs/formats/local.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from dsvc.atomic import sync_directory, temporary_name, write_all
from dsvc.errors import IntegrityError, RequestError
from dsvc.storage.backend import BlobDamagedError, BlobMissingError, SwapUncertainError, check_key, check_trial
from dsvc.storage.cell_files import DIGEST, KEPT_CELLS, pack_cell, unpack_cell
from dsvc.storage.parts import PartedBlob, size_of, sync_folder

_OPEN_FILES = 128
_PACKS = "packs/"
_TICK = 0.01  # seconds by which the times of files lag behind the clock
# What a disk that is mounted over a network says when its connection broke: the same call may work the next time.
PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("EAGAIN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "EIO", "ENETDOWN"),
        *("ENETRESET", "ENETUNREACH", "ENOTCONN", "EPIPE", "EREMOTEIO", "ESHUTDOWN", "ESTALE", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
)
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


class LocalBackend:
    """Blobs and cells below the folder `root`, which must exist."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._base = os.fspath(root)
        self._open: OrderedDict[str, int | PartedBlob] = OrderedDict()
        self._lock = threading.Lock()

    def staging(self) -> Path:
        """Return a folder on the same disk for files that will be `put` by path."""
        folder = self.root / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        with self._lock:
            fd = self._descriptor(key)
            try:
                whole = fd.size if isinstance(fd, PartedBlob) else os.fstat(fd).st_size if length is None else 0
                size = whole - offset if length is None else length
                data = _pread(fd, size, offset) if size >= 0 and offset >= 0 else b""
                while 0 < len(data) < size:  # one call reads at most 2 GiB
                    more = _pread(fd, size - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
            except OSError as error:
                raise BlobDamagedError(f"{self._path(key)} cannot be read: {error.strerror}") from error
        if len(data) != size:
            raise BlobDamagedError(f"{self._path(key)} ends before byte {offset + size}", hint="dsvc fsck")
        return data

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`."""
        target = Path(self._path(key))
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Path) and source.is_dir():
            self._put_folder(source, target)
            return
        temporary = source if isinstance(source, Path) else self.staging() / temporary_name("blob")
        syncing = False  # what could not be synced may have lost bytes, and is never put again
        try:
            if isinstance(source, Path):
                fd = os.open(temporary, os.O_RDONLY)
            else:
                fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            try:
                if not isinstance(source, Path):
                    write_all(fd, source)
                syncing = True
                os.fsync(fd)
                syncing = False
            finally:
                os.close(fd)
            try:
                os.replace(temporary, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy_in(Path(temporary), target)
        except BaseException as error:
            if isinstance(error, OSError) and error.filename is None:
                error.filename = os.fspath(self.root)  # of two disks, which one is full
            again = isinstance(error, OSError) and error.errno in PASSING and not syncing
            if temporary is not source or not again:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            raise
        sync_directory(target.parent)

    def _put_folder(self, source: Path, target: Path) -> None:
        """Put a blob that was written as a folder, which lies on this disk."""
        try:
            sync_folder(source)
            try:
                os.rename(source, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                shutil.rmtree(source)  # there is one of that key
        except BaseException:
            shutil.rmtree(source, ignore_errors=True)
            raise
        sync_directory(target.parent)

    def parted(self, key: str) -> PartedBlob | None:
        """Return a blob of which parts lie in files of their own, None for any other; the caller closes it.

        Raises:
            BlobDamagedError: when its list of parts cannot be used.
        """
        path = self._path(key)
        try:
            return PartedBlob(path) if os.path.isdir(path) else None
        except FileNotFoundError:
            return None

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        return [key for key in keys if not _exists(self._path(key))]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        folder, _, _ = prefix.rpartition("/")
        top = os.path.join(self._base, folder) if folder else self._base
        found: list[tuple[str, int]] = []
        for base, folders, names in os.walk(top, onerror=_told):
            if base == self._base:
                folders[:] = [f for f in folders if f not in ("tmp", "cells")]
            relative = os.path.relpath(base, self._base)
            if relative == _PACKS[:-1]:
                sizes = ((f"{_PACKS}{name}", size_of(os.path.join(base, name))) for name in folders)
                found += (row for row in sizes if row[0].startswith(prefix))
                folders.clear()
            for name in names:
                key = name if relative == "." else f"{relative}/{name}"
                if key.startswith(prefix):
                    with contextlib.suppress(FileNotFoundError):
                        found.append((key, os.stat(os.path.join(base, name)).st_size))
        yield from sorted(found)

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        with self._lock:
            fd = self._open.pop(key, None)
            if fd is not None:
                _close(fd)
        path = self._path(key)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        except (IsADirectoryError, PermissionError):  # the latter is what macOS says
            if not os.path.isdir(path):
                raise
            away = self.staging() / temporary_name("pack")
            with contextlib.suppress(FileNotFoundError):  # somebody else deleted it
                os.rename(path, away)  # so that nobody sees a part of it
                shutil.rmtree(away, ignore_errors=True)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`.

        Raises:
            DamagedCellError: when the newest file does not match its checksum.
        """
        return self._newest(self._cell(name))[1]

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`."""
        folder = self._cell(name)
        number, current = self._newest(folder)
        if current != expected:
            return False
        os.makedirs(folder, exist_ok=True)
        if not _claim(folder, number + 1, pack_cell(expected, value)):
            return False
        sync_directory(folder)
        numbers = sorted(_numbers(folder))
        if numbers[-1] == number + 1:
            for old in numbers[:-KEPT_CELLS]:
                _remove_cell_file(os.path.join(folder, str(old)))
            return True
        # Somebody built on this number at once, or this process slept while the cell went far beyond it.
        successor = _read_cell_file(os.path.join(folder, str(number + 2)))
        if successor is not None and successor[:DIGEST] == blake3(value).digest():
            return True
        raise SwapUncertainError(f"another process moved {folder} at the same moment")

    def remove_trial(self, name: str) -> None:
        """See `TrialPlace.remove_trial`; a folder that holds nothing else is empty afterwards."""
        check_trial(name)
        self.close()
        shutil.rmtree(self.root / name, ignore_errors=True)
        for cell in self.root.glob(f"cells/{name}-*"):
            shutil.rmtree(cell, ignore_errors=True)
        if {path.name for path in self.root.iterdir()} <= {"cells", "tmp"}:  # there is no repository yet
            for folder in ("cells", "tmp"):
                with contextlib.suppress(OSError):
                    (self.root / folder).rmdir()

    def clock_skew(self) -> tuple[float, float]:
        """See `ClockedPlace.clock_skew`: on a mounted disk, files get their times from the machine that has it."""
        probe = self.staging() / temporary_name("clock")
        try:
            before = time.time()
            probe.write_bytes(b"now")
            after = time.time()
            there = probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
        return there - (before + after) / 2, (after - before) / 2 + _TICK

    def close(self) -> None:
        """See `Backend.close`."""
        with self._lock:
            while self._open:
                _close(self._open.popitem()[1])

    def _path(self, key: str) -> str:
        return os.path.join(self._base, check_key(key))

    def _cell(self, name: str) -> str:
        return os.path.join(self._base, "cells", check_key(name))

    def _descriptor(self, key: str) -> int | PartedBlob:
        fd = self._open.get(key)
        if fd is not None:
            self._open.move_to_end(key)
            return fd
        try:
            fd = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BlobMissingError(key, self._base) from error
        except PermissionError as error:
            raise RequestError(
                f"{self._path(key)} may not be read by this user",
                hint="check the owner and the mode of the file and of its folder",
            ) from error
        held: int | PartedBlob = fd
        if key.startswith(_PACKS) and stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            try:
                held = PartedBlob(self._path(key))
            except FileNotFoundError as error:
                raise BlobMissingError(key, self._base) from error
        self._open[key] = held
        if len(self._open) > _OPEN_FILES:
            _close(self._open.popitem(last=False)[1])
        return held

    def _copy_in(self, source: Path, target: Path) -> None:
        """Move a file in from another disk."""
        temporary = self.staging() / temporary_name("blob")
        with open(source, "rb") as read, open(temporary, "xb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            os.fsync(write.fileno())
        os.replace(temporary, target)
        source.unlink()

    def _newest(self, folder: str) -> tuple[int, bytes | None]:
        """Return the number and value of a cell's newest file, or (0, None)."""
        for _ in range(100):
            numbers = _numbers(folder)
            if not numbers:
                return 0, None
            newest = max(numbers)
            body = _read_cell_file(os.path.join(folder, str(newest)))
            if body is not None:
                return newest, body[DIGEST:]
            # It was removed between the listing and the read: the cell has moved on.
        raise IntegrityError(f"the cell {folder} cannot be read: its newest file is not there")


def _pread(fd: int | PartedBlob, size: int, offset: int) -> bytes:
    return os.pread(fd, size, offset) if isinstance(fd, int) else fd.read(offset, size)


def _close(fd: int | PartedBlob) -> None:
    if isinstance(fd, int):
        os.close(fd)
    else:
        fd.close()


def _exists(path: str) -> bool:
    """Whether there is something; a disk that does not answer is an error, and not a file that is missing."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in PASSING:
            raise
        return False
    return True


def _told(error: OSError) -> None:
    """Raise what a listing would leave out when a disk does not answer."""
    if error.errno in PASSING:
        raise error


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdecimal()]
    except FileNotFoundError:
        return []


def _read_cell_file(path: str) -> bytes | None:
    """Return digest of the value before + value, or None where there is no such file."""
    for candidate in (path, os.path.join(path, "value")):
        try:
            with open(candidate, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except IsADirectoryError:
            continue
        return unpack_cell(content, path)
    return None


def _claim(folder: str, number: int, content: bytes) -> bool:
    """Create the cell file of this number with this content; return False when another process has."""
    target = os.path.join(folder, str(number))
    temporary = os.path.join(folder, temporary_name("cell"))
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, target)
        return True
    except FileExistsError:
        return os.stat(temporary).st_nlink > 1  # a client of NFS that asks twice hears of its own link (open(2))
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _claim_by_rename(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _claim_by_rename(temporary: str, target: str) -> bool:
    """Do the same on a file system without hard links: a folder cannot be renamed onto one that is not empty."""
    folder = temporary + ".d"
    os.mkdir(folder)
    os.rename(temporary, os.path.join(folder, "value"))
    sync_directory(folder)
    try:
        os.rename(folder, target)
        return True
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
            return False
        raise


def _remove_cell_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(path, ignore_errors=True)
