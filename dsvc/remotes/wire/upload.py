"""One large blob on its way in, at the far end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from dsvc.remotes.wire.errors import RemoteFullError, encode_error
from dsvc.remotes.wire.frames import ANSWER, CREDIT, ERROR, WINDOW, FrameWriter, ProtocolError, pack_fields
from dsvc.remotes.wire.partial_files import PartialFile
from dsvc.remotes.wire.workers import Workers
from dsvc.storage.backend import Backend, BlobDamagedError

_SYNCED = 32 << 20  # bytes written between two syncs, so that the last one has little to wait for


class Upload:
    """Takes the bytes of a blob as they come, writes them beside what came earlier, and puts the blob when it is whole.

    `receive`, `begin` and `finish` are called by the thread that reads frames and never wait for the disk.
    """

    def __init__(self, key: str, size: int, *, request: int, backend: Backend, staging: Path) -> None:
        """Find out how much is here already.

        Raises:
            RemoteFullError: when the disk has no room for the rest.
        """
        self._key, self._size, self._request = key, size, request
        self._backend = backend
        if size < 0:
            raise ProtocolError("the other end sends a blob with less than no bytes")
        self._file = PartialFile(staging, key, limit=size)
        self.held, self.digest = self._file.size, self._file.hasher.digest()
        state = os.statvfs(staging)
        if state.f_bavail * state.f_frsize < size - self.held:
            self._keep()
            raise RemoteFullError(
                f"the disk has no room for {size - self.held:,} more bytes",
                hint="make room there and run the command again; what has arrived is kept",
            )
        self._lock = threading.Lock()
        self._pieces: deque[bytearray] = deque()
        self._waiting = 0  # bytes in _pieces
        self._consumed = 0  # bytes for which no credit was sent yet
        self._unsynced = 0
        self._announced = 0
        self._begun = self._running = self._syncing = False
        self._end: bytes | None = None
        self._over: Callable[[], None] = lambda: None
        self.done = False

    def connect(self, writer: FrameWriter, workers: Workers, *, over: Callable[[], None]) -> None:
        """Say where answers go, who does the work, and what to call at the end."""
        self._writer, self._workers, self._over = writer, workers, over

    def begin(self, at: int) -> None:
        """The near end sends from byte `at` on: all, or what is not here yet.

        Raises:
            ProtocolError: for any other offset.
        """
        if self._begun or at not in {0, self.held}:
            raise ProtocolError(f"an upload cannot begin at byte {at}")
        self._begun = True
        if at != self.held:
            self._file.restart()
        self._announced = at

    def receive(self, data: bytearray) -> None:
        """Take the next bytes.

        Raises:
            ProtocolError: when they are more than was announced or than there is room for.
        """
        if self.done:
            return  # it failed; the near end did not know yet
        with self._lock:
            self._announced += len(data)
            self._waiting += len(data)
            ready = self._begun and self._end is None
            if not ready or self._announced > self._size or self._waiting > WINDOW:
                raise ProtocolError("the other end sends more bytes than it may")
            self._pieces.append(data)
            self._start()

    def finish(self, digest: bytes) -> None:
        """Everything was sent; `digest` is the BLAKE3 of the whole blob."""
        with self._lock:
            self._end = digest
            self._start()

    def stop(self) -> None:
        """Keep what has arrived for another time; the worker that is at it, if any, closes the file."""
        with self._lock:
            self._pieces.clear()
            if self.done:
                return
            self.done = True
            if not self._running:
                self._keep()

    def abandon(self) -> None:
        """Do the same when no worker runs any more."""
        self._running = False
        self.stop()

    def _keep(self) -> None:
        """Close the file for another time, unless there is nothing in it."""
        if not self._file.size:
            self._file.remove()
        self._file.close()

    def _start(self) -> None:
        if not self._running and not self.done:
            self._running = True
            self._workers.bulk(self._run)

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    if self.done:
                        self._keep()
                        return
                    if not self._pieces:
                        if self._end is None:
                            self._running = False
                            return
                        break
                    piece = self._pieces.popleft()
                self._file.append(piece)
                self._account(len(piece))
            self._put(self._end)
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def _account(self, count: int) -> None:
        with self._lock:
            self._waiting -= count
        self._consumed += count
        if self._consumed >= WINDOW // 4:
            self._writer.send(CREDIT, self._request, pack_fields({"bytes": self._consumed}))
            self._consumed = 0
        self._unsynced += count
        if self._unsynced >= _SYNCED and not self._syncing:
            self._unsynced = 0
            self._syncing = True
            self._workers.bulk(self._sync)

    def _sync(self) -> None:
        with contextlib.suppress(OSError):
            self._file.sync()
        self._syncing = False

    def _put(self, digest: bytes) -> None:
        if self._file.size != self._size or self._file.hasher.digest() != digest:
            self._file.remove()
            raise BlobDamagedError(f"what arrived of {self._key} is not what was sent", hint="run the command again")
        if self._backend.missing([self._key]):
            self._backend.put(self._key, self._file.finish())
        else:
            self._file.remove()
        self._end_with(ANSWER, {})

    def _fail(self, error: Exception) -> None:
        with contextlib.suppress(Exception):  # nobody may be there any more
            self._end_with(ERROR, encode_error(error))

    def _end_with(self, kind: int, fields: dict[str, object]) -> None:
        with self._lock:
            self.done = True
            self._pieces.clear()
        self._file.close()
        self._over()
        self._writer.send(kind, self._request, pack_fields(fields))
