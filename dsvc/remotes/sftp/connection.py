"""SFTP, version 3 with OpenSSH's extensions, over a stream: many requests under way, for many threads.

Packets: a length of 4 bytes, a type, and for all but the first the number of the request (draft-ietf-secsh-filexfer-02;
the extensions are in OpenSSH's file PROTOCOL).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence

from dsvc.errors import RemoteError
from dsvc.remotes.sftp.values import (
    Attributes,
    attributes_at,
    attributes_of,
    need,
    number,
    string,
    strings,
    take,
)
from dsvc.remotes.wire.errors import RemoteDeniedError
from dsvc.remotes.wire.frames import Bytes, ConnectionCutError, FrameWriter, ProtocolError, Stream
from dsvc.remotes.wrappers.limited import Limits

READ, WRITE, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 8, 16, 32
LINK, SYNC, SPACE = b"hardlink@openssh.com", b"fsync@openssh.com", b"statvfs@openssh.com"
REPLACE = b"posix-rename@openssh.com"

_INIT, _VERSION = 1, 2
_OPEN, _CLOSE, _READ, _WRITE, _LSTAT, _FSTAT, _OPENDIR, _READDIR = 3, 4, 5, 6, 7, 8, 11, 12
_REMOVE, _MKDIR, _RMDIR, _STAT, _RENAME, _EXTENDED = 13, 14, 15, 17, 18, 200
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _REPLY = 101, 102, 103, 104, 105, 201
_OK, _END, _MISSING, _DENIED = 0, 1, 2, 3
_PIECE = 32 << 10  # bytes of one READ or WRITE; every server takes that
_UNDER_WAY = 64  # of these at a time
_LONGEST = 1 << 20  # bytes of a packet


class SftpError(RemoteError):
    """The SFTP server refuses something and does not say more."""


class SftpMissingError(SftpError):
    """The SFTP server finds no such file."""


class _Reply:
    """One request under way."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._kind = 0
        self._body = b""
        self._error: Exception | None = None

    def take(self, kind: int, body: bytes) -> None:
        self._kind, self._body = kind, body
        self._done.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._done.set()

    def wait(self, wanted: int, what: str) -> bytes | None:
        """Return the body of a reply of the wanted kind; None for an end of file.

        Raises:
            SftpError, SftpMissingError, RemoteDeniedError: as the server refuses. ConnectionCutError.
        """
        self._done.wait()
        if self._error is not None:
            raise self._error
        if self._kind == wanted and wanted != _STATUS:
            return self._body
        if self._kind != _STATUS:
            raise ProtocolError("the SFTP server sends an answer of the wrong kind")
        code = number(self._body)
        if code == _OK and wanted == _STATUS:
            return self._body
        if code == _END:
            return None
        if code == _MISSING:
            raise SftpMissingError(f"there is no {what}")
        if code == _DENIED:
            raise RemoteDeniedError(f"the account may not do this: {what}", hint="check owner and mode there")
        raise SftpError(f"the SFTP server refuses to touch {what}")


