"""Calls to a place that need not wait for each other: made at once where each takes a round trip, else in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # a command that goes nowhere starts without it
    from concurrent.futures import Future, ThreadPoolExecutor

_THREADS = 8

T = TypeVar("T")


class RoundTrips:
    """The calls that one store has begun; `far` says that each takes a round trip. One thread begins and settles."""

    def __init__(self) -> None:
        self.far = False
        self._pool: ThreadPoolExecutor | None = None
        self._begun: list[Future[object]] = []

    def begin(self, work: Callable[[], object]) -> None:
        """Do something until `settle`, or now where nothing is far.

        Raises:
            What `work` raises, where it is done now.
        """
        if self.far:
            self._begun.append(self._threads().submit(work))
        else:
            work()

    def settle(self) -> None:
        """Wait for all that was begun.

        Raises:
            What the first of them raised.
        """
        begun, self._begun = self._begun, []
        failures = [future.exception() for future in begun]
        for failure in failures:
            if failure is not None:
                raise failure

    def drain(self) -> None:
        """Wait for all that was begun, whatever comes of it."""
        begun, self._begun = self._begun, []
        for future in begun:
            future.exception()

    def each(self, work: Callable[[T], object], items: Iterable[T]) -> None:
        """Do something with each item, and wait.

        Raises:
            What `work` raises first.
        """
        wanted = list(items)
        for _ in self._threads().map(work, wanted) if self.far and len(wanted) > 1 else map(work, wanted):
            pass

    def close(self) -> None:
        """Wait for everything and end the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="dsvc-store")
        return self._pool
