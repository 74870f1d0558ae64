"""When processes that encode and decode are worth their start: once a command has met many floats."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # most commands never start one
    from dsvc.objects.codec_process import CodecProcesses

ALONE_BYTES = 16 << 20  # plain bytes of arrays that threads take by themselves


class LateProcesses:
    """Gives processes out once enough was met. Threads share it."""

    def __init__(self, *, capacity: int, level: int) -> None:
        """`capacity` is how many bytes go in or come out at once, at most."""
        self._capacity, self._level = capacity, level
        self._lock = threading.Lock()
        self._met = 0
        self._processes: CodecProcesses | None = None

    def meet(self, size: int) -> None:
        """Take note of so many plain bytes of arrays."""
        with self._lock:
            self._met += size

    def get(self) -> CodecProcesses | None:
        """Return the processes; None as long as little was met."""
        with self._lock:
            if self._processes is None and self._met >= ALONE_BYTES:
                from dsvc.objects.codec_process import CodecProcesses

                self._processes = CodecProcesses(capacity=self._capacity, level=self._level)
            return self._processes

    def close(self) -> None:
        """End the processes while no thread uses them; what comes later may start them again."""
        if self._processes is not None:
            self._processes.close()
            self._processes = None
