"""What encodes for the threads of an ingest: an encoder for each, and processes once there is much to compress."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsvc.objects.encodings import Encoder, Encoding

if TYPE_CHECKING:
    from dsvc.objects.encoding_process import EncodingProcess

_ALONE_BYTES = 16 << 20  # plain bytes that were compressed before another process pays
_MOST = 4  # processes: what one thread can cut and hash meanwhile keeps no more of them busy


class Encoders:
    """Encodes for any number of threads."""

    def __init__(self, *, level: int, capacity: int) -> None:
        """`capacity` is how many bytes a run has at most."""
        self._level, self._capacity = level, capacity
        self._local = threading.local()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._compressed = 0
        self._pays = False  # whether the last run was compressed; what is stored raw is not worth a copy
        self._started: list[EncodingProcess] = []
        self._free: list[EncodingProcess] = []
        self._most = min(_MOST, os.cpu_count() or 1)

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
        process = self._take()
        frames: Sequence[tuple[Encoding, bytes | memoryview]] | None = None
        if process is not None:
            frames = process.encode_run(pieces)
            with self._lock:
                if frames is not None:
                    self._free.append(process)
                    self._idle.notify()
                else:
                    self._most = 0  # what ended one of them may end the next
        if frames is None:
            frames = list(self.own().encode_run(pieces))
        compressed = sum(
            len(data) for (_, data), (encoding, _) in zip(pieces, frames, strict=True) if encoding != Encoding.RAW
        )
        with self._lock:
            self._pays = compressed > 0
            self._compressed += compressed
        return frames

    def close(self) -> None:
        """End the processes. No thread encodes any more."""
        started, self._started, self._free = self._started, [], []
        for process in started:
            process.close()

    def _take(self) -> EncodingProcess | None:
        """Return a process that has nothing to do, if there is one and it pays."""
        if not self._pays or self._compressed < _ALONE_BYTES or not self._most:
            return None
        with self._idle:
            while not self._free and len(self._started) >= self._most:
                self._idle.wait()
            if self._free:
                return self._free.pop()
            from dsvc.objects.encoding_process import start

            process = start(self._capacity, level=self._level)
            if process is None:
                self._most = 0
            else:
                self._started.append(process)
            return process
