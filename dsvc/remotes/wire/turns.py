"""So many at a time, the others in the order in which they came: a semaphore lets the last one in first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets `count` threads at a time into a block."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._queue: deque[threading.Lock] = deque()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for one's turn, and pass it on at the end of the block."""
        turn = threading.Lock()
        with self._lock:
            turn.acquire()
            if self._free:
                self._free -= 1
                turn.release()
            else:
                self._queue.append(turn)
        try:
            turn.acquire()
        except BaseException:  # an interrupt from the keyboard: nobody may wait for this thread
            with self._lock:
                mine = turn not in self._queue
                if not mine:
                    self._queue.remove(turn)
            if mine:
                self._pass_on()
            raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1
