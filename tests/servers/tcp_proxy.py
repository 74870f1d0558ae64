"""A proxy for any protocol over TCP, which does to a connection what networks do.

It cuts after so many bytes, delays, throttles, turns a bit of one byte, passes bytes on in another order, or stops
answering; it counts what passes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PIECE = 64 << 10


class TcpProxy:
    """Passes bytes on to a port of this machine. All methods may be called while it works."""

    def __init__(self, port_behind: int) -> None:
        self.port_behind = port_behind
        self.port = 0
        self.up = self.down = 0  # bytes that passed
        self.connections = 0
        self.cuts = 0
        self.log: list[tuple[float, int]] = []  # (time.monotonic(), bytes that had passed up by then)
        self.delay = 0.0  # seconds that each piece waits
        self.rate: float | None = None  # bytes a second each way of each connection
        self._cut_at: int | None = None
        self._corrupt_at: dict[str, int] = {}
        self._reorder_at: dict[str, int] = {}
        self._then: Callable[[], None] | None = None
        self._refusing = False
        self._answering = threading.Event()
        self._answering.set()
        self._lock = threading.RLock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False

    @property
    def total(self) -> int:
        """Bytes that passed both ways."""
        return self.up + self.down

    def cut_after(self, count: int, *, then: Callable[[], None] | None = None, refuse: bool = False) -> None:
        """Cut every connection when `count` more bytes have passed both ways, call `then`, and take no new ones."""
        with self._lock:
            self._cut_at, self._then = self.total + count, then
            self._refuse_later = refuse

    def corrupt_after(self, count: int, *, way: str = "down") -> None:
        """Turn one bit of the byte that comes after `count` more bytes that way."""
        with self._lock:
            self._corrupt_at[way] = (self.up if way == "up" else self.down) + count

    def reorder_after(self, count: int, *, way: str = "down") -> None:
        """Exchange the halves of the piece in which the byte lies that comes after `count` more bytes that way."""
        with self._lock:
            self._reorder_at[way] = (self.up if way == "up" else self.down) + count

    @property
    def harm_is_done(self) -> bool:
        """Whether every byte that was to be altered or moved has passed."""
        return not (self._corrupt_at or self._reorder_at)

    def stop_answering(self) -> None:
        """Keep connections open and pass nothing on."""
        self._answering.clear()

    def refuse(self) -> None:
        """Cut everything and take no new connections, as a machine that is gone."""
        self._refusing = True
        self.cut()

    def heal(self) -> None:
        """Pass everything on again."""
        with self._lock:
            self._cut_at = self._then = None
            self._corrupt_at.clear()
            self._reorder_at.clear()
            self._refusing = False
            self.delay, self.rate = 0.0, None
        self._answering.set()

    def cut(self) -> None:
        """Break all connections that are open, at once and without a word."""
        with self._lock:
            self.cuts += 1
            broken, self._open = self._open, set()
        for connection in broken:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    @contextmanager
    def running(self) -> Iterator[TcpProxy]:
        """Listen on a free port of 127.0.0.1 until the block ends."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            accepting = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            accepting.start()
            try:
                yield self
            finally:
                self._closed = True
                self.heal()
                self.cut()
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.port), 1).close()  # wakes the thread
                accepting.join(5)

    def _accept(self, listener: socket.socket) -> None:
        while not self._closed:
            near, _ = listener.accept()
            if self._refusing or self._closed:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.port_behind), 10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for connection in (near, far):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open |= {near, far}
            threading.Thread(target=self._pass, args=(near, far, "up"), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, "down"), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, way: str) -> None:
        try:
            while data := source.recv(_PIECE):
                if self.delay:
                    time.sleep(self.delay)
                if self.rate is not None:
                    time.sleep(len(data) / self.rate)
                self._answering.wait()
                data, cut = self._judge(data, way)
                target.sendall(data)
                if cut:
                    self._end()
                    return
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(source)
            if way == "down":
                for connection in (source, target):
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
                    connection.close()

    def _judge(self, data: bytes, way: str) -> tuple[bytes, bool]:
        """Count a piece, and return what of it goes on and whether the cut comes then."""
        with self._lock:
            cut = self._cut_at is not None and self.total + len(data) >= self._cut_at
            if cut:
                assert self._cut_at is not None
                data = data[: self._cut_at - self.total]
                self._cut_at = None
            before = self.up if way == "up" else self.down
            at = self._corrupt_at.get(way)
            if at is not None and before <= at < before + len(data):
                changed = bytearray(data)
                changed[at - before] ^= 1
                data = bytes(changed)
                del self._corrupt_at[way]
            at = self._reorder_at.get(way)
            if at is not None and before <= at < before + len(data):
                data = data[len(data) // 2 :] + data[: len(data) // 2]
                del self._reorder_at[way]
            if way == "up":
                self.up += len(data)
                self.log.append((time.monotonic(), self.up))
            else:
                self.down += len(data)
            return data, cut

    def _end(self) -> None:
        with self._lock:
            then, self._then = self._then, None
            self._refusing = self._refuse_later
        self.cut()
        if then is not None:
            then()
