"""A backend that encrypts what it keeps in another backend, so that a place can be used without being trusted.

The place sees how many blobs there are, how large they are, in which folders, and when they are used. It can withhold,
and show an older state; it cannot read, change or exchange anything without being found out.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dsvc.atomic import temporary_name
from dsvc.errors import IntegrityError
from dsvc.remotes.encryption.keyslots import Secret, create_slots, unlock
from dsvc.remotes.encryption.sealing import (
    HEADER,
    MAX_NAME,
    SEALED,
    SEGMENT,
    Cipher,
    DoesNotOpenError,
    Keys,
    open_segments,
    plain_size,
    read_header,
    seal,
)
from dsvc.storage.backend import Backend, BadKeyError, BlobDamagedError, BlobMissingError, check_key

_REMEMBERED = 4096
_CELL_FOLDER = "cells"  # only a word that tells the names of cells from those of blobs


class DamagedSealedCellError(IntegrityError):
    """A cell of an encrypted place was changed by somebody without the key."""


class _Known(NamedTuple):
    """What is known of a blob: its cipher, and its sealed size where that was seen."""

    cipher: Cipher
    size: int | None = None


class EncryptedBackend:
    """Blobs and cells, sealed in `inner`. Two of them with the same key are the same place."""

    def __init__(self, inner: Backend, keys: Keys) -> None:
        self.inner = inner
        self._keys = keys
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`. A range costs its segments, and once the header."""
        name = self._name(key)
        if offset < 0 or (length is not None and length < 0):
            raise BlobDamagedError(f"{key} has no byte {offset}")
        while True:
            remembered = self._recall(name)
            try:
                if not offset and length is None:
                    return self._whole(key, name)
                return self._range(key, name, remembered, offset=offset, length=length)
            except BlobMissingError as error:
                self._forget(name)
                raise BlobMissingError(key, "the encrypted place") from error
            except (DoesNotOpenError, BlobDamagedError) as error:
                self._forget(name)
                if remembered is None:  # else it may have been deleted and put again, sealed otherwise
                    raise BlobDamagedError(f"{key} is damaged in the encrypted place: {error.message}") from error

    def _whole(self, key: str, name: str) -> bytes:
        data = self.inner.get(name)
        cipher = self._learn(name, key, data[:HEADER], size=len(data))
        return b"".join(open_segments(cipher, memoryview(data)[HEADER:], first=0, last=True))

    def _range(self, key: str, name: str, known: _Known | None, *, offset: int, length: int | None) -> bytes:
        # What is asked behind the last byte is answered from the segment before it, which tells where the end is.
        first = offset // SEGMENT if length else max(offset - 1, 0) // SEGMENT
        if known is None:
            cipher = self._learn(name, key, self.inner.get(name, length=HEADER))
            known = _Known(cipher)
        start = HEADER + first * SEALED
        data: bytes | None = None
        if length is not None:
            stop = HEADER + ((max(offset + length, 1) - 1) // SEGMENT + 1) * SEALED
            if known.size is None or stop <= known.size:
                with suppress(BlobDamagedError):  # the last segment is shorter; then it is read to the end
                    data = self.inner.get(name, offset=start, length=stop - start)
        last = None
        if data is None:
            data = self.inner.get(name, offset=start)
            self._remember(name, known._replace(size=start + len(data)))
            last = True
        plain = b"".join(open_segments(known.cipher, memoryview(data), first=first, last=last))
        skip = offset - first * SEGMENT
        end = len(plain) if length is None else skip + length
        if skip > len(plain) or end > len(plain):
            raise BlobDamagedError(f"{key} ends at byte {first * SEGMENT + len(plain)}")
        return plain[skip:end]

    def put(self, key: str, source: bytes | Path) -> None:
        """See `Backend.put`. A file is sealed into another one beside it."""
        name = self._name(key)
        if not isinstance(source, Path):
            view = memoryview(source)
            pieces = (view[at : at + SEGMENT] for at in range(0, max(len(view), 1), SEGMENT))
            salt = self._keys.salt(key, source)
            self.inner.put(name, b"".join(seal(self._keys, key, salt, pieces)))
            return
        sealed = source.with_name(temporary_name(source.name))
        try:
            salt = self._keys.salt(key, source)
            with open(source, "rb") as plain, open(sealed, "xb") as out:
                for piece in seal(self._keys, key, salt, _segments(plain)):
                    out.write(piece)
                out.flush()
                os.fsync(out.fileno())
            self.inner.put(name, sealed)
        finally:
            sealed.unlink(missing_ok=True)
        source.unlink()

    def missing(self, keys: list[str]) -> list[str]:
        """See `Backend.missing`."""
        names = {self._name(key): key for key in keys}
        absent = {names[name] for name in self.inner.missing(list(names))}
        return [key for key in keys if key in absent]

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Backend.list`. Sizes are the plain ones; what was not sealed with this key is left out.

        The folder that the prefix is in is listed whole, for sealed names have an order of their own.
        """
        folder, slash, _ = prefix.partition("/")
        found = []
        for name, size in self.inner.list(folder + slash if slash else ""):
            key = self._key(name)
            if key is not None and key.startswith(prefix):
                found.append((key, plain_size(size)))
        yield from sorted(found)

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        name = self._name(key)
        self._forget(name)
        self.inner.delete(name)

    def read_cell(self, name: str) -> bytes | None:
        """See `Backend.read_cell`; raises DamagedSealedCellError."""
        sealed = self.inner.read_cell(self._cell(name))
        return None if sealed is None else self._opened(name, sealed)

    def swap_cell(self, name: str, expected: bytes | None, value: bytes) -> bool:
        """See `Backend.swap_cell`; raises DamagedSealedCellError.

        The same value is sealed otherwise each time, so the present one is read, compared in plain, and swapped from
        exactly the bytes that were read.
        """
        cell = self._cell(name)
        sealed_value = self._keys.seal_cell(name, value)
        while True:
            sealed = self.inner.read_cell(cell)
            if (None if sealed is None else self._opened(name, sealed)) != expected:
                return False
            if self.inner.swap_cell(cell, sealed, sealed_value):
                return True

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()

    def _opened(self, name: str, sealed: bytes) -> bytes:
        try:
            return self._keys.open_cell(name, sealed)
        except DoesNotOpenError as error:
            raise DamagedSealedCellError(
                f"the cell {name} of the encrypted place is damaged: {error.message}"
            ) from error

    def _name(self, key: str) -> str:
        """Return the name of a blob in the place: its first part as it is, the rest sealed."""
        folder, slash, rest = check_key(key).partition("/")
        if not slash:
            folder, rest = "", key
        if len(rest) > MAX_NAME:
            raise BadKeyError(f"{key!r} is too long for an encrypted place")
        return f"{folder}{slash}{self._keys.seal_name(rest, folder)}"

    def _key(self, name: str) -> str | None:
        folder, slash, sealed = name.rpartition("/")
        rest = self._keys.open_name(sealed, folder)
        return None if rest is None else f"{folder}{slash}{rest}"

    def _cell(self, name: str) -> str:
        return self._keys.seal_name(check_key(name), f"{_CELL_FOLDER}/")

    def _learn(self, name: str, key: str, header: bytes, *, size: int | None = None) -> Cipher:
        cipher = self._keys.blob(read_header(header), key)
        self._remember(name, _Known(cipher, size))
        return cipher

    def _remember(self, name: str, known: _Known) -> None:
        with self._lock:
            self._known[name] = known
            self._known.move_to_end(name)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._known.pop(name, None)

    def _recall(self, name: str) -> _Known | None:
        with self._lock:
            return self._known.get(name)


def create_encrypted(inner: Backend, secret: Secret) -> EncryptedBackend:
    """Make an empty place an encrypted one, with a new key that `secret` unlocks.

    Raises:
        PlaceInUseError: when there is a repository or a key already. MissingLibraryError.
    """
    return EncryptedBackend(inner, Keys.of(create_slots(inner, secret)))


def open_encrypted(inner: Backend, secret: Secret) -> EncryptedBackend:
    """Open an encrypted place.

    Raises:
        NotEncryptedError: when it is none. WrongSecretError. DamagedSlotsError. MissingLibraryError.
    """
    return EncryptedBackend(inner, Keys.of(unlock(inner, secret)))


def _segments(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's content in pieces of SEGMENT bytes, at least one."""
    piece = file.read(SEGMENT)
    while True:
        following = file.read(SEGMENT)
        yield piece
        if not following:
            return
        piece = following
