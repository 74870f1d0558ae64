"""A file of a commit as Python's file objects are: it can be read and sought, and not written."""

from __future__ import annotations

import io
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
    """A file that is open for reading; `size` bytes long."""

    def __init__(self, content: OpenContent, name: str) -> None:
        super().__init__(RawContent(content, name), BUFFER)
        self.size = content.size
