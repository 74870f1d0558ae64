"""Hash a stream beside the thread that reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from blake3 import blake3

from dsvc.objects.ids import ObjectId, content_id

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


Read = Callable[[int], bytes | memoryview]
"""Returns at most so many bytes that come next, nothing at the end only."""
Note = Callable[[int, bytes], None]
"""Hears how many bytes of a stream came, and what their BLAKE3 is."""


class HashedRead:
    """Hashes a stream in another thread while it is cut; `note` hears of the hash of what came so far."""

    def __init__(self, read: Read, pool: ThreadPoolExecutor, note: Note | None = None) -> None:
        self._read, self._pool, self._note = read, pool, note
        self._hasher, self._length = blake3(), 0
        self._hashing: Future[blake3] | None = None

    def read(self, size: int) -> bytes | memoryview:
        """Return what comes next."""
        data = self._read(size)
        if self._hashing is not None:
            self._hashing.result()
            if self._note is not None:
                self._note(self._length, self._hasher.digest())
        self._hashing = self._pool.submit(self._hasher.update, data) if data else None
        self._length += len(data)
        return data

    def finish(self) -> tuple[ObjectId, int]:
        """Return the id of all that was read, and its length."""
        if self._hashing is not None:
            self._hashing.result()
        return (ObjectId(self._hasher.digest()) if self._length else content_id(b"")), self._length
