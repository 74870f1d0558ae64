"""Streams over what the system opens: a pair of files, a socket."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Sequence

from dsvc.remotes.wire.frames import Bytes, ConnectionCutError

_PIPE_BYTES = 1 << 20
_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)


class FileStream:
    """A stream over two descriptors, pipes or one socket, that belong to it."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        for descriptor in (read, write):
            widen(descriptor)

    def readinto(self, view: memoryview) -> int:
        """See `Stream.readinto`."""
        try:
            return os.readv(self._read, [view])
        except OSError:  # reset, or closed meanwhile
            return 0

    def write(self, parts: Sequence[Bytes]) -> None:
        """See `Stream.write`."""
        write_all(lambda rest: os.writev(self._write, rest), parts)

    def close(self) -> None:
        """See `Stream.close`."""
        for descriptor in {self._read, self._write}:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def standard_stream() -> FileStream:
    """The protocol's stream: stdin and stdout. Whatever prints by mistake must not get between the frames."""
    stream = FileStream(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    return stream


def write_all(write: Callable[[list[memoryview]], int], parts: Sequence[Bytes]) -> None:
    """Hand `parts` to `write`, which takes as much as it likes, until all is written.

    Raises:
        ConnectionCutError: when nobody reads.
    """
    rest = [memoryview(part) for part in parts if len(part)]
    try:
        while rest:
            count = write(rest)
            while rest and count >= len(rest[0]):
                count -= len(rest.pop(0))
            if count:
                rest[0] = rest[0][count:]
    except OSError as error:
        raise ConnectionCutError("the connection to the other end is closed") from error


def widen(descriptor: int) -> None:
    """Let a pipe or socket hold more, so that its two ends wait for each other less often."""
    with contextlib.suppress(OSError):
        if _PIPE_SIZE is not None:
            fcntl.fcntl(descriptor, _PIPE_SIZE, _PIPE_BYTES)
            return
    import socket

    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
