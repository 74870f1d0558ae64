"""What decodes the frames of a large file that is read as a whole: processes, once there are many floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.objects.encodings import LEVEL, PLANES
from dsvc.objects.late_processes import LateProcesses

if TYPE_CHECKING:
    from dsvc.objects.codec_process import CodecProcesses, Lent
    from dsvc.objects.packindex import Frame


class Decoders:
    """Decodes for any number of threads."""

    def __init__(self, *, capacity: int) -> None:
        """`capacity` is how many bytes are decoded at once, at most."""
        self._late = LateProcesses(capacity=capacity, level=LEVEL)

    def lease(self) -> Lease:
        """Return what decodes for one reader, until it has read all of it."""
        return Lease(self._late)

    def close(self) -> None:
        """End the processes. No thread decodes any more."""
        self._late.close()


class Lease:
    """Decodes into memory that is used again once the lease ends. One thread has it at a time."""

    def __init__(self, late: LateProcesses) -> None:
        self._late = late
        self._lent: list[tuple[CodecProcesses, Lent]] = []

    def decode_run(self, frames: Sequence[Frame], stored: bytes | memoryview) -> memoryview | None:
        """Return the plain bytes of frames without bases, whose stored ones lie behind each other; None: not done here.

        They are compared with nothing, and valid until the lease ends.
        """
        grouped = sum(frame.plain for frame in frames if frame.encoding in PLANES)
        self._late.meet(grouped)
        processes = self._late.get() if grouped else None
        lent = processes.decode_run(frames, stored) if processes is not None else None
        if processes is None or lent is None:
            return None
        self._lent.append((processes, lent))
        return lent.content

    def end(self) -> None:
        """Give back what was decoded; nobody reads it any more."""
        while self._lent:
            processes, lent = self._lent.pop()
            processes.give_back(lent)
