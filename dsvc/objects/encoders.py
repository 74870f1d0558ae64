"""What encodes for the threads of an ingest: an encoder for each, and processes once there are many floats."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from dsvc.objects.encodings import PLANES, Encoder, Encoding
from dsvc.objects.late_processes import LateProcesses


class Encoders:
    """Encodes for any number of threads."""

    def __init__(self, *, level: int, capacity: int) -> None:
        """`capacity` is how many bytes a run has at most."""
        self._level = level
        self._local = threading.local()
        self._late = LateProcesses(capacity=capacity, level=level)
        self._pays = False  # whether the last run was grouped: text is compressed in a library, where threads suffice

    def own(self) -> Encoder:
        """Return the encoder of this thread."""
        encoder: Encoder | None = getattr(self._local, "encoder", None)
        if encoder is None:
            encoder = self._local.encoder = Encoder(level=self._level)
        return encoder

    def encode_run(
        self, pieces: Sequence[tuple[int, bytes | memoryview]]
    ) -> Sequence[tuple[Encoding, bytes | memoryview]]:
        """Encode pieces of one stream, each given with its offset there; see `Encoder.encode_run`."""
        processes = self._late.get() if self._pays else None
        frames: Sequence[tuple[Encoding, bytes | memoryview]] | None = None
        if processes is not None:
            frames = processes.encode_run(pieces)
        if frames is None:
            frames = list(self.own().encode_run(pieces))
        grouped = sum(len(data) for (_, data), (encoding, _) in zip(pieces, frames, strict=True) if encoding in PLANES)
        self._late.meet(grouped)
        self._pays = grouped > 0
        return frames

    def close(self) -> None:
        """End the processes while no thread encodes; what comes later may start them again."""
        self._late.close()
