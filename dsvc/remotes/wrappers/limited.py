"""A limit for the bytes a second that go to a place and come from it, and a backend that keeps to it.

Places over a network are limited while bytes are on their way: they pace what they send and read piece by piece. What
is behind a folder is not known, so `LimitedBackend` copies and reads it piece by piece.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsvc.atomic import temporary_name
from dsvc.config.keys import Value
from dsvc.config.values import as_size, as_text
from dsvc.errors import UsageError
from dsvc.storage.backend import Backend, BlobDamagedError
from dsvc.storage.passing import PassingBackend

OPTION = "limitRate"  # of a remote
_BURST = 0.2  # seconds' worth of bytes that may pass at once after a pause
_PIECES = 8  # a second
_SMALLEST, _LARGEST = 4 << 10, 256 << 10  # bytes of a piece
_NAP = 0.2  # seconds between two looks whether anybody still waits


class BadRateError(UsageError):
    """A rate that is no number of bytes."""


def parse_rate(value: Value) -> int | None:
    """Return the bytes a second that `2M`, `500k` or a number say; None for 0, which is no limit.

    Raises:
        BadRateError: when it is none.
    """
    rate = as_size(value)
    if rate is None:
        raise BadRateError(f"{as_text(value)!r} is no rate", hint="bytes a second, such as 500k or 2M; 0 is no limit")
    return rate or None


class Pace:
    """Lets `rate` bytes a second through, for all threads together; without a rate all at once."""

    def __init__(self, rate: int | None) -> None:
        self.rate = rate
        self.piece = _LARGEST if rate is None else min(_LARGEST, max(_SMALLEST, rate // _PIECES))
        self._due = 0.0
        self._lock = threading.Lock()

    def take(self, size: int, *, over: Callable[[], bool] = lambda: False) -> None:
        """Wait until `size` more bytes may pass, or until `over` says that nobody wants them any more."""
        if self.rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now - _BURST) + size / self.rate
            due = self._due
        while (wait := due - time.monotonic()) > 0 and not over():
            time.sleep(min(wait, _NAP))


class Limits:
    """A limit each way. The two know nothing of each other."""

    def __init__(self, rate: int | None = None) -> None:
        self.up = Pace(rate)
        self.down = Pace(rate)

    @property
    def any(self) -> bool:
        """Whether there is a limit."""
        return self.up.rate is not None


class PacedBody:
    """What a client sends, handed out piece by piece as `pace` lets it through; seekable as `body` is."""

    def __init__(self, body: Any, pace: Pace) -> None:
        self._body = body
        self._pace = pace
        self._held = memoryview(body) if isinstance(body, bytes | bytearray) else memoryview(b"")
        self._readable = not isinstance(body, bytes | bytearray)
        self._at = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, at most a piece; b"" at the end. Larger pieces cost less, so `size` is no bound."""
        del size
        if not self._held and self._readable:
            self._held = memoryview(self._body.read(self._pace.piece))
        piece = bytes(self._held[: self._pace.piece])
        self._held = self._held[len(piece) :]
        self._at += len(piece)
        if piece:
            self._pace.take(len(piece))
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; only to the beginning where the body is bytes."""
        if self._readable:
            self._held = memoryview(b"")
            self._at = self._body.seek(offset, whence)
        elif (offset, whence) == (0, os.SEEK_SET):
            self._held, self._at = memoryview(self._body), 0
        return self._at

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._at


class LimitedBackend(PassingBackend):
    """Another backend, at a limited rate; `inner.staging()`, where it has that, is a folder on the place's disk."""

    def __init__(self, inner: Backend, limits: Limits) -> None:
        super().__init__(inner)
        self._limits = limits

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`; read piece by piece where the length is known, else as a whole and waited for."""
        pace = self._limits.down
        if length is None:
            data = self.inner.get(key, offset=offset)
            for start in range(0, len(data), pace.piece):
                pace.take(min(pace.piece, len(data) - start))
            return data
        if length <= pace.piece:
            pace.take(max(length, 0))
            return self.inner.get(key, offset=offset, length=length)
        pieces = []
        for start in range(0, length, pace.piece):
            size = min(pace.piece, length - start)
            pace.take(size)
            piece = self.inner.get(key, offset=offset + start, length=size)
            if len(piece) != size:
                raise BlobDamagedError(f"{key} ends before byte {offset + start + size}")
            pieces.append(piece)
        return b"".join(pieces)

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`; a file is copied to the disk of the place piece by piece, and then put there."""
        pace = self._limits.up
        staging = getattr(self.inner, "staging", None)
        if isinstance(source, Path) and staging is not None:
            copy: Path = staging() / temporary_name("limited")
            try:
                with open(source, "rb") as read, open(copy, "xb") as write:
                    while piece := read.read(pace.piece):
                        pace.take(len(piece))
                        write.write(piece)
                self.inner.put(key, copy)
            finally:
                copy.unlink(missing_ok=True)
            source.unlink()
            return
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        for start in range(0, size, pace.piece):
            pace.take(min(pace.piece, size - start))
        self.inner.put(key, source)
