"""Read a source to its end, going on where a connection broke."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import SystemRandom

from dsvc.sources.source import UNKNOWN_SIZE, Found, InterruptedSourceError, Source, SourceChangedError, SourceError

ATTEMPTS = 6  # in a row without a byte
_WAIT = 0.2  # seconds before the first repetition, at most; doubled for each further one


class Stream:
    """The content of one object, or a range of it, as something to read from; it notices when less or more comes."""

    def __init__(
        self,
        source: Source,
        found: Found,
        *,
        start: int = 0,
        end: int | None = None,
        advance: Callable[[int], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._found = source, found
        self._advance, self._sleep = advance, sleep
        self._pieces: Iterator[bytes | memoryview] | None = None
        self._rest = memoryview(b"")
        self._failures = 0
        self.received = start
        self._end = end if end is not None else found.size
        self._range_end = end

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end.

        Raises:
            SourceError: when it cannot be read to its end. SourceChangedError: when it is another content by now.
        """
        parts: list[memoryview] = []
        while size > 0:
            if not self._rest:
                piece = self.piece()
                if not piece:
                    break
                self._rest = memoryview(piece)
            parts.append(self._rest[:size])
            size -= len(parts[-1])
            self._rest = self._rest[len(parts[-1]) :]
        return b"".join(parts)

    def piece(self) -> bytes | memoryview:
        """Return the next piece as it comes, nothing at the end; raises what `read` raises. Mix it not with that."""
        wanted = self._end
        while True:
            if self._range_end is not None and self.received == wanted:
                return b""
            try:
                if self._pieces is None:
                    self._pieces = iter(self._source.read(self._found, self.received, self._range_end))
                piece = next(self._pieces, b"")
                if not piece and self.received < wanted:
                    raise InterruptedSourceError(
                        f"the connection broke after {self.received:,} of {wanted:,} bytes of {self._found.address}",
                        hint="run the same command again",
                    )
            except InterruptedSourceError as error:
                self._failed(error)
                continue
            self.received += len(piece)
            if piece:
                self._failures = 0
            if wanted != UNKNOWN_SIZE and self.received > wanted:
                raise SourceChangedError(
                    f"{self._found.address} is longer than the {wanted:,} bytes that were announced",
                    hint="run the same command again",
                )
            self._advance(len(piece))
            return piece

    def _failed(self, error: InterruptedSourceError) -> None:
        self._pieces = None
        self._failures += 1
        if self._failures >= ATTEMPTS:
            raise SourceError(error.message, hint=error.hint) from error
        if self.received and not self._found.etag and not self._found.version:
            raise SourceError(
                f"{self._found.address} broke off, and its server does not say whether the rest is of the same version",
                hint="run the same command again",
            ) from error
        self._sleep(SystemRandom().random() * _WAIT * 2 ** (self._failures - 1))
