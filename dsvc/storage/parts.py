"""A blob of which parts lie in files of their own, each of them a whole file that another place may share.

On disk it is a folder: `parts` says what lies where, `rest` has all bytes that are in none of the files, and the files
are named `0`, `1` and so on. To a reader it is one blob. docs/formats/parted-pack.md.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from blake3 import blake3

from dsvc.atomic import sync_directory
from dsvc.storage.backend import Backend, BlobDamagedError

LAYOUT, REST = "parts", "rest"
_MAGIC = b"dsvcpart"
_HEADER = struct.Struct(">8sII")  # magic, version, number of parts
_ROW = struct.Struct(">QQQQQ32s")  # see Part
_DIGEST = 32
_VERSION = 1
_OPEN = 4  # files of a blob that are held open
NAMELESS = bytes(32)


class Part(NamedTuple):
    """Bytes `offset` to `offset + length` of the blob: those from `start` on of a file with `size` bytes.

    `mtime` (nanoseconds) is the time that the file had when it was put here: another one says that it was written to.
    `id` is the id of the file's content where this blob has its map, else zeros.
    """

    offset: int
    length: int
    start: int
    size: int
    mtime: int
    id: bytes


def encode_parts(parts: Sequence[Part]) -> bytes:
    """Return the bytes of the file `parts`."""
    body = _HEADER.pack(_MAGIC, _VERSION, len(parts)) + b"".join(_ROW.pack(*part) for part in parts)
    return body + blake3(body).digest()


def decode_parts(data: bytes, name: str) -> tuple[Part, ...]:
    """Return what the file `parts` says; `name` is that of the blob.

    Raises:
        BlobDamagedError: when it is not of its form.
    """
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if len(body) >= _HEADER.size and blake3(body).digest() == digest:
        magic, version, count = _HEADER.unpack_from(body)
        if (magic, version) == (_MAGIC, _VERSION) and len(body) == _HEADER.size + count * _ROW.size:
            parts = tuple(Part._make(row) for row in _ROW.iter_unpack(body[_HEADER.size :]))
            end = 0
            for part in parts:
                if part.offset < end or not part.length or part.start + part.length > part.size:
                    break
                end = part.offset + part.length
            else:
                return parts
    raise BlobDamagedError(f"{name} has a damaged list of its parts", hint="dsvc fsck")


class PartedBlob:
    """A blob in a folder, open for reading. One thread at a time."""

    def __init__(self, folder: str) -> None:
        """Read the list of parts.

        Raises:
            FileNotFoundError: where it is being deleted. BlobDamagedError: where it cannot be used.
        """
        self.folder = folder
        with open(os.path.join(folder, LAYOUT), "rb") as file:
            self.parts = decode_parts(file.read(), folder)
        self._ends = [part.offset + part.length for part in self.parts]
        self._open: OrderedDict[str, int] = OrderedDict()
        try:
            rest = os.stat(os.path.join(folder, REST)).st_size
        except FileNotFoundError as error:
            raise BlobDamagedError(f"{folder} lacks the file {REST}", hint="dsvc fsck") from error
        self.size = rest + sum(part.length for part in self.parts)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the blob; fewer where it ends or a file of it does.

        Raises:
            OSError: as the disk has it.
        """
        pieces: list[bytes] = []
        end = min(offset + length, self.size)
        while offset < end:
            number = bisect_right(self._ends, offset)
            part = self.parts[number] if number < len(self.parts) else None
            if part is not None and offset >= part.offset:
                name, at = str(number), part.start + offset - part.offset
                count = min(end, part.offset + part.length) - offset
            else:
                before = sum(p.length for p in self.parts[:number])
                name, at = REST, offset - before
                count = (min(end, part.offset) if part is not None else end) - offset
            data = os.pread(self._descriptor(name), count, at)
            if not data:
                break
            pieces.append(data)
            offset += len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def part_at(self, offset: int) -> int | None:
        """Return the number of the part in which a byte of the blob lies, None for one of the rest."""
        number = bisect_right(self._ends, offset)
        return number if number < len(self.parts) and offset >= self.parts[number].offset else None

    def path(self, number: int) -> Path:
        """Return where the file of a part lies."""
        return Path(self.folder, str(number))

    def untouched(self, number: int) -> bool:
        """Say whether the file of a part looks as it did when it was put here."""
        part = self.parts[number]
        try:
            found = self.path(number).stat()
        except OSError:
            return False
        return found.st_size == part.size and found.st_mtime_ns == part.mtime

    def close(self) -> None:
        """Give back what is held open."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, name: str) -> int:
        fd = self._open.get(name)
        if fd is not None:
            self._open.move_to_end(name)
            return fd
        try:
            fd = os.open(os.path.join(self.folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise BlobDamagedError(f"{self.folder} lacks the file {name}", hint="dsvc fsck") from error
        self._open[name] = fd
        if len(self._open) > _OPEN:
            os.close(self._open.popitem(last=False)[1])
        return fd


@runtime_checkable
class KeepsParts(Protocol):
    """A backend on a disk that may have blobs in folders."""

    def parted(self, key: str) -> PartedBlob | None:
        """Return such a blob, None for any other; the caller closes it. Raises BlobDamagedError."""


def parted(backend: Backend, key: str) -> PartedBlob | None:
    """Return a blob that is a folder, None for any other and where there are none; the caller closes it.

    Raises:
        BlobDamagedError: when its list of parts cannot be used.
    """
    return backend.parted(key) if isinstance(backend, KeepsParts) else None


def size_of(folder: str) -> int:
    """Return the bytes of the blob in a folder, 0 where it is none or is being deleted."""
    try:
        return PartedBlob(folder).size
    except (OSError, BlobDamagedError):
        return 0


def sync_folder(folder: Path) -> None:
    """Make a folder and the files in it survive a crash."""
    for entry in os.scandir(folder):
        fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    sync_directory(folder)
