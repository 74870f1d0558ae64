"""Encode in processes beside this one: an interpreter's threads take turns at all that is not a call of a library.

Pieces of a stream and their frames pass through memory that both processes have; the pipes carry their places. A
process that cannot be started, or dies, costs nothing but time: its work is done here.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Sequence

from dsvc.objects.allocation import keep_freed_memory
from dsvc.objects.encodings import Encoder, Encoding

_COUNT = struct.Struct("=I")  # of pieces in a request
_PIECE = struct.Struct("=QI")  # in a request: offset in the stream, length; in memory they lie behind each other
_FRAME = struct.Struct("=QI")  # in the answer: encoding, length; in memory they lie behind the pieces

_SERVE = "import sys; sys.path[:] = sys.argv[4:]; from {} import serve; serve(*map(int, sys.argv[1:4]))"

Piece = tuple[int, "bytes | memoryview"]


def start(capacity: int, *, level: int) -> EncodingProcess | None:
    """Start a process for runs of up to `capacity` bytes; None where this system has no such processes."""
    if not hasattr(os, "memfd_create") or not sys.executable:
        return None
    try:
        fd = os.memfd_create("dsvc-encode")
        try:
            os.ftruncate(fd, 2 * capacity)
            # Without `site`, and with the paths that are in use here, it starts in 30 ms.
            arguments = [str(fd), str(capacity), str(level), *sys.path]
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SERVE.format(__name__), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=(fd,),
            )
            return EncodingProcess(process, mmap.mmap(fd, 2 * capacity), capacity)
        finally:
            os.close(fd)
    except OSError:
        return None


class EncodingProcess:
    """A process that encodes one run at a time. It ends with this one, however that ends."""

    def __init__(self, process: subprocess.Popen[bytes], memory: mmap.mmap, capacity: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._memory, self._capacity = process, memory, capacity
        self._requests, self._answers = process.stdin.fileno(), process.stdout.fileno()

    def encode_run(self, pieces: Sequence[Piece]) -> list[tuple[Encoding, bytes]] | None:
        """Return the frames of pieces of one stream, each given with its offset there, as `Encoder.encode_run` does.

        None where the process does not answer: it is of no use any more.
        """
        request = bytearray(_COUNT.pack(len(pieces)))
        at = 0
        for offset, data in pieces:
            self._memory[at : at + len(data)] = data
            request += _PIECE.pack(offset, len(data))
            at += len(data)
        try:
            _write(self._requests, request)
            answer = _read(self._answers, _FRAME.size * len(pieces))
        except (OSError, EOFError):
            return None
        frames: list[tuple[Encoding, bytes]] = []
        at = self._capacity
        for encoding, length in _FRAME.iter_unpack(answer):
            frames.append((Encoding(encoding), self._memory[at : at + length]))
            at += length
        return frames

    def close(self) -> None:
        """End it, also in the middle of its work."""
        self._process.kill()
        self._process.communicate()
        self._memory.close()


def serve(fd: int, capacity: int, level: int) -> None:
    """Answer requests on standard input until it ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the key interrupts the command, which ends this
    encoder = Encoder(level=level)
    keep_freed_memory()
    memory = mmap.mmap(fd, 2 * capacity)
    while request := os.read(0, _COUNT.size):
        (count,) = _COUNT.unpack(request)
        _write(1, _answer(encoder, memoryview(memory), capacity, _read(0, _PIECE.size * count)))


def _answer(encoder: Encoder, memory: memoryview, capacity: int, pieces: bytes) -> bytearray:
    run: list[Piece] = []
    at = 0
    for offset, length in _PIECE.iter_unpack(pieces):
        run.append((offset, memory[at : at + length]))
        at += length
    answer = bytearray()
    at = capacity
    for encoding, stored in encoder.encode_run(run):
        memory[at : at + len(stored)] = stored
        at += len(stored)
        answer += _FRAME.pack(encoding, len(stored))
    return answer


def _write(fd: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read(fd: int, size: int) -> bytes:
    """Return exactly so many bytes.

    Raises:
        EOFError: where the other side is gone.
    """
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
