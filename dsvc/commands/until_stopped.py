"""Commands that go on until somebody ends them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def until_stopped(*, once: bool = False) -> Iterator[threading.Event]:
    """Let the signals that end a program be a wish that it ends after what it does at the moment.

    With `once` the second one ends it at once.
    """
    stopped = threading.Event()

    def stop(*_: object) -> None:
        if once and stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
