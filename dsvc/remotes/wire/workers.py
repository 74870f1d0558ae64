"""Threads of the far end: quick tasks first, and never all of them busy with large ones."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable

Task = Callable[[], None]

_THREADS = 8
_BULK = 4  # threads that large transfers may take at once
_MOST_WAITING = 256  # quick tasks; then `quick` waits, and with it whoever sends more
_MOST_BYTES = 16 << 20  # that these tasks hold


class Workers:
    """Runs tasks until it is closed. A task handles its own errors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._quick: deque[tuple[Task, int]] = deque()
        self._quick_bytes = 0
        self._bulk: deque[Task] = deque()
        self._bulk_running = 0
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._idle = 0

    def quick(self, task: Task, *, size: int = 0) -> None:
        """Run `task`, which holds `size` bytes, soon; it must not wait for the other end."""
        with self._lock:
            self._room.wait_for(self._has_room)
            self._quick.append((task, size))
            self._quick_bytes += size
            self._wake()

    def bulk(self, task: Task) -> None:
        """Run `task`, one step of a large transfer, behind the steps that already wait."""
        with self._lock:
            self._bulk.append(task)
            self._wake()

    def close(self) -> None:
        """Drop what waits, and wait for what runs."""
        with self._lock:
            self._closed = True
            self._quick.clear()
            self._bulk.clear()
            self._work.notify_all()
            self._room.notify_all()
        for thread in self._threads:
            thread.join()

    def _has_room(self) -> bool:
        return (len(self._quick) < _MOST_WAITING and self._quick_bytes < _MOST_BYTES) or self._closed

    def _wake(self) -> None:
        self._work.notify()
        waiting = len(self._quick) + min(len(self._bulk), _BULK)
        if self._idle < waiting and len(self._threads) < _THREADS and not self._closed:
            thread = threading.Thread(target=self._run, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                while not (task := self._next()):
                    if self._closed:
                        return
                    self._idle += 1
                    self._work.wait()
                    self._idle -= 1
                bulk = task[1]
                self._bulk_running += bulk
            try:
                task[0]()
            finally:
                if bulk:
                    with self._lock:
                        self._bulk_running -= 1

    def _next(self) -> tuple[Task, bool] | None:
        if self._closed:
            return None
        with contextlib.suppress(IndexError):
            task, size = self._quick.popleft()
            self._quick_bytes -= size
            self._room.notify()
            return task, False
        if self._bulk and self._bulk_running < _BULK:
            return self._bulk.popleft(), True
        return None
