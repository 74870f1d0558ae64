"""Encode and decode in processes beside this one: an interpreter's threads take turns at all but a library's calls.

What goes in and what comes out passes through memory that both processes have; the pipes carry places and lengths. A
process that cannot be started, or dies, costs nothing but time: its work is done here.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from dsvc.atomic import write_all
from dsvc.errors import FormatTooNewError, IntegrityError
from dsvc.objects.allocation import keep_freed_memory
from dsvc.objects.encodings import Decoder, Encoder, Encoding

if TYPE_CHECKING:
    from dsvc.objects.packindex import Frame

_REQUEST = struct.Struct("=BBI")  # what to do, the slot that takes what was decoded, how many rows follow
_ENCODE, _DECODE = range(2)
_ROW = struct.Struct("=QII")  # of pieces: offset in the stream, length, 0; of frames: encoding, stored and plain length
_FRAME = struct.Struct("=II")  # an answer's row: encoding and length of a frame; of what was decoded: 0 and its length
_SLOTS = 6  # of what was decoded and is still read here: a file's reader lets as much wait as two processes have
_MOST = 4  # processes: what one thread can cut and hash, or hash and write, keeps no more of them busy
_SERVE = "import sys; sys.path[:] = sys.argv[4:]; from {} import serve; serve(*map(int, sys.argv[1:4]))"

Piece = tuple[int, "bytes | memoryview"]


class Lent(NamedTuple):
    """What was decoded, in memory that is used again once it was given back."""

    content: memoryview
    process: CodecProcess
    slot: int


class CodecProcesses:
    """Processes that are started when they are first asked for. Threads share them."""

    def __init__(self, *, capacity: int, level: int) -> None:
        """`capacity` is how many bytes go in or come out at once, at most."""
        self._capacity, self._level = capacity, level
        self._lock = threading.Lock()
        processors = os.cpu_count() or 1
        self._most = min(_MOST, processors) if processors > 1 else 0
        self._started: list[CodecProcess] = []
        self._idle: list[CodecProcess] = []

    def encode_run(self, pieces: Sequence[Piece]) -> list[tuple[Encoding, bytes]] | None:
        """Return the frames of pieces of one stream, each given with its offset there, as `Encoder.encode_run` does.

        None where no process is free: it is to be done here.
        """
        process = self._take()
        if process is None:
            return None
        frames = process.encode_run(pieces)
        self._give_back(process, alive=frames is not None)
        return frames

    def decode_run(self, frames: Sequence[Frame], stored: bytes | memoryview) -> Lent | None:
        """Lend the plain bytes of frames without bases, behind each other; their stored ones lie so, too.

        None where no process is free, one of the frames is damaged, or it is too much: it is to be done here.
        """
        if max(len(stored), sum(frame.plain for frame in frames)) > self._capacity:
            return None
        process = self._take(lending=True)
        if process is None:
            return None
        slot = process.slots.pop()
        length = process.decode_run(frames, stored, slot)
        self._give_back(process, alive=length is not None)
        if not length:
            process.slots.append(slot)
            return None
        return Lent(process.slot(slot, length), process, slot)

    def give_back(self, lent: Lent) -> None:
        """Take back what was lent; nobody reads it any more."""
        lent.content.release()
        with self._lock:
            lent.process.slots.append(lent.slot)

    def close(self) -> None:
        """End the processes. No thread uses them any more."""
        started, self._started, self._idle = self._started, [], []
        for process in started:
            process.close()

    def _take(self, *, lending: bool = False) -> CodecProcess | None:
        with self._lock:
            for at, process in enumerate(self._idle):
                if process.slots or not lending:
                    return self._idle.pop(at)
            if len(self._started) >= self._most:
                return None
            started = _start(self._capacity, level=self._level)
            if started is None:
                self._most = 0
            else:
                self._started.append(started)
            return started

    def _give_back(self, process: CodecProcess, *, alive: bool) -> None:
        with self._lock:
            if alive:
                self._idle.append(process)
            else:
                self._most = 0  # what ended one of them may end the next


class CodecProcess:
    """A process that does one thing at a time. It ends with this one, however that ends."""

    def __init__(self, process: subprocess.Popen[bytes], memory: mmap.mmap, capacity: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._memory, self._capacity = process, memory, capacity
        self._requests, self._answers = process.stdin.fileno(), process.stdout.fileno()
        self.slots = list(range(_SLOTS))  # those that are free

    def encode_run(self, pieces: Sequence[Piece]) -> list[tuple[Encoding, bytes]] | None:
        """Return the frames of pieces; None where the process does not answer: it is of no use any more."""
        at = 0
        for _, data in pieces:
            self._memory[at : at + len(data)] = data
            at += len(data)
        answer = self._ask(_ENCODE, 0, [(offset, len(data), 0) for offset, data in pieces], len(pieces))
        if answer is None:
            return None
        frames: list[tuple[Encoding, bytes]] = []
        at = self._capacity
        for encoding, length in _FRAME.iter_unpack(answer):
            frames.append((Encoding(encoding), self._memory[at : at + length]))
            at += length
        return frames

    def decode_run(self, frames: Sequence[Frame], stored: bytes | memoryview, slot: int) -> int | None:
        """Decode frames into a slot and return how many plain bytes they have, none where one is damaged.

        None where the process does not answer.
        """
        self._memory[: len(stored)] = stored
        answer = self._ask(_DECODE, slot, [(frame.encoding, frame.stored, frame.plain) for frame in frames], 1)
        if answer is None:
            return None
        _, length = _FRAME.unpack(answer)
        return int(length)

    def slot(self, number: int, length: int) -> memoryview:
        """Return what lies in a slot, without a copy of it."""
        start = (1 + number) * self._capacity
        return memoryview(self._memory)[start : start + length]

    def _ask(self, what: int, slot: int, rows: Sequence[tuple[int, int, int]], answers: int) -> bytes | None:
        request = b"".join([_REQUEST.pack(what, slot, len(rows)), *(_ROW.pack(*row) for row in rows)])
        try:
            write_all(self._requests, request)
            return _read(self._answers, _FRAME.size * answers)
        except (OSError, EOFError):
            return None

    def close(self) -> None:
        """End it, also in the middle of its work."""
        self._process.kill()
        self._process.communicate()
        with suppress(BufferError):  # something is still read; the memory goes with the last of it
            self._memory.close()


def _start(capacity: int, *, level: int) -> CodecProcess | None:
    """Start a process; None where this system has no such processes."""
    # A program that has an interpreter inside would take the words below for its own.
    if not hasattr(os, "memfd_create") or not os.path.basename(sys.executable or "").startswith("python"):
        return None
    try:
        fd = os.memfd_create("dsvc-codec")
        try:
            size = (1 + _SLOTS) * capacity
            os.ftruncate(fd, size)
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
            return CodecProcess(process, mmap.mmap(fd, size), capacity)
        finally:
            os.close(fd)
    except OSError:
        return None


def serve(fd: int, capacity: int, level: int) -> None:
    """Answer requests on standard input until it ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the key interrupts the command, which ends this
    encoder, decoder = Encoder(level=level), Decoder()
    keep_freed_memory()
    memory = mmap.mmap(fd, (1 + _SLOTS) * capacity)
    while request := os.read(0, _REQUEST.size):
        what, slot, count = _REQUEST.unpack(request)
        rows = _ROW.iter_unpack(_read(0, _ROW.size * count))
        given = memoryview(memory)[:capacity]
        if what == _DECODE:
            write_all(1, _decoded(decoder, given, memory, (1 + slot) * capacity, rows))
        else:
            write_all(1, _encoded(encoder, given, memoryview(memory)[capacity:], rows))


def _encoded(encoder: Encoder, given: memoryview, out: memoryview, rows: Iterable[tuple[int, int, int]]) -> bytes:
    run: list[Piece] = []
    at = 0
    for offset, length, _ in rows:
        run.append((offset, given[at : at + length]))
        at += length
    answer: list[bytes] = []
    at = 0
    for encoding, stored in encoder.encode_run(run):
        out[at : at + len(stored)] = stored
        at += len(stored)
        answer.append(_FRAME.pack(encoding, len(stored)))
    return b"".join(answer)


def _decoded(
    decoder: Decoder, given: memoryview, memory: mmap.mmap, start: int, rows: Iterable[tuple[int, int, int]]
) -> bytes:
    at, end = 0, start
    try:
        for encoding, length, plain_length in rows:
            decoder.decode_into(memory, end, encoding, given[at : at + length], plain_length=plain_length)
            at, end = at + length, end + plain_length
    except (IntegrityError, FormatTooNewError):
        end = start
    return _FRAME.pack(0, end - start)


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
