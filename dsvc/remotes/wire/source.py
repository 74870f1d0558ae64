"""What is uploaded: bytes in memory or a file, read and hashed piece by piece from where the far end wants to go on."""

from __future__ import annotations

import os
from pathlib import Path

from blake3 import blake3

from dsvc.errors import RequestError
from dsvc.remotes.wire.frames import FRAME, Bytes


class Source:
    """A blob to send; `held` is how much of it the far end had when it was asked last. `close` it."""

    piece = FRAME

    def __init__(self, content: bytes | Path) -> None:
        self._content = content
        self._fd = -1
        self.held = 0
        if isinstance(content, Path):
            self._fd = os.open(content, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self._fd).st_size
            self._buffer = memoryview(bytearray(min(FRAME, self.size)))
        else:
            self.size = len(content)
            self._buffer = memoryview(content)
        self._at = 0
        self._hasher = blake3()

    def hash_to(self, end: int) -> bytes:
        """Go to byte `end` and return the BLAKE3 of everything before."""
        self.restart()
        while self._at < end:
            self.read(min(FRAME, end - self._at))
        return self._hasher.digest()

    def restart(self) -> int:
        """Go back to the beginning; returns 0."""
        self._at = 0
        self._hasher = blake3()
        return 0

    def read(self, count: int) -> Bytes:
        """Return the next `count` bytes, valid until the next call.

        Raises:
            RequestError: when the file became shorter.
        """
        if self._fd < 0:
            piece = self._buffer[self._at : self._at + count]
        else:
            got = os.preadv(self._fd, [self._buffer[:count]], self._at)
            if not got:
                raise RequestError(f"{self._content!s} became shorter while it was sent")
            piece = self._buffer[:got]
        self._at += len(piece)
        self._hasher.update(piece)
        return piece

    def digest(self) -> bytes:
        """Return the BLAKE3 of everything that was read."""
        return self._hasher.digest()

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
