"""A file of a commit as Python's file objects are: it can be read and sought, and not written."""

from __future__ import annotations

import io
from threading import RLock, get_ident
from typing import TYPE_CHECKING

from dsvc.objects.random_access import OpenContent

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 256 << 10


class RawContent(io.RawIOBase):
    """Reads content as it is asked for."""

    def __init__(self, content: OpenContent, name: str) -> None:
        super().__init__()
        self._content, self.name, self.mode = content, name, "rb"
        self._at = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer, or the beginning of it where the file ends."""
        count = self._content.read_into(self._at, memoryview(buffer).cast("B"))
        self._at += count
        return count

    def readall(self) -> bytes:
        """Return all that is left."""
        data = self._content.read(self._at, self._content.size - self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place; return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        if start + offset < 0:
            raise ValueError(f"there is nothing before the file: {start + offset}")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Return the place that is read next."""
        return self._at


class ContentFile(io.BufferedReader):
    """A file that is open for reading; `size` bytes long.

    Threads may share it: a thread reads from where it went itself, although another went elsewhere in between (DuckDB 2
    goes and reads in two calls, from many threads). A thread that went nowhere reads on from where the file is.
    """

    def __init__(self, content: OpenContent, name: str) -> None:
        super().__init__(RawContent(content, name), BUFFER)
        self.size = content.size
        self._lock = RLock()
        self._last = 0  # the thread that went somewhere last
        self._sought: dict[int, int] = {}  # where threads went that have not read yet

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another place; return it."""
        with self._lock:
            if whence == io.SEEK_CUR:
                self._go_back()
            self._last = get_ident()
            self._sought[self._last] = at = super().seek(offset, whence)
            if at == self.size:  # to ask how long the file is
                del self._sought[self._last]
            return at

    def tell(self) -> int:
        """Return the place that this thread reads next."""
        with self._lock:
            return self._sought.get(get_ident(), super().tell())

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, fewer only where the file ends."""
        with self._lock:
            self._go_back()
            return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes, those that are at hand if there are any."""
        with self._lock:
            self._go_back()
            return super().read1(size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer, or the beginning of it where the file ends."""
        with self._lock:
            self._go_back()
            return super().readinto(buffer)

    def _go_back(self) -> None:
        """Be where this thread went."""
        thread = get_ident()
        at = self._sought.pop(thread, None)
        if at is None:
            self._sought.pop(self._last, None)  # this thread goes on for the one that went there
        elif thread != self._last:
            super().seek(at)
        self._last = thread
