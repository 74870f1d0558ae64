"""What decodes the frames of a large file that is read as a whole: processes, once there are many floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.objects.encodings import LEVEL, PLANES
from dsvc.objects.late_processes import LateProcesses

if TYPE_CHECKING:
    from dsvc.objects.packindex import Frame


class Decoders:
    """Decodes for any number of threads."""

    def __init__(self, *, capacity: int) -> None:
        """`capacity` is how many bytes are decoded at once, at most."""
        self._late = LateProcesses(capacity=capacity, level=LEVEL)

    def decode_run(self, frames: Sequence[Frame], stored: bytes | memoryview) -> bytes | None:
        """Return the plain bytes of frames without bases, whose stored ones lie behind each other; None: not done here.

        They are compared with nothing.
        """
        grouped = sum(frame.plain for frame in frames if frame.encoding in PLANES)
        self._late.meet(grouped)
        processes = self._late.get() if grouped else None
        return processes.decode_run(frames, stored) if processes is not None else None

    def close(self) -> None:
        """End the processes. No thread decodes any more."""
        self._late.close()
