"""Read a large object ahead of who stores it: straight on by one thread, or by several, each a range of it.

One connection to a bucket often gives a fraction of what the line could carry; a web server may know no ranges, and is
read straight on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Final, Protocol

from dsvc.actions.begun import EndedEarlyError
from dsvc.sources.address import parse_source
from dsvc.sources.opening import Sources
from dsvc.sources.reading import Stream
from dsvc.sources.source import UNKNOWN_SIZE, Found

PATIENCE: Final = 0.5  # seconds after which it is looked whether somebody wants an end
_AHEAD = 16  # pieces that wait
_RANGE = 4 << 20  # bytes of a range
_RANGES = 8  # that are read or wait at once
_RANGED = 32 << 20  # bytes of a rest that is worth several connections


class Ahead(Protocol):
    """The pieces of an object, read in other threads."""

    def next(self) -> bytes | memoryview:
        """Return the next piece, nothing at the end.

        Raises:
            What reading it raised. EndedEarlyError: when it is to end.
        """

    def end(self) -> None:
        """Let the threads go; where one waits for a source, it ends by itself later."""


def read_ahead(
    sources: Sources, found: Found, *, start: int, advance: Callable[[int], None], stopped: Callable[[], bool]
) -> Ahead:
    """Begin to read an object from byte `start`; `advance` hears of bytes that came, `stopped` says to end early."""
    told = bool(found.etag or found.version) and found.size != UNKNOWN_SIZE
    if told and found.size - start > _RANGED and parse_source(found.address).is_bucket:
        return _InRanges(sources, found, start=start, advance=advance, stopped=stopped)
    return _StraightOn(sources.stream(found, start=start, advance=advance), stopped)


class _InRanges:
    """Each range is of the version that was found, or an error; they come in their order."""

    def __init__(
        self, sources: Sources, found: Found, *, start: int, advance: Callable[[int], None], stopped: Callable[[], bool]
    ) -> None:
        self._sources, self._found, self._advance, self._stopped = sources, found, advance, stopped
        self._at = start
        self._waiting: deque[Future[bytes | memoryview]] = deque()
        self._pool = ThreadPoolExecutor(_RANGES, thread_name_prefix="dsvc-import-ahead")
        for _ in range(_RANGES):
            self._ask()

    def next(self) -> bytes | memoryview:
        while self._waiting:
            if self._stopped():
                raise EndedEarlyError
            try:
                piece = self._waiting[0].result(timeout=PATIENCE)
            except TimeoutError:
                if self._waiting[0].done():
                    raise
                continue
            self._waiting.popleft()
            self._ask()
            return piece
        return b""

    def end(self) -> None:
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self) -> None:
        if self._at < self._found.size:
            end = min(self._at + _RANGE, self._found.size)
            self._waiting.append(self._pool.submit(self._read, self._at, end))
            self._at = end

    def _read(self, start: int, end: int) -> bytes | memoryview:
        stream = self._sources.stream(self._found, start=start, end=end, advance=self._advance)
        pieces = []
        while piece := stream.piece():
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _StraightOn:
    """One connection."""

    def __init__(self, stream: Stream, stopped: Callable[[], bool]) -> None:
        self._stream, self._stopped = stream, stopped
        self._pieces: Queue[bytes | memoryview | BaseException] = Queue(_AHEAD)
        self._given_up = Event()
        self._ended = False
        self._reader = Thread(target=self._read, name="dsvc-import-ahead", daemon=True)
        self._reader.start()

    def next(self) -> bytes | memoryview:
        while not self._ended:
            if self._stopped():
                raise EndedEarlyError
            try:
                item = self._pieces.get(timeout=PATIENCE)
            except Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            self._ended = not item
            return item
        return b""

    def end(self) -> None:
        self._ended = True
        self._given_up.set()
        self._reader.join(PATIENCE)

    def _read(self) -> None:
        try:
            while (piece := self._stream.piece()) and self._give(piece):
                pass
            self._give(b"")
        except BaseException as error:  # noqa: BLE001  (raised again where it is waited for)
            self._give(error)

    def _give(self, item: bytes | memoryview | BaseException) -> bool:
        while not self._given_up.is_set():
            try:
                self._pieces.put(item, timeout=PATIENCE)
                return True
            except Full:
                continue
        return False
