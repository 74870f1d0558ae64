"""What one request at the near end waits for: its answers, room to send more, or the bytes that it asked for."""

from __future__ import annotations

import io
import threading
from collections import deque
from typing import Any

from dsvc.remotes.wire.frames import ProtocolError, field

_STEP = 64 << 20  # bytes for which room is made at once when the far end says how many will come


class Pending:
    """One request under way."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._changed = threading.Condition(threading.Lock())
        self._answers: deque[dict[str, Any]] = deque()
        self._error: Exception | None = None
        self._credit = 0

    @property
    def failed(self) -> bool:
        """Whether an error ended it."""
        return self._error is not None

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer.

        Raises:
            DsvcError: what the far end raised. ConnectionCutError: when it is gone.
        """
        with self._changed:
            while not self._answers:
                if self._error is not None:
                    raise self._error
                self._changed.wait()
            return self._answers.popleft()

    def credit(self, most: int) -> int:
        """Wait until bytes may be sent, and take at most `most` of them; 0 when there is an answer already."""
        with self._changed:
            while not self._credit:
                if self._error is not None:
                    raise self._error
                if self._answers:
                    return 0
                self._changed.wait()
            taken = min(most, self._credit)
            self._credit -= taken
            return taken

    def take_answer(self, fields: dict[str, Any]) -> None:
        """Called by the thread that reads, as the following ones are."""
        with self._changed:
            self._answers.append(fields)
            self._changed.notify_all()

    def take_error(self, error: Exception) -> None:
        """The request failed."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def take_credit(self, count: int) -> None:
        """So many more bytes may be sent."""
        with self._changed:
            self._credit += count
            self._changed.notify_all()

    def room(self, count: int) -> memoryview:
        """Where the next `count` bytes of data go."""
        del count
        raise ProtocolError("the other end sends data that nobody asked for")

    def filled(self, count: int) -> None:
        """So many bytes have been put there."""


class PendingBytes(Pending):
    """A request that is answered by data, which is read straight to where it stays."""

    def __init__(self, number: int, length: int | None) -> None:
        super().__init__(number)
        self._length = length
        self._size: int | None = None
        self._have = 0
        # BytesIO gives its bytes away without copying them when it holds exactly as many as it has room for.
        self._file = io.BytesIO()
        self._made = 0

    def take_answer(self, fields: dict[str, Any]) -> None:
        """See `Pending.take_answer`."""
        size = field(fields, "size", int)
        if self._size is not None or size < 0 or (self._length is not None and size != self._length):
            raise ProtocolError("the other end announces another number of bytes than was asked for")
        self._size = size
        self.filled(0)

    def room(self, count: int) -> memoryview:
        """See `Pending.room`."""
        if self._size is None or self._have + count > self._size:
            raise ProtocolError("the other end sends more bytes than it announced")
        while self._made < self._have + count:
            self._made = min(self._size, self._made + _STEP)
            self._file.seek(self._made - 1)
            self._file.write(b"\0")
        return self._file.getbuffer()[self._have : self._have + count]

    def filled(self, count: int) -> None:
        """See `Pending.filled`."""
        self._have += count
        if self._have == self._size:
            super().take_answer({})

    def data(self) -> bytes:
        """Wait for all bytes; see `answer`."""
        self.answer()
        return self._file.getvalue()
