"""Frames: many conversations over one stream of bytes. docs/formats/ssh-protocol.md.

A frame is a kind, the number of the request it belongs to, a length, and that many bytes: data as it is, or msgpack.
Both ends write frames whole, one after the other. Small ones never wait for more than the frame that is being written.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar

import msgpack

from dsvc.errors import RemoteError

Bytes = bytes | bytearray | memoryview
_T = TypeVar("_T")

NEAR_PREFACE: Final = b"dsvc wire <\n"  # the first bytes that the near end sends, which asks
FAR_PREFACE: Final = b"dsvc wire >\n"
OLDEST, NEWEST = 1, 1  # versions of the protocol that this program speaks

HELLO, REQUEST, ANSWER, ERROR, DATA, BEGIN, END, CREDIT, CANCEL = range(1, 10)

MAX_CONTROL: Final = 4 << 20  # bytes of any frame that is not DATA
MAX_DATA: Final = 1 << 20  # bytes of a DATA frame
MAX_HELLO: Final = 64 << 10
FRAME: Final = 256 << 10  # bytes of the DATA frames that are sent
WINDOW: Final = 4 << 20  # bytes of one upload that may be under way
INLINE: Final = 64 << 10  # bytes of a blob that travels inside its request

_HEADER = struct.Struct(">BII")
_BUFFER = 16 << 10
_LINE = 400  # bytes of a foreign greeting that are worth reading


class ProtocolError(RemoteError):
    """The other end sends what the protocol does not allow."""


class ConnectionCutError(RemoteError):
    """The stream ended before the conversation did; whether the last requests were carried out is unknown."""


class ForeignPeerError(RemoteError):
    """What answers at the other end is not dsvc; `said` is how it began."""

    def __init__(self, said: bytes, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or f"the other end is no dsvc; it begins with {said!r}", hint=hint)
        self.said = said


class Stream(Protocol):
    """Bytes in both directions; one thread reads, several write in turn.

    Where the other end is gone, reading gives 0 and writing raises ConnectionCutError.
    """

    def readinto(self, view: memoryview) -> int:
        """Wait for bytes, put them at the beginning of `view` and return their number; 0 at the end."""

    def write(self, parts: Sequence[Bytes]) -> None:
        """Send all of `parts`, one after the other."""

    def close(self) -> None:
        """End the conversation; a thread that reads gets 0."""


class FrameReader:
    """Takes a stream apart. Not for several threads."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0

    def preface(self, wanted: bytes) -> None:
        """Read the first bytes.

        Raises:
            ForeignPeerError: when they are others. ConnectionCutError: when there are none.
        """
        got = bytearray()
        while len(got) < len(wanted):
            piece = self._some(len(wanted) - len(got))
            if not piece and not got:
                raise ConnectionCutError("the other end closed the connection without a word")
            got += piece
            if not piece or not wanted.startswith(got):
                break
        if got == wanted:
            return
        while len(got) < _LINE and b"\n" not in got.lstrip():
            piece = self._some(_LINE - len(got))
            if not piece:
                break
            got += piece
        raise ForeignPeerError(bytes(got).strip().split(b"\n")[0].rstrip()[:_LINE])

    def header(self) -> tuple[int, int, int] | None:
        """Return kind, request and length of the next frame; None when the stream ends before it.

        Raises:
            ProtocolError: for a length beyond its bound. ConnectionCutError: when the stream ends inside.
        """
        if self._end - self._start < _HEADER.size and not self._fill(_HEADER.size):
            if self._end == self._start:
                return None
            raise ConnectionCutError("the connection ended in the middle of a frame")
        kind, request, length = _HEADER.unpack_from(self._buffer, self._start)
        self._start += _HEADER.size
        if length > (MAX_DATA if kind == DATA else MAX_CONTROL):
            raise ProtocolError(f"the other end announces a frame of {length:,} bytes, more than the protocol allows")
        return kind, request, length

    def read_into(self, target: memoryview) -> None:
        """Fill `target` with the next bytes of the frame's body.

        Raises:
            ConnectionCutError: when the stream ends before.
        """
        held = min(self._end - self._start, len(target))
        target[:held] = self._buffer[self._start : self._start + held]
        self._start += held
        while held < len(target):
            count = self._stream.readinto(target[held:])
            if not count:
                raise ConnectionCutError("the connection ended in the middle of a frame")
            held += count

    def read(self, length: int) -> bytearray:
        """Return the next `length` bytes of the frame's body."""
        body = bytearray(length)
        self.read_into(memoryview(body))
        return body

    def skip(self, length: int) -> None:
        """Leave out the next `length` bytes."""
        self.read(length)

    def _fill(self, wanted: int) -> bool:
        self._buffer[: self._end - self._start] = bytes(self._buffer[self._start : self._end])
        self._start, self._end = 0, self._end - self._start
        while self._end < wanted:
            count = self._stream.readinto(self._buffer[self._end :])
            if not count:
                return False
            self._end += count
        return True

    def _some(self, most: int) -> bytes:
        if self._end == self._start:
            self._fill(1)
        piece = bytes(self._buffer[self._start : min(self._end, self._start + most)])
        self._start += len(piece)
        return piece


