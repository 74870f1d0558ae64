"""Cut points that depend on content only: FastCDC over a stream, in bounded memory.

The parameters below, the gear table and the masks of the algorithm are constants of the format: with
other ones the same file would be cut elsewhere and share nothing with what is stored. Two versions of a
file that differ in one place share every chunk that does not touch that place.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dsvc.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyfastcdc import FastCDC

SMALL_LIMIT = 256 * 1024
"""A file of up to this many bytes is one chunk and is never cut."""

MIN = 16 * 1024
AVERAGE = 64 * 1024
MAX = 256 * 1024
NORMALISATION = 2
SEED = 0

WINDOW = 4 * 1024 * 1024
"""Bytes asked of a stream at once; it has no influence on where the cuts fall."""


class ChunkerMissingError(RequestError):
    """The compiled chunker is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "cannot cut files: pyfastcdc is installed without its compiled extension, and the pure Python "
            "fallback is about a thousand times slower",
            hint="pip install --force-reinstall --only-binary pyfastcdc pyfastcdc",
        )


def cut(read: Callable[[int], bytes | memoryview], *, window: int = WINDOW) -> Iterator[memoryview]:
    """Cut what `read` delivers into chunks of at most `MAX` bytes, in order; together they are the stream.

    `read(n)` returns at most n bytes and nothing at the end only, like the `read` of a raw file; a buffer
    that it returns must not change afterwards. The cuts are those of one pass over the whole content,
    whatever the window and however short the reads. `SMALL_LIMIT` is the caller's business: this cuts.

    A chunk is a view of a buffer that is never written again, so it stays valid as long as it is
    referenced, in any thread; it keeps its whole window in memory for that time. About two windows are
    alive if the caller keeps no chunk.

    Raises ChunkerMissingError, ValueError for a window below `MAX`, and what `read` raises.
    """
    if window < MAX:
        raise ValueError(f"a window must hold the largest chunk: {window} < {MAX}")
    chunker = _compiled_chunker()
    carry = memoryview(b"")
    ended = False
    while not ended:
        block = memoryview(_fill(read, window))
        ended = not block
        start = 0
        if carry:
            # The unfinished chunk goes on in this block. A chunk that starts inside `carry` cannot reach
            # the end of `bridge` unless the stream ended, so only these few bytes are copied.
            bridge = memoryview(bytes(carry) + bytes(block[:MAX]))
            done = 0
            for chunk in _chunks(chunker, bridge):
                yield chunk
                done += len(chunk)
                if done >= len(carry):
                    break
            start = done - len(carry)
            carry = memoryview(b"")
        for chunk in _chunks(chunker, block[start:]):
            start += len(chunk)
            if start == len(block) and not ended:
                carry = chunk  # it ends where the window ends, perhaps not where the content wants it
            else:
                yield chunk


def _fill(read: Callable[[int], bytes | memoryview], size: int) -> bytes | memoryview:
    """Return at most `size` bytes and at least half of them and `MAX`, or all that is left.

    One read that gives as much is not copied.
    """
    least = max(size // 2, MAX)
    first = read(size)
    have = len(first)
    pieces = [first]
    while 0 < have < least:
        piece = read(size - have)
        if not piece:
            break
        pieces.append(piece)
        have += len(piece)
    return first if len(pieces) == 1 else b"".join(pieces)


def _chunks(chunker: FastCDC, buffer: memoryview) -> Iterable[memoryview]:
    return (chunk.data for chunk in chunker.cut_buf(buffer)) if buffer else ()


def _compiled_chunker() -> FastCDC:
    """Return a chunker of the format's parameters; it holds nothing but them and is made for each stream."""
    try:
        # The package falls back to pure Python with no more than a warning; this name has no fallback.
        if "pyfastcdc" not in sys.modules:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the error says it, with the way out
                import pyfastcdc  # noqa: F401
        from pyfastcdc.cy import FastCDC as CompiledFastCDC
    except ImportError as error:
        raise ChunkerMissingError from error
    chunker: FastCDC = CompiledFastCDC(
        AVERAGE, min_size=MIN, max_size=MAX, normalized_chunking=NORMALISATION, seed=SEED
    )
    return chunker
