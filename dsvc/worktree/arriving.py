"""Large content that comes from a source, as files: a checkout moves them to their places, and what was killed goes on.

While an object arrives, its first part lies in a file named by the object's version. Beside it lines of a journal say,
every so often, how long that part was and what its BLAKE3 was, so that nothing of the file is believed before it
was read and found to be what came: after a crash of the machine it may hold anything. docs/formats/private.md.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

from blake3 import blake3

from dsvc.atomic import temporary_name, write_all

ARRIVING: Final = "arriving"  # the folder of a worktree for all that
LEAST: Final = 8 << 20  # bytes of an object that is worth a file; a smaller one comes in a moment
_NOTE_EVERY = 4 << 20
_WAITING = 4  # pieces that wait for the disk
_SYNC_EVERY = 64 << 20
_READ = 4 << 20
_JOURNAL = ".journal"
_LOCK = "lock"
_LINE = re.compile(rb"([0-9]{1,19}) ([0-9a-f]{64})\n")


class Arrival:
    """One object on its way; `held` bytes of it were here when it was begun. One thread calls it.

    A disk that refuses makes it useless and is no error: the content goes into the store all the same.
    """

    def __init__(self, path: Path, fd: int, held: int) -> None:
        self.path, self.held = path, held
        self.error: OSError | None = None
        """Why the file cannot be used."""
        self.will_be_synced = False
        """Whether somebody is going to make it durable."""
        self._fd, self._size = fd, held
        self._journal = -1
        self._noted = held
        self._waiting: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="dsvc-arriving")
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="dsvc-arriving-sync")
        self._synced = held
        self._syncing: Future[None] | None = None

    def kept(self) -> Iterator[bytes]:
        """Yield the bytes that were here already."""
        at = 0
        while at < self.held:
            piece = os.pread(self._fd, min(_READ, self.held - at), at)
            if not piece:
                raise OSError(errno.EIO, "the file was cut off meanwhile", os.fspath(self.path))
            at += len(piece)
            yield piece

    def restart(self) -> None:
        """Forget what was here: the content will be given from its start."""
        self.held = self._size = self._noted = 0
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        _journal_of(self.path).unlink(missing_ok=True)

    def write(self, piece: bytes | memoryview) -> None:
        """Take what comes next; it is written while the caller goes on, and must not change."""
        self._size += len(piece)
        self._do(lambda: write_all(self._fd, piece))
        begins = self._size - self._synced > _SYNC_EVERY
        if self.will_be_synced and begins and (self._syncing is None or self._syncing.done()):
            # The disk begins to write while there is still something to receive.
            self._synced = self._size
            self._syncing = self._beside.submit(os.fdatasync, self._fd)

    def note(self, size: int, digest: bytes) -> None:
        """Note what the BLAKE3 of the first `size` bytes is, which were given already; not each time."""
        if size - self._noted >= _NOTE_EVERY:
            self._noted = size
            self._do(lambda: self._write_line(size, digest))

    def settle(self) -> None:
        """Wait until all that was given is in the file, or `error` says why it is not."""
        while self._waiting:
            self._settle()

    def finish(self) -> int:
        """Wait for the disk and let the file go; return how long it is now, or -1 where the disk refused."""
        self.settle()
        self._pool.shutdown()
        self._beside.shutdown()
        for fd in (self._journal, self._fd):
            if fd >= 0:
                os.close(fd)
        self._journal = self._fd = -1
        return self._size if self.error is None else -1

    def _do(self, work: Callable[[], None]) -> None:
        if self.error is None:
            self._waiting.append(self._pool.submit(work))
        while len(self._waiting) > _WAITING or (self._waiting and self._waiting[0].done()):
            self._settle()

    def _settle(self) -> None:
        try:
            self._waiting.popleft().result()
        except OSError as error:
            self.error = self.error or error

    def _write_line(self, size: int, digest: bytes) -> None:
        if self._journal < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._journal = os.open(_journal_of(self.path), flags, 0o666)
        os.write(self._journal, b"%d %s\n" % (size, digest.hex().encode()))


class Arriving:
    """The files of one command, in a folder of its own below `folder`: each the first part of a version of an object.

    A lock says that the command runs. What one that was killed left belongs to whoever asks for that version next.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: Path | None = None
        self._lock = -1
        self._paths: set[Path] = set()
        self._whole: dict[bytes, list[Path]] = {}
        self._taken: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Remove what nobody took. An interrupt leaves it, as a kill does."""
        if self._own is None:
            return
        if kind is None or issubclass(kind, Exception) or not self._paths:
            shutil.rmtree(self._own, ignore_errors=True)
        os.close(self._lock)
        self._own = None
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def begin(self, key: str | None) -> Arrival | None:
        """Return the file for a version of an object, with what came of it before; None where the disk refuses.

        The key is that of the object's address, a dot, and that of the version: what came of its other versions goes.
        Without a key nothing will be found later.
        """
        try:
            own = self._folder()
            path = own / (key or temporary_name("arriving"))
            if key is not None and path not in self._paths:
                self._take_over(key, path)
            elif key is not None:  # the same object once more
                path = own / temporary_name("arriving")
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            self._paths.add(path)
            held = _proven(fd, path)
            os.ftruncate(fd, held)
            os.lseek(fd, held, os.SEEK_SET)
            return Arrival(path, fd, held)
        except OSError:
            return None

    def came(self, arrival: Arrival, file_id: bytes, size: int) -> None:
        """Take note that all of an object came and was stored: its file may be claimed, unless the store took it."""
        if arrival.finish() != size:
            return
        if os.stat(arrival.path).st_nlink == 1:
            self._whole.setdefault(file_id, []).append(arrival.path)
        else:
            os.chmod(arrival.path, 0o444)  # nobody writes to it from now on
            self._taken.append(arrival.path)

    def part(self) -> None:
        """Remove the names here of files that the store took: before a checkout, which notes their times."""
        for path in self._taken:
            path.unlink(missing_ok=True)
        self._taken.clear()

    def claim(self, file_id: bytes) -> Path | None:
        """Return a file with this content, once: it is the caller's from then on."""
        paths = self._whole.get(file_id)
        return paths.pop() if paths else None

    def _folder(self) -> Path:
        if self._own is None:
            own = self.folder / temporary_name("import")
            own.mkdir(parents=True)
            lock = os.open(own / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._own, self._lock = own, lock
        return self._own

    def _take_over(self, key: str, path: Path) -> None:
        address = key.partition(".")[0] + "."
        for folder in _dead(self.folder, but=path.parent):
            for name in os.listdir(folder):
                if name in (key, key + _JOURNAL):
                    os.rename(folder / name, path.with_name(name))
                elif name.startswith(address):
                    os.unlink(folder / name)
            if set(os.listdir(folder)) <= {_LOCK}:
                shutil.rmtree(folder, ignore_errors=True)


def remove_old(folder: Path, *, before: int, dry_run: bool = False) -> tuple[int, int]:
    """Remove what commands left that were killed, to which nobody wrote since `before` (microseconds since 1970 UTC).

    Returns how many files these were, and their bytes.
    """
    count = size = 0
    for left in _dead(folder):
        found = [os.stat(left / name) for name in os.listdir(left) if name != _LOCK]
        if any(each.st_mtime_ns // 1000 >= before for each in found):
            continue
        count, size = count + len(found), size + sum(each.st_size for each in found)
        if not dry_run:
            shutil.rmtree(left, ignore_errors=True)
    return count, size


def _dead(folder: Path, *, but: Path | None = None) -> Iterator[Path]:
    """Yield the folders of commands that run no more; each is locked until the next is asked for."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        if but is not None and name == but.name:
            continue
        try:
            lock = os.open(folder / name / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder / name
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def _journal_of(path: Path) -> Path:
    return path.with_name(path.name + _JOURNAL)


def _proven(fd: int, path: Path) -> int:
    """Return how long the first part of a file is that is what its journal says; the journal ends there, too."""
    try:
        lines = _journal_of(path).read_bytes()
    except OSError:
        return 0
    hasher, at, proven, end = blake3(), 0, 0, 0
    while (found := _LINE.match(lines, end)) is not None:
        size = int(found[1])
        while at < size and (piece := os.pread(fd, min(_READ, size - at), at)):
            hasher.update(piece)
            at += len(piece)
        if at != size or hasher.digest() != bytes.fromhex(found[2].decode()):
            break
        proven, end = size, found.end()
    os.truncate(_journal_of(path), end)
    return proven
