"""A folder on a host without dsvc, through its SFTP server: slower, with the same files as a folder on a disk.

Blobs and cells lie there as LocalBackend keeps them (docs/formats/local.md), so that both may work in one folder. A
cell is claimed by a hard link, which OpenSSH's server can make; nothing else in SFTP fails reliably when a name is
taken. A name cannot be synced by SFTP; after a rename the file itself is synced once more, which on the common Linux
file systems writes its name as well.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from blake3 import blake3

from dsvc.atomic import temporary_name
from dsvc.errors import IntegrityError, RemoteError, RequestError
from dsvc.remotes.sftp.connection import LINK, SftpConnection, SftpError, SftpMissingError
from dsvc.remotes.wire.errors import RemoteAbsentError, RemoteFullError
from dsvc.remotes.wire.frames import FRAME, Bytes, ConnectionCutError
from dsvc.remotes.wire.keys import check_blob_key, check_prefix
from dsvc.remotes.wire.reconnecting import DELAYS, Reconnecting
from dsvc.remotes.wire.source import Source
from dsvc.storage.backend import BlobDamagedError, BlobMissingError, SwapUncertainError, check_key, check_trial
from dsvc.storage.cell_files import DIGEST, KEPT_CELLS, pack_cell, unpack_cell

_STAGING = "tmp"
_OWN = {"cells", "packs", "lists", _STAGING}


class SftpTooPlainError(RemoteError):
    """The SFTP server lacks what shared writing needs."""


class PartedElsewhereError(RequestError):
    """A pack is a folder there, which only dsvc on that host puts together."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"the repository at {place} keeps large files whole, which cannot be read by SFTP alone",
            hint="install dsvc on that host, or let its owner push to a remote",
        )


