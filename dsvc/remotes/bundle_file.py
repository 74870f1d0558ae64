"""A bundle: refs, and packs with what they reach, in one file for machines without a network. docs/formats/bundle.md.

Written as a backend, so that what sends to a remote sends into a file; read as one that refuses to change, so that
clone, fetch and pull take from it as from any other place.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from blake3 import blake3

from dsvc.errors import FormatTooNewError, IntegrityError, RemoteError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, CommitId, Kind, ObjectId
from dsvc.refs.view import Direct
from dsvc.storage.backend import Backend, BlobDamagedError, BlobMissingError, check_key

SUFFIX = ".bundle"
MAGIC = b"dsvcbdl1"
VERSION = 1
_LENGTH = struct.Struct(">I")
_TRAILER = struct.Struct(">QQ")  # offset and length of the table
_DIGEST = 32
_MAX_FIELDS = 1 << 30  # bytes of a header or a table
_COPY_BYTES = 4 << 20


class BundleDamagedError(IntegrityError):
    """A file is no bundle, or not all of one."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}", hint="copy the file anew, or let it be made anew")


class BundleFixedError(RemoteError):
    """Somebody tried to change a bundle."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is a bundle, which is never changed", hint="dsvc bundle create FILE makes a new one")


class Prerequisite(NamedTuple):
    """A commit that whoever takes from a bundle must have, and the first line of its message."""

    id: CommitId
    subject: str


class BundleHeader(NamedTuple):
    """What a bundle says first: its refs, what it builds on, and which features one needs to read it."""

    refs: tuple[tuple[str, Direct], ...]
    prerequisites: tuple[Prerequisite, ...]
    needs: tuple[str, ...]


def encode_header(header: BundleHeader) -> bytes:
    """Return the canonical bytes of a header."""
    return codec.encode(
        {
            "version": VERSION,
            "refs": [[name, int(ref.kind), ref.id] for name, ref in header.refs],
            "prerequisites": [[p.id, p.subject] for p in header.prerequisites],
            "needs": list(header.needs),
        }
    )


def is_bundle(path: Path) -> bool:
    """Say whether a file is meant to be a bundle: by its name or its first bytes."""
    if not path.is_file():
        return False
    if path.name.endswith(SUFFIX):
        return True
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class BundleWriter:
    """A backend that writes a new bundle to `path`, which must not exist. Threads may put at the same time."""

    def __init__(self, path: Path, header: BundleHeader) -> None:
        self._path = path
        self._file = open(path, "xb+")  # noqa: SIM115 - closed by `finish` or `abandon`
        self._hash = blake3()
        self._size = 0
        self._blobs: dict[str, tuple[int, int]] = {}
        self._cells: dict[str, bytes] = {}
        self._lock = threading.Lock()
        first = encode_header(header)
        self._write(MAGIC + _LENGTH.pack(len(first)) + first)

    def finish(self) -> int:
        """Write the table and the hash over all, make the file durable, and return its length in bytes."""
        blobs = [[key, offset, length] for key, (offset, length) in sorted(self._blobs.items())]
        table = codec.encode({"blobs": blobs, "cells": [[n, v] for n, v in sorted(self._cells.items())]})
        offset = self._size
        self._write(table + _TRAILER.pack(offset, len(table)))
        self._write(self._hash.digest())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._size

    def abandon(self) -> None:
        """Remove the unfinished file; safe to call twice."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`; durable when the bundle is finished."""
        check_key(key)
        with self._lock:
            if key in self._blobs:
                return
            start = self._size
            if isinstance(source, bytes):
                self._write(source)
            else:
                with open(source, "rb") as file:
                    while part := file.read(_COPY_BYTES):
                        self._write(part)
                source.unlink()
            self._blobs[key] = (start, self._size - start)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        with self._lock:
            self._file.flush()
            return _read(self._file.fileno(), self._blobs, key, self._path, offset=offset, length=length)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        return [key for key in keys if check_key(key) not in self._blobs]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        yield from sorted((key, length) for key, (_, length) in self._blobs.items() if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """See `Backend.delete`: the table does not name it; its bytes stay."""
        self._blobs.pop(check_key(key), None)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self._cells.get(check_key(name))

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`; durable when the bundle is finished."""
        with self._lock:
            if self._cells.get(check_key(name)) != expected:
                return False
            self._cells[name] = bytes(value)
            return True

    def close(self) -> None:
        """Leave the file to `finish` or `abandon`."""

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)


class BundleBackend:
    """A backend that reads a bundle. Opening it compares the whole file with its hash."""

    def __init__(self, path: Path) -> None:
        """Open a bundle.

        Raises:
            BundleDamagedError: when it is none, is cut off or differs in a single bit. FormatTooNewError: when it
                needs a newer dsvc.
        """
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise RemoteError(f"{path} cannot be read: {error.strerror}") from error
        try:
            self.header = _header(self._fd, path)
            self._blobs, self._cells = _table(self._fd, path)
        except BaseException:
            os.close(self._fd)
            raise

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return _read(self._fd, self._blobs, key, self.path, offset=offset, length=length)

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        return [key for key in keys if check_key(key) not in self._blobs]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`."""
        yield from sorted((key, length) for key, (_, length) in self._blobs.items() if key.startswith(prefix))

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`."""
        return self._cells.get(check_key(name))

    def put(self, key: str, source: bytes | Path) -> None:
        """Refuse."""
        del key, source
        raise BundleFixedError(self.path)

    def delete(self, key: str) -> None:
        """Refuse."""
        del key
        raise BundleFixedError(self.path)

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """Refuse."""
        del name, expected, value
        raise BundleFixedError(self.path)

    def close(self) -> None:
        """See `Backend.close`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_header(path: Path) -> BundleHeader:
    """Return what a bundle says first; the rest of the file is not looked at.

    Raises:
        BundleDamagedError, FormatTooNewError, RemoteError: as for `BundleBackend`.
    """
    try:
        with open(path, "rb") as file:
            return _header(file.fileno(), path)
    except OSError as error:
        raise RemoteError(f"{path} cannot be read: {error.strerror}") from error


def prerequisites_of(backend: Backend) -> Sequence[Prerequisite]:
    """Return the commits that whoever takes from a place must have; none unless it is a bundle."""
    return backend.header.prerequisites if isinstance(backend, BundleBackend) else ()


def _header(fd: int, path: Path) -> BundleHeader:
    start = os.pread(fd, len(MAGIC) + _LENGTH.size, 0)
    if start[: len(MAGIC)] != MAGIC or len(start) < len(MAGIC) + _LENGTH.size:
        raise BundleDamagedError(path, "it does not begin as a bundle does")
    (length,) = _LENGTH.unpack_from(start, len(MAGIC))
    data = os.pread(fd, min(length, _MAX_FIELDS), len(start))
    if len(data) != length:
        raise BundleDamagedError(path, "it is cut off")
    fields = _fields(data, path)
    try:
        if fields["version"] != VERSION:
            raise FormatTooNewError(
                f"{path} is a bundle of version {fields['version']!r}, which this dsvc does not know",
                hint="install a newer dsvc",
            )
        refs = tuple((str(name), Direct(Kind(kind), _id(target))) for name, kind, target in fields["refs"])
        builds_on = tuple(Prerequisite(CommitId(_id(i)), str(subject)) for i, subject in fields["prerequisites"])
        return BundleHeader(refs, builds_on, tuple(map(str, fields["needs"])))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleDamagedError(path, "its header is not of its form") from error


def _table(fd: int, path: Path) -> tuple[dict[str, tuple[int, int]], dict[str, bytes]]:
    size = os.fstat(fd).st_size
    end = size - _DIGEST - _TRAILER.size
    if end < 0 or not _is_whole(fd, size - _DIGEST):
        raise BundleDamagedError(path, "it is cut off or damaged: its bytes do not match the hash at its end")
    offset, length = _TRAILER.unpack(os.pread(fd, _TRAILER.size, end))
    if offset + length != end or length > _MAX_FIELDS:
        raise BundleDamagedError(path, "its table is not where it should be")
    fields = _fields(os.pread(fd, length, offset), path)
    try:
        blobs = {check_key(key): (int(at), int(count)) for key, at, count in fields["blobs"]}
        cells = {check_key(name): bytes(value) for name, value in fields["cells"]}
    except (KeyError, TypeError, ValueError) as error:
        raise BundleDamagedError(path, "its table is not of its form") from error
    if any(not 0 <= at <= at + count <= offset for at, count in blobs.values()):
        raise BundleDamagedError(path, "its table names what lies outside")
    return blobs, cells


def _is_whole(fd: int, size: int) -> bool:
    hasher = blake3()
    at = 0
    while at < size:
        part = os.pread(fd, min(_COPY_BYTES, size - at), at)
        if not part:
            return False
        hasher.update(part)
        at += len(part)
    return os.pread(fd, _DIGEST, size) == hasher.digest()


def _fields(data: bytes, path: Path) -> dict[str, Any]:
    try:
        fields = codec.decode(data)
    except BadEncodingError as error:
        raise BundleDamagedError(path, "it holds no valid fields") from error
    if not isinstance(fields, dict):
        raise BundleDamagedError(path, "it holds no valid fields")
    return cast("dict[str, Any]", fields)


def _id(value: object) -> ObjectId:
    if not isinstance(value, bytes) or len(value) != ID_LENGTH:
        raise ValueError
    return ObjectId(value)


def _read(
    fd: int, blobs: dict[str, tuple[int, int]], key: str, path: Path, *, offset: int, length: int | None
) -> bytes:
    found = blobs.get(check_key(key))
    if found is None:
        raise BlobMissingError(key, str(path))
    start, size = found
    end = size if length is None else offset + length
    if not 0 <= offset <= end <= size:
        raise BlobDamagedError(f"{key} in {path} has {size} bytes and was asked for those up to {end}")
    data = os.pread(fd, end - offset, start + offset)
    if len(data) != end - offset:
        raise BlobDamagedError(f"{key} in {path} is cut off")
    return data
