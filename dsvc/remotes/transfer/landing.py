"""Where bytes of remote packs land: ranges of a blob, fetched in parallel into one sparse file each.

What has arrived is noted beside the file, so that a fetch which was broken off goes on behind it. Nothing here trusts
the bytes: whoever reads them compares every object with its id.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dsvc.errors import RemoteError
from dsvc.storage.backend import Backend, BlobDamagedError, check_key
from dsvc.storage.gathering import Range, Ranges

PART_BYTES = 8 << 20  # of one request
SYNC_BYTES = 32 << 20  # of a blob that stays, between two syncs, so that the last one has little to wait for
GAP_BYTES = 64 << 10  # fetched along rather than asked for twice
_AT_FIRST = 2  # parts at a time on a fast line: the more share it, the later does the first one arrive to be read
_PROMPT, _FAST = 0.02, 64 << 20  # seconds for an answer, and bytes a second of each part, that make a line a fast one
_RANGE = struct.Struct(">QQ")

class LandingStoppedError(RemoteError):
    """What is under way is not wanted any more."""

    def __init__(self) -> None:
        super().__init__("the transfer was stopped")


class Landing:
    """A backend that reads what has landed from disk, and everything else from the remote."""

    def __init__(self, remote: Backend, folder: Path) -> None:
        self._remote = remote
        self._folder = folder
        self._landed: dict[str, Ranges] = {}
        self._expected: dict[str, Ranges] = {}
        self._failure: BaseException | None = None
        self._turns = threading.Semaphore(0)
        self._kept_back = 0  # turns, until somebody waits for a line that is slow
        self._readers = 0  # who wait
        self._changed = threading.Condition()

    def fetch(
        self, wanted: Iterable[tuple[str, Ranges]], *, jobs: int, advance: Callable[[int], None] | None = None
    ) -> None:
        """Bring ranges of blobs here, several at once; those that are here already are not asked for.

        `advance` hears of the bytes of each part that arrived.

        Raises:
            RemoteError, BlobMissingError, BlobDamagedError: what arrived until then stays.
        """
        try:
            arrived = lambda _, size: advance(size) if advance is not None else None  # noqa: E731
            self._bring(self._tasks(wanted), jobs, arrived, at_first=jobs)
        finally:
            self._failure = None

    @contextmanager
    def arriving(
        self,
        wanted: Iterable[tuple[str, Ranges]],
        *,
        jobs: int,
        advance: Callable[[int], None] | None = None,
        staying: Collection[str] = (),
    ) -> Iterator[Callable[[], None]]:
        """Do the same while the block runs: what is read of these ranges meanwhile is waited for.

        The value waits until all is here. So does the end of the block, unless it ends with an error. The blobs
        `staying` are put as they are afterwards: the disk is told to begin with them.

        Raises:
            RemoteError, BlobMissingError, BlobDamagedError: what arrived until then stays. Reading may raise them, too.
        """
        tasks = self._tasks(wanted)
        with (
            ThreadPoolExecutor(1, thread_name_prefix="dsvc-sync") as syncing,
            ThreadPoolExecutor(1, thread_name_prefix="dsvc-arriving") as pool,
        ):
            unsynced = dict.fromkeys(staying, 0)

            def arrived(key: str, size: int) -> None:
                if advance is not None:
                    advance(size)
                if key in unsynced:
                    unsynced[key] += size
                    if unsynced[key] >= SYNC_BYTES:
                        unsynced[key] = 0
                        syncing.submit(_sync, self.path(key))

            arrival = pool.submit(self._bring, tasks, jobs, arrived, at_first=min(jobs, _AT_FIRST))
            try:
                yield arrival.result
            except BaseException:
                self._fail(LandingStoppedError())  # nobody wants the rest
                raise
            arrival.result()

    def _tasks(self, wanted: Iterable[tuple[str, Ranges]]) -> list[tuple[str, int, int]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        tasks: list[tuple[str, int, int]] = []
        for key, ranges in wanted:
            have = self._ranges(key)
            for start, end in _split(coalesced(ranges)):
                if not _covered(have, start, end):
                    tasks.append((key, start, end))
        with self._changed:
            self._failure = None
            self._expected = {}
            for key, start, end in tasks:
                self._expected.setdefault(key, []).append((start, end))
        return tasks

    def _bring(
        self, tasks: list[tuple[str, int, int]], jobs: int, arrived: Callable[[str, int], None], *, at_first: int
    ) -> None:
        if not tasks:
            return
        self._turns, self._kept_back = threading.Semaphore(at_first), jobs - at_first
        futures: list[Future[None]] = [Future() for _ in tasks]
        numbers = iter(range(len(tasks)))

        def work() -> None:
            while True:
                with self._turns:
                    with self._changed:  # whose turn it is takes the next part, so that they arrive in order
                        number = next(numbers, None)
                    if number is None:
                        return
                    try:
                        self._part(*tasks[number])
                    except BaseException as error:  # noqa: BLE001
                        futures[number].set_exception(error)
                    else:
                        futures[number].set_result(None)

        with ThreadPoolExecutor(min(jobs, len(tasks)), thread_name_prefix="dsvc-fetch") as pool:
            for _ in range(min(jobs, len(tasks))):
                pool.submit(work)
            try:
                for (key, start, end), future in zip(tasks, futures, strict=True):
                    future.result()
                    self._note(key, start, end)
                    arrived(key, end - start)
            except BaseException as error:
                first = self._fail(error)
                if first is error:
                    raise
                raise first from error

    def _fail(self, error: BaseException) -> BaseException:
        """Let nobody wait any more; return what was the first to fail."""
        with self._changed:
            self._failure = self._failure or error
            self._expected = {}
            self._changed.notify_all()
            return self._failure

    def covers(self, key: str, start: int, end: int) -> bool:
        """Say whether a range of a blob has landed."""
        return _covered(self._ranges(key), start, end)

    def path(self, key: str) -> Path:
        """Return the file in which a blob's bytes are gathered."""
        return self._folder / (check_key(key).replace("/", ".") + ".part")

    def forget(self, key: str) -> None:
        """Remove what has landed of a blob."""
        self._landed.pop(key, None)
        for path in (self.path(key), self._notes(key)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    # Backend: reading.

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        if length == 0:  # an empty file, of which nothing has to land
            return b""
        if length is not None and self._wait(key, offset, offset + length):
            with open(self.path(key), "rb") as file:
                data = os.pread(file.fileno(), length, offset)
            if len(data) == length:
                return data
        return self._remote.get(key, offset=offset, length=length)

    def _wait(self, key: str, start: int, end: int) -> bool:
        """Say whether a range has landed, when it has or is not on its way."""
        with self._changed:
            while not _covered(self._ranges(key), start, end):
                if not any(a < end and start < b for a, b in self._expected.get(key, ())):
                    if isinstance(self._failure, RemoteError | LandingStoppedError):
                        raise self._failure
                    return False
                self._readers += 1
                self._changed.wait()
                self._readers -= 1
            return True

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        return self._remote.missing(keys)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        return self._remote.list(prefix)

    def put(self, key: str, source: bytes | Path) -> None:
        """Refuse: nothing is written to where one only reads."""
        raise NotImplementedError(key, source)

    def delete(self, key: str) -> None:
        """Refuse: nothing is deleted where one only reads."""
        raise NotImplementedError(key)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self._remote.read_cell(name)

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """Refuse: nothing is changed where one only reads."""
        raise NotImplementedError(name, expected, value)

    def close(self) -> None:
        """Leave the remote open: it belongs to whoever opened it."""

    def _part(self, key: str, start: int, end: int) -> None:
        begun = time.monotonic()
        data = self._ask(key, start, end)
        if time.monotonic() - begun > _PROMPT + (end - start) / _FAST:
            self._widen()
        self._write(key, start, data)

    def _widen(self) -> None:
        """Ask for as many parts at a time as there may be, where somebody waits: two do not fill this line."""
        with self._changed:
            more = self._kept_back if self._readers else 0
            self._kept_back -= more
        if more:
            self._turns.release(more)

    def _ask(self, key: str, start: int, end: int) -> bytes:
        if self._failure is not None:
            raise LandingStoppedError
        try:
            data = self._remote.get(key, offset=start, length=end - start)
            if len(data) != end - start:
                raise BlobDamagedError(f"{key} gave {len(data)} bytes instead of {end - start}")
        except BaseException as error:
            self._fail(error)  # nobody waits for it, and no further part is begun
            raise
        return data

    def _write(self, key: str, start: int, data: bytes) -> None:
        fd = os.open(self.path(key), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            view, at = memoryview(data), start
            while view:
                written = os.pwrite(fd, view, at)
                view, at = view[written:], at + written
        finally:
            os.close(fd)

    def _notes(self, key: str) -> Path:
        return self.path(key).with_suffix(".ranges")

    def _note(self, key: str, start: int, end: int) -> None:
        with open(self._notes(key), "ab") as notes:
            notes.write(_RANGE.pack(start, end))
        with self._changed:
            self._landed[key] = coalesced([*self._ranges(key), (start, end)], gap=0)
            self._expected[key] = [wanted for wanted in self._expected.get(key, ()) if wanted != (start, end)]
            self._changed.notify_all()

    def _ranges(self, key: str) -> Ranges:
        """Return what has landed of a blob; a note may be older than the power cut that lost its bytes."""
        found = self._landed.get(key)
        if found is None:
            found = []
            with contextlib.suppress(FileNotFoundError):
                notes = self._notes(key).read_bytes()
                whole = len(notes) // _RANGE.size * _RANGE.size
                found = coalesced([(a, b) for a, b in _RANGE.iter_unpack(notes[:whole])], gap=0)
                if not self.path(key).exists():
                    found = []
            self._landed[key] = found
        return found


def _sync(path: Path) -> None:
    """Let the disk write what a file has so far; whoever puts the file syncs it, and says so when that fails."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)


def coalesced(ranges: Iterable[Range], *, gap: int = GAP_BYTES) -> Ranges:
    """Return the ranges in order, those that lie at most `gap` bytes apart as one."""
    found: Ranges = []
    for start, end in sorted(ranges):
        if found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _split(ranges: Iterable[Range]) -> Iterator[Range]:
    for start, end in ranges:
        for at in range(start, end, PART_BYTES):
            yield at, min(at + PART_BYTES, end)


def _covered(have: Ranges, start: int, end: int) -> bool:
    return start == end or any(a <= start and end <= b for a, b in have)
