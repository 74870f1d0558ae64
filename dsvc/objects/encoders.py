"""What encodes for the threads of an ingest: an encoder for each, and processes once there are many floats."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.objects.encodings import PLANES, Encoder, Encoding

if TYPE_CHECKING:
    from dsvc.objects.codec_process import CodecProcesses

_ALONE_BYTES = 16 << 20  # plain bytes that were grouped by planes before another process pays


class Encoders:
    """Encodes for any number of threads."""

    def __init__(self, *, level: int, capacity: int) -> None:
        """`capacity` is how many bytes a run has at most."""
        self._level, self._capacity = level, capacity
        self._local = threading.local()
        self._lock = threading.Lock()
        self._grouped = 0
        self._pays = False  # whether the last run was grouped: text is compressed in a library, where threads suffice
        self._processes: CodecProcesses | None = None

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
        processes = self._others()
        frames: Sequence[tuple[Encoding, bytes | memoryview]] | None = None
        if processes is not None:
            frames = processes.encode_run(pieces)
        if frames is None:
            frames = list(self.own().encode_run(pieces))
        grouped = sum(len(data) for (_, data), (encoding, _) in zip(pieces, frames, strict=True) if encoding in PLANES)
        with self._lock:
            self._pays = grouped > 0
            self._grouped += grouped
        return frames

    def close(self) -> None:
        """End the processes while no thread encodes; what comes later may start them again."""
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def _others(self) -> CodecProcesses | None:
        if not self._pays or self._grouped < _ALONE_BYTES:
            return None
        with self._lock:
            if self._processes is None:
                from dsvc.objects.codec_process import CodecProcesses

                self._processes = CodecProcesses(capacity=self._capacity, level=self._level)
            return self._processes
