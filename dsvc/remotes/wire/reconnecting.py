"""A connection that is opened anew when it broke, for calls that may be repeated."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from dsvc.errors import RemoteError
from dsvc.remotes.wire.frames import ConnectionCutError

_PROMPT = 5.0  # seconds after which nobody is made to wait for a second attempt
DELAYS = (0.2, 1.0, 3.0, 8.0)  # seconds before each new attempt after a connection broke


class Connection(Protocol):
    """What can be opened anew."""

    @property
    def broken(self) -> bool:
        """Whether nothing can be asked any more."""

    def close(self) -> None:
        """End it; safe to call again."""


_C = TypeVar("_C", bound=Connection)
_T = TypeVar("_T")


class Reconnecting(Generic[_C]):
    """One connection for all threads. A call gives up when it broke once more often than there are `delays`."""

    def __init__(self, connect: Callable[[], _C], *, place: str, delays: Sequence[float] = DELAYS) -> None:
        """`connect` opens one, and raises ConnectionCutError when trying again may help."""
        self._place = place
        self._connect = connect
        self.delays = delays
        self._lock = threading.Lock()
        self._connection: _C | None = None
        self._was_open = False
        self._closed = threading.Event()

    def again(self, call: Callable[[_C], _T]) -> _T:
        """Return what `call` makes of the connection; it is called again when the connection broke meanwhile."""
        failures = 0
        while True:
            connection = self.current()
            try:
                return call(connection)
            except ConnectionCutError as error:
                failures = self.pause(connection, failures, error)

    def first(self) -> None:
        """Connect now; a connection that breaks while it is made is tried once more, but not a host that is silent."""
        begun = time.monotonic()
        try:
            self.current()
        except ConnectionCutError:
            if not self.delays or time.monotonic() - begun > _PROMPT:
                raise
            self._wait(self.delays[0])
            self.current()

    def current(self) -> _C:
        """Return the connection, or open one; patiently, when there has been one."""
        with self._lock:
            for delay in (*(self.delays if self._was_open else ()), None):
                if self._closed.is_set():
                    raise RemoteError(f"{self._place} was closed")
                if self._connection is not None and not self._connection.broken:
                    return self._connection
                try:
                    self._connection = self._connect()
                    self._was_open = True
                    return self._connection
                except ConnectionCutError:
                    if delay is None:
                        raise
                    self._wait(delay)
            raise AssertionError

    def pause(self, connection: _C, failures: int, error: ConnectionCutError) -> int:
        """Give a broken connection up and wait a little; returns one failure more, or raises `error` after too many."""
        with self._lock:
            if self._connection is connection:
                self._connection = None
        connection.close()
        if failures >= len(self.delays) or self._closed.is_set():
            raise error
        self._wait(self.delays[failures])
        return failures + 1

    def close(self) -> None:
        """End the connection for good."""
        self._closed.set()
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _wait(self, delay: float) -> None:
        self._closed.wait(delay * random.uniform(0.5, 1.5))  # noqa: S311  # two hundred machines come back at once