class FrameWriter:
    """Writes frames whole, for many threads: urgent ones first, the others in the order in which they came."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._busy = False
        self._urgent: deque[threading.Lock] = deque()
        self._patient: deque[threading.Lock] = deque()
        self._torn = False

    def send(self, kind: int, request: int, body: Bytes = b"", *, urgent: bool = True) -> None:
        """Send one frame; waits until the stream takes it.

        Raises:
            ConnectionCutError: when the other end is gone.
        """
        self.write([frame_header(kind, request, body), body], urgent=urgent)

    def send_answered(self, request: int, answer: Bytes, data: Bytes, *, urgent: bool) -> None:
        """Send an ANSWER and the first DATA after it at once."""
        parts = [frame_header(ANSWER, request, answer), answer, frame_header(DATA, request, data), data]
        self.write(parts, urgent=urgent)

    def send_preface(self, preface: bytes, hello: bytes) -> None:
        """Send the first bytes of a conversation."""
        self.write([preface, frame_header(HELLO, 0, hello), hello], urgent=True)

    def write(self, parts: Sequence[Bytes], *, urgent: bool) -> None:
        """Send `parts`, which are whole frames, without anything between them."""
        self._take_turn(urgent=urgent)
        try:
            if self._torn:
                raise ConnectionCutError("the connection broke while something was sent")
            self._torn = True
            self._stream.write(parts)
            self._torn = False
        finally:
            self._pass_on()

    def _take_turn(self, *, urgent: bool) -> None:
        with self._lock:
            if not self._busy:
                self._busy = True
                return
            turn = threading.Lock()
            turn.acquire()
            queue = self._urgent if urgent else self._patient
            queue.append(turn)
        try:
            turn.acquire()
        except BaseException:  # an interrupt from the keyboard: nobody may wait for this thread
            with self._lock:
                mine = turn not in queue
                if not mine:
                    queue.remove(turn)
            if mine:
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        with self._lock:
            waiting = self._urgent or self._patient
            if waiting:
                waiting.popleft().release()
            else:
                self._busy = False


def frame_header(kind: int, request: int, body: Bytes) -> bytes:
    """Return the nine bytes before `body`."""
    return _HEADER.pack(kind, request, memoryview(body).nbytes)


def pack_fields(fields: dict[str, Any]) -> bytes:
    """Encode the body of a frame.

    Raises:
        ProtocolError: when it would be too large.
    """
    body: bytes = msgpack.packb(fields)
    if len(body) > MAX_CONTROL:
        raise ProtocolError(f"a message of {len(body):,} bytes is more than the protocol allows")
    return body


def unpack_fields(body: Bytes) -> dict[str, Any]:
    """Decode the body of a frame.

    Raises:
        ProtocolError: when it is no map with names.
    """
    try:
        fields = msgpack.unpackb(body)
    except Exception as error:
        raise ProtocolError("the other end sends a message that cannot be read") from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise ProtocolError("the other end sends a message that cannot be read")
    return fields


def field(fields: dict[str, Any], name: str, kind: type[_T]) -> _T:
    """Return one field of a message.

    Raises:
        ProtocolError: when it is missing or of another type.
    """
    value = fields.get(name)
    if type(value) is not kind:
        raise ProtocolError(f"the other end sends a message without a proper {name!r}")
    return value
