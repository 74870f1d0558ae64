"""What decodes the frames of a large file that is read as a whole: processes, once there are many floats."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.objects.encodings import LEVEL, PLANES

if TYPE_CHECKING:
    from dsvc.objects.codec_process import CodecProcesses
    from dsvc.objects.packindex import Frame

_ALONE_BYTES = 16 << 20  # plain bytes that were put together from planes before another process pays


class Decoders:
    """Decodes for any number of threads."""

    def __init__(self, *, capacity: int) -> None:
        """`capacity` is how many bytes are decoded at once, at most."""
        self._capacity = capacity
        self._lock = threading.Lock()
        self._grouped = 0
        self._processes: CodecProcesses | None = None

    def decode_run(self, frames: Sequence[Frame], stored: bytes | memoryview) -> bytes | None:
        """Return the plain bytes of frames without bases, whose stored ones lie behind each other; None: not done here.

        They are compared with nothing.
        """
        processes = self._others(frames)
        return processes.decode_run(frames, stored) if processes is not None else None

    def close(self) -> None:
        """End the processes. No thread decodes any more."""
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def _others(self, frames: Sequence[Frame]) -> CodecProcesses | None:
        grouped = sum(frame.plain for frame in frames if frame.encoding in PLANES)
        if not grouped:
            return None
        with self._lock:
            self._grouped += grouped
            if self._grouped < _ALONE_BYTES:
                return None
            if self._processes is None:
                from dsvc.objects.codec_process import CodecProcesses

                self._processes = CodecProcesses(capacity=self._capacity, level=LEVEL)
            return self._processes