class SftpConnection:
    """One connection. Paths are texts; sizes and offsets are bytes."""

    def __init__(self, stream: Stream, *, place: str, limits: Limits | None = None) -> None:
        """Exchange versions.

        Raises:
            ConnectionCutError: when nothing answers. ProtocolError: when something else does.
        """
        self.place = place
        self._limits = limits or Limits()
        self._stream = stream
        self._writer = FrameWriter(stream)
        self._lock = threading.Lock()
        self._pending: dict[int, _Reply] = {}
        self._last = 0
        self._broken: Exception | None = None
        self._writer.write([struct.pack(">IBI", 5, _INIT, 3)], urgent=True)
        kind, body = self._packet()
        if kind != _VERSION or number(body) != 3:
            raise ProtocolError(f"{place} does not speak SFTP version 3")
        self.extensions = set(strings(body[4:])[::2])
        self._thread = threading.Thread(target=self._read, name="dsvc sftp", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._broken is not None

    def close(self) -> None:
        """End the conversation."""
        self._break(ConnectionCutError(f"the connection to {self.place} was closed"))
        self._stream.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def attributes(self, path: str) -> Attributes:
        """Return size and mode of what a path leads to.

        Raises:
            SftpMissingError: when there is nothing.
        """
        return attributes_of(need(self._ask(_STAT, string(path)).wait(_ATTRS, path)))

    def existing(self, paths: Sequence[str]) -> list[bool]:
        """Return for each path whether something is there."""
        found = []
        for start in range(0, len(paths), _UNDER_WAY):
            part = paths[start : start + _UNDER_WAY]
            for path, reply in [(path, self._ask(_STAT, string(path))) for path in part]:
                try:
                    reply.wait(_ATTRS, path)
                    found.append(True)
                except SftpMissingError:
                    found.append(False)
        return found

    def names(self, path: str) -> list[tuple[str, Attributes]]:
        """Return what a folder holds, in no order; nothing for one that is not there."""
        try:
            handle = need(self._ask(_OPENDIR, string(path)).wait(_HANDLE, path))
        except SftpMissingError:
            return []
        found: list[tuple[str, Attributes]] = []
        while (body := self._ask(_READDIR, handle).wait(_NAME, path)) is not None:
            at = 4
            for _ in range(number(body)):
                name, at = take(body, at)
                _, at = take(body, at)
                attributes, at = attributes_at(body, at)
                if name not in (b".", b".."):
                    found.append((name.decode("utf-8", "surrogateescape"), attributes))
        self._ask(_CLOSE, handle).wait(_STATUS, path)
        return found

    def read(self, path: str, offset: int, length: int | None) -> bytes:
        """Return bytes of a file, fewer only where it ends; `length` None: all that follow."""
        handle = need(self._ask(_OPEN, string(path), struct.pack(">II", READ, 0)).wait(_HANDLE, path))
        try:
            if length is None:
                length = max(0, attributes_of(need(self._ask(_FSTAT, handle).wait(_ATTRS, path))).size - offset)
            return self._read_range(handle, path, offset, length)
        finally:
            if not self.broken:
                self._ask(_CLOSE, handle)

    def write_new(self, path: str, pieces: object) -> None:
        """Make a file that is not there yet out of pieces of bytes, and sync it.

        Raises:
            SftpError: when the disk is full, or for another reason that is not told.
        """
        flags = struct.pack(">II", WRITE | CREATE | EXCLUSIVE, 0)
        handle = need(self._ask(_OPEN, string(path), flags).wait(_HANDLE, path))
        waiting: list[_Reply] = []
        at = 0
        try:
            for piece in pieces:  # type: ignore[attr-defined]
                view = memoryview(piece)
                for start in range(0, len(view), _PIECE):
                    data = view[start : start + _PIECE]
                    self._limits.up.take(len(data), over=lambda: self.broken)
                    head = struct.pack(">QI", at, len(data))
                    waiting.append(self._ask(_WRITE, handle, head, data, patient=True))
                    at += len(data)
                    if len(waiting) > _UNDER_WAY:
                        waiting.pop(0).wait(_STATUS, path)
            while waiting:
                waiting.pop(0).wait(_STATUS, path)
            self._sync_handle(handle, path)
        finally:
            if not self.broken:
                self._ask(_CLOSE, handle)

    def sync(self, path: str) -> None:
        """Make what was done to a file, its name included, survive a crash, as far as the far disk can."""
        handle = need(self._ask(_OPEN, string(path), struct.pack(">II", READ, 0)).wait(_HANDLE, path))
        self._sync_handle(handle, path)
        self._ask(_CLOSE, handle)

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            SftpMissingError: when it is not there.
        """
        self._ask(_REMOVE, string(path)).wait(_STATUS, path)

    def remove_folder(self, path: str) -> None:
        """Remove a folder with nothing in it."""
        self._ask(_RMDIR, string(path)).wait(_STATUS, path)

    def make_folder(self, path: str) -> None:
        """Make a folder, and those above it, where they are missing."""
        parts = path.rstrip("/").split("/")
        made = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        missing = len(made)
        while missing and made[missing - 1] and not self.existing([made[missing - 1]])[0]:
            missing -= 1
        for folder in made[missing:]:
            try:
                self._ask(_MKDIR, string(folder), struct.pack(">I", 0)).wait(_STATUS, folder)
            except SftpError:  # somebody else was faster, or it cannot be made
                if not self.existing([folder])[0]:
                    raise

    def rename(self, old: str, new: str) -> None:
        """Rename a file; what has the new name is replaced where the server can do that.

        Raises:
            SftpMissingError: when there is no folder for it. SftpError: when the name is taken.
        """
        if REPLACE in self.extensions:
            self._ask(_EXTENDED, string(REPLACE), string(old), string(new)).wait(_STATUS, new)
        else:
            self._ask(_RENAME, string(old), string(new)).wait(_STATUS, new)

    def link(self, old: str, new: str) -> None:
        """Give a file a second name that is not taken.

        Raises:
            SftpError: when it is, or the disk has no hard links.
        """
        self._ask(_EXTENDED, string(LINK), string(old), string(new)).wait(_STATUS, new)

    def free_bytes(self, path: str) -> int | None:
        """Return the room on a disk; None when the server does not say."""
        if SPACE not in self.extensions:
            return None
        try:
            body = need(self._ask(_EXTENDED, string(SPACE), string(path)).wait(_REPLY, path))
        except SftpError:
            return None
        block, fragment, _, _, available = struct.unpack_from(">5Q", body)
        del block
        return int(fragment * available)

    def _sync_handle(self, handle: bytes, path: str) -> None:
        if SYNC in self.extensions:
            self._ask(_EXTENDED, string(SYNC), handle).wait(_STATUS, path)

    def _read_range(self, handle: bytes, path: str, offset: int, length: int) -> bytes:
        found = bytearray()
        step = _PIECE * _UNDER_WAY
        while len(found) < length:
            start = len(found)
            end = min(length, start + step)
            asked = [(at, min(_PIECE, end - at)) for at in range(start, end, _PIECE)]
            replies = [
                (count, self._ask(_READ, handle, struct.pack(">QI", offset + at, count))) for at, count in asked
            ]
            whole = True
            for count, reply in replies:
                body = reply.wait(_DATA, path)
                if body is None:
                    return bytes(found)
                data, _ = take(body, 0)
                self._limits.down.take(len(data), over=lambda: self.broken)
                if whole:
                    found += data
                    whole = len(data) == count  # what follows a short one is asked for again
            if len(found) == start:
                raise ProtocolError("the SFTP server sends nothing, and no end either")
        return bytes(found)

    def _ask(self, kind: int, *parts: Bytes, patient: bool = False) -> _Reply:
        reply = _Reply()
        with self._lock:
            if self._broken is not None:
                raise self._broken
            self._last = (self._last + 1) & 0xFFFFFFFF
            number = self._last
            self._pending[number] = reply
        size = 5 + sum(map(len, parts))
        self._writer.write([struct.pack(">IBI", size, kind, number), *parts], urgent=not patient)
        return reply

    def _packet(self) -> tuple[int, bytes]:
        head = self._exactly(5)
        length, kind = struct.unpack(">IB", head)
        if not 1 <= length <= _LONGEST:
            raise ProtocolError(f"{self.place} does not speak SFTP; it begins with {head!r}")
        return kind, self._exactly(length - 1)

    def _exactly(self, count: int) -> bytes:
        body = memoryview(bytearray(count))
        at = 0
        while at < count:
            got = self._stream.readinto(body[at:])
            if not got:
                raise ConnectionCutError(f"{self.place} closed the connection")
            at += got
        return bytes(body)

    def _read(self) -> None:
        try:
            while True:
                kind, body = self._packet()
                with self._lock:
                    reply = self._pending.pop(number(body), None)
                if reply is not None:
                    reply.take(kind, body[4:])
        except Exception as error:  # noqa: BLE001
            self._break(error)

    def _break(self, error: Exception) -> None:
        with self._lock:
            if self._broken is None:
                self._broken = error
            waiting, self._pending = list(self._pending.values()), {}
        for reply in waiting:
            reply.fail(self._broken)