class SftpBackend:
    """See `Backend`. A blob whose upload is cut is sent again from its beginning."""

    read_only = False

    def __init__(
        self, connect: Callable[[], SftpConnection], root: str, *, place: str, delays: Sequence[float] = DELAYS
    ) -> None:
        """`root` is the folder there, absolute or below the home folder; `connect`: see `Reconnecting`."""
        self.place = place
        self._root = root
        self._connections = Reconnecting(connect, place=place, delays=delays)

    def open(self, *, create: bool) -> SftpBackend:
        """Connect, and see whether the folder is one for a repository; `create` makes it.

        Raises:
            RemoteAbsentError: when it is not. SftpTooPlainError: when the server cannot do what is needed.
        """
        connection = self._connections.current()
        if LINK not in connection.extensions:
            raise SftpTooPlainError(
                f"the SFTP server of {self.place} makes no hard links, and without them writers overwrite each other",
                hint="install dsvc there (pip install dsvc), or OpenSSH's sftp-server",
            )
        store = f"{self._root}/.dsvc/store"
        if connection.existing([store])[0]:
            self._root = store
            return self
        if not connection.existing([self._root])[0]:
            if not create:
                raise RemoteAbsentError(f"{self.place}: there is no such folder", hint="check the remote's address")
            connection.make_folder(self._root)
        names = {name for name, _ in connection.names(self._root)}
        if names and not names & _OWN:
            raise RemoteAbsentError(
                f"{self.place} holds other things than a repository", hint="choose an empty or new folder"
            )
        return self

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        path = self._path(key)

        def read(connection: SftpConnection) -> bytes:
            if offset < 0 or (length is not None and length < 0):
                raise BlobDamagedError(f"{key} has no byte {offset}")
            try:
                if length and offset + length < 1 << 63:
                    return connection.read(path, offset, length)
                size = connection.attributes(path).size
                if offset + (length or 0) > size:
                    raise BlobDamagedError(f"{key} of {self.place} ends before byte {offset}", hint="dsvc fsck")
                return connection.read(path, offset, length)
            except SftpMissingError as error:
                raise BlobMissingError(key, self.place) from error
            except SftpError as error:
                if key.startswith("packs/") and connection.attributes(path).is_folder:
                    raise PartedElsewhereError(self.place) from error
                raise

        data = self._connections.again(read)
        if length is not None and len(data) != length:
            raise BlobDamagedError(f"{key} of {self.place} ends before byte {offset + length}", hint="dsvc fsck")
        return data

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`."""
        path = self._path(key)
        with contextlib.closing(Source(source)) as content:
            self._connections.again(lambda connection: self._put(connection, path, content))
        if isinstance(source, Path):
            os.unlink(source)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        paths = [self._path(key) for key in keys]
        there = self._connections.again(lambda connection: connection.existing(paths))
        return [key for key, found in zip(keys, there, strict=True) if not found]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        folder = check_prefix(prefix).rpartition("/")[0]

        def walk(connection: SftpConnection) -> list[tuple[str, int]]:
            found: list[tuple[str, int]] = []
            waiting = [folder]
            while waiting:
                inside = waiting.pop()
                for name, attributes in connection.names(f"{self._root}/{inside}" if inside else self._root):
                    key = f"{inside}/{name}" if inside else name
                    if attributes.is_folder:
                        if key not in ("tmp", "cells") and (key.startswith(prefix) or prefix.startswith(key)):
                            waiting.append(key)
                    elif key.startswith(prefix):
                        found.append((key, attributes.size))
            return sorted(found)

        yield from self._connections.again(walk)

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        path = self._path(key)

        def remove(connection: SftpConnection) -> None:
            with contextlib.suppress(SftpMissingError):
                connection.remove(path)

        self._connections.again(remove)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        folder = self._cell(name)
        return self._connections.again(lambda connection: _newest(connection, folder)[1])

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`."""
        folder = self._cell(name)
        return self._connections.again(lambda connection: self._swap(connection, folder, expected, value))

    def remove_trial(self, name: str) -> None:
        """See `TrialPlace.remove_trial`."""
        check_trial(name)
        for key, _ in self.list(f"{name}/"):
            self.delete(key)

        def remove(connection: SftpConnection) -> None:
            cells = f"{self._root}/cells"
            for cell, _ in connection.names(cells):
                if cell.startswith(f"{name}-"):
                    for file, _ in connection.names(f"{cells}/{cell}"):
                        connection.remove(f"{cells}/{cell}/{file}")
                    connection.remove_folder(f"{cells}/{cell}")
            if name in (folder for folder, _ in connection.names(self._root)):
                for folder, _ in connection.names(f"{self._root}/{name}"):
                    connection.remove_folder(f"{self._root}/{name}/{folder}")
                connection.remove_folder(f"{self._root}/{name}")

        self._connections.again(remove)

    def close(self) -> None:
        """See `Backend.close`."""
        self._connections.close()

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_blob_key(key)}"

    def _cell(self, name: str) -> str:
        return f"{self._root}/cells/{check_key(name)}"

    def _put(self, connection: SftpConnection, path: str, content: Source) -> None:
        if connection.existing([path])[0]:
            return
        content.restart()
        temporary = f"{self._root}/{_STAGING}/{temporary_name('blob')}"

        def pieces() -> Iterator[Bytes]:
            left = content.size
            while left:
                piece = bytes(content.read(min(FRAME, left)))  # several are under way, and read() uses one buffer
                left -= len(piece)
                yield piece

        try:
            self._write(connection, temporary, pieces(), content.size)
            if connection.attributes(temporary).size != content.size:
                raise BlobDamagedError(f"what arrived at {path} of {self.place} is not what was sent")
            try:
                connection.rename(temporary, path)
            except SftpMissingError:
                connection.make_folder(path.rpartition("/")[0])
                connection.rename(temporary, path)
            except SftpError:
                if not connection.existing([path])[0]:  # otherwise somebody else was faster
                    raise
            connection.sync(path)
        finally:
            self._tidy(connection, temporary)

    def _write(self, connection: SftpConnection, path: str, pieces: Iterator[Bytes], size: int) -> None:
        try:
            try:
                connection.write_new(path, pieces)
            except SftpMissingError:
                connection.make_folder(path.rpartition("/")[0])
                connection.write_new(path, pieces)
        except SftpError as error:
            free = connection.free_bytes(self._root)
            if free is not None and free < max(size, 1 << 20):
                raise RemoteFullError(
                    f"the disk of {self.place} is full", hint="make room there and run the command again"
                ) from error
            raise

    def _swap(self, connection: SftpConnection, folder: str, expected: bytes | None, value: bytes) -> bool:
        number, current = _newest(connection, folder)
        if current != expected:
            return False
        target = f"{folder}/{number + 1}"
        temporary = f"{folder}/{temporary_name('cell')}"
        content = pack_cell(expected, value)
        try:
            self._write(connection, temporary, iter([content]), len(content))
            try:
                if not self._claim(connection, temporary, target):
                    return False
                connection.sync(target)
                return self._settle(connection, folder, number + 1, value)
            except ConnectionCutError as error:
                raise SwapUncertainError(
                    f"the connection to {self.place} broke before it was known whether the repository was changed",
                    hint="run the command again; it looks what became of this one first",
                ) from error
        finally:
            self._tidy(connection, temporary)

    def _claim(self, connection: SftpConnection, temporary: str, target: str) -> bool:
        try:
            connection.link(temporary, target)
            return True
        except SftpError as error:
            if connection.existing([target])[0]:
                return False
            raise SftpTooPlainError(
                f"the disk of {self.place} has no hard links, and without them writers overwrite each other",
                hint="install dsvc there: pip install dsvc",
            ) from error

    def _settle(self, connection: SftpConnection, folder: str, number: int, value: bytes) -> bool:
        """Look what became of the claim, as LocalBackend does, and remove what is too old to be needed."""
        numbers = sorted(_numbers(connection, folder))
        if numbers and numbers[-1] == number:
            for old in numbers[:-KEPT_CELLS]:
                with contextlib.suppress(SftpError):
                    connection.remove(f"{folder}/{old}")
            return True
        successor = _read_cell_file(connection, f"{folder}/{number + 1}")
        if successor is not None and successor[:DIGEST] == blake3(value).digest():
            return True
        raise SwapUncertainError(f"another process moved {folder} of {self.place} at the same moment")

    def _tidy(self, connection: SftpConnection, temporary: str) -> None:
        with contextlib.suppress(RemoteError):
            connection.remove(temporary)


def _newest(connection: SftpConnection, folder: str) -> tuple[int, bytes | None]:
    """Return the number and value of a cell's newest file, or (0, None)."""
    for _ in range(100):
        numbers = _numbers(connection, folder)
        if not numbers:
            return 0, None
        newest = max(numbers)
        body = _read_cell_file(connection, f"{folder}/{newest}")
        if body is not None:
            return newest, body[DIGEST:]
        # It was removed between the listing and the read: the cell has moved on.
    raise IntegrityError(f"the cell {folder} cannot be read: its newest file is not there")


def _numbers(connection: SftpConnection, folder: str) -> list[int]:
    return [int(name) for name, _ in connection.names(folder) if name.isdecimal()]


def _read_cell_file(connection: SftpConnection, path: str) -> bytes | None:
    """Return digest of the value before + value, or None where there is no such file."""
    for candidate in (path, f"{path}/value"):
        try:
            content = connection.read(candidate, 0, None)
        except SftpError:  # none, or a folder
            continue
        return unpack_cell(content, path)
    return None
