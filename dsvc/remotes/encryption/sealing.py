"""Authenticated encryption of blobs, cells and names, by keys that follow from one. docs/formats/encryption.md.

A blob is sealed in segments, so that a range can be read without the rest. Each segment's nonce is its number and
whether it is the last one: one that is moved, repeated or left out, and an end that is cut off, do not open.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from blake3 import blake3

from dsvc.errors import IntegrityError, RequestError

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
SEGMENT: Final = 64 << 10
"""Plain bytes of every segment but the last, which is shorter and is empty only in an empty blob."""
TAG: Final = 16
SEALED: Final = SEGMENT + TAG
MAGIC: Final = b"dsvcenc1"
HEADER: Final = len(MAGIC) + SALT_BYTES
MAX_NAME: Final = 143  # sealed and in base32 it is a file name of 255 characters

_BLOBS, _SALTS = "dsvc encryption blobs v1", "dsvc encryption salts v1"
_CELLS, _NAMES = "dsvc encryption cells v1", "dsvc encryption names v1"


class DoesNotOpenError(IntegrityError):
    """Encrypted bytes were damaged, moved, cut off, or made with another key."""


class MissingLibraryError(RequestError):
    """The library for encryption is not installed."""

    def __init__(self) -> None:
        super().__init__("encryption needs the package cryptography", hint="pip install 'dsvc[encrypt]'")


class Cipher(Protocol):
    """AES-256-GCM with one key, as the package cryptography has it."""

    def encrypt(self, nonce: bytes, data: Any, associated_data: bytes | None, /) -> bytes:
        """Return the sealed bytes and their tag."""

    def decrypt(self, nonce: bytes, data: Any, associated_data: bytes | None, /) -> bytes:
        """Return the plain bytes."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What follows from the one key of an encrypted place."""

    blobs: bytes = field(repr=False)
    salts: bytes = field(repr=False)
    cells: bytes = field(repr=False)
    names: Any = field(repr=False)

    @classmethod
    def of(cls, master: bytes) -> Keys:
        """Derive them; raises MissingLibraryError."""
        ciphers = _ciphers()
        names = blake3(master, derive_key_context=_NAMES).digest(2 * KEY_BYTES)
        blobs, salts, cells = (_derived(master, context) for context in (_BLOBS, _SALTS, _CELLS))
        return cls(blobs, salts, cells, ciphers.AESSIV(names))

    def salt(self, name: str, content: bytes | Path) -> bytes:
        """Return the salt of a blob: one for each name and content, of which nobody can tell it from a random one.

        So a blob that is sealed again is the same, and an upload that was cut off can go on. What is sealed with one
        salt is only ever one content, so no nonce serves two.
        """
        hasher = blake3(name.encode() + b"\0", key=self.salts)
        if isinstance(content, Path):
            hasher.update_mmap(content)
        else:
            hasher.update(content)
        return hasher.digest(SALT_BYTES)

    def blob(self, salt: bytes, name: str) -> Cipher:
        """Return the cipher of one blob, which no other blob has."""
        return gcm(blake3(salt + name.encode(), key=self.blobs).digest())

    def seal_cell(self, name: str, value: bytes) -> bytes:
        """Return the sealed value of a cell; each time another one."""
        salt = os.urandom(SALT_BYTES)
        return MAGIC + salt + self._cell(salt, name).encrypt(nonce(0, last=True), value, None)

    def open_cell(self, name: str, sealed: bytes) -> bytes:
        """Return the value of a cell; raises DoesNotOpenError."""
        salt = read_header(sealed)
        return opened(self._cell(salt, name), sealed[HEADER:], number=0, last=True)

    def _cell(self, salt: bytes, name: str) -> Cipher:
        return gcm(blake3(salt + name.encode(), key=self.cells).digest())

    def seal_name(self, name: str, folder: str) -> str:
        """Return a name's sealed form, always the same: 26 letters and digits, and 8 more for each 5 bytes."""
        sealed = self.names.encrypt(name.encode(), [folder.encode()])
        return base64.b32encode(sealed).decode().rstrip("=").lower()

    def open_name(self, sealed: str, folder: str) -> str | None:
        """Return the name, None for one that was not sealed with this key for this folder."""
        try:
            data = base64.b32decode(sealed.upper() + "=" * (-len(sealed) % 8))
            name: bytes = self.names.decrypt(data, [folder.encode()])
            return name.decode()
        except (ValueError, _ciphers().InvalidTag):
            return None


def _derived(master: bytes, context: str) -> bytes:
    return blake3(master, derive_key_context=context).digest(KEY_BYTES)


def gcm(key: bytes) -> Cipher:
    """Return the cipher of a key of 32 bytes; raises MissingLibraryError."""
    cipher: Cipher = _ciphers().AESGCM(key)
    return cipher


class _Ciphers(NamedTuple):
    AESGCM: Any
    AESSIV: Any
    InvalidTag: type[Exception]


def _ciphers() -> _Ciphers:
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
    except ImportError as error:
        raise MissingLibraryError from error
    return _Ciphers(AESGCM, AESSIV, InvalidTag)


def nonce(number: int, *, last: bool) -> bytes:
    """Return the nonce of a segment: its number in 11 bytes, and whether it is the last one."""
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def opened(cipher: Cipher, data: bytes | memoryview, *, number: int, last: bool) -> bytes:
    """Return a segment's plain bytes; raises DoesNotOpenError."""
    try:
        return cipher.decrypt(nonce(number, last=last), data, None)
    except (ValueError, _ciphers().InvalidTag):
        raise DoesNotOpenError(f"segment {number} does not open") from None


def read_header(data: bytes) -> bytes:
    """Return the salt at the beginning of what was sealed; raises DoesNotOpenError."""
    if len(data) < HEADER or not data.startswith(MAGIC):
        raise DoesNotOpenError("it does not begin as what dsvc encrypts")
    return data[len(MAGIC) : HEADER]


def sealed_size(plain: int) -> int:
    """Return the bytes of a sealed blob."""
    return HEADER + plain + TAG * max(1, -(-plain // SEGMENT))


def plain_size(sealed: int) -> int:
    """Return the plain bytes of a sealed blob; of one that is cut off as many as there can be."""
    body = max(sealed - HEADER, 0)
    return max(body - TAG * -(-body // SEALED), 0)


def seal(keys: Keys, name: str, salt: bytes, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield a sealed blob: its header, then a segment for each of `pieces`.

    All of them are of SEGMENT bytes but the last. At least one must come; an empty one stands for an empty blob.
    """
    cipher = keys.blob(salt, name)
    yield MAGIC + salt
    number, held = 0, None
    for piece in pieces:
        if held is not None:
            yield cipher.encrypt(nonce(number, last=False), held, None)
            number += 1
        held = piece
    assert held is not None, "an empty blob is one empty piece"
    yield cipher.encrypt(nonce(number, last=True), held, None)


def open_segments(cipher: Cipher, data: memoryview, *, first: int, last: bool | None) -> Iterator[bytes]:
    """Yield the plain segments in `data`, of which the first has the number `first`.

    `last` says whether the blob ends where `data` does; None: it is not known, and the segment tells.

    Raises:
        DoesNotOpenError: for the first one that is not as it was sealed.
    """
    count = max(1, -(-len(data) // SEALED))
    for at in range(count):
        piece, number = data[at * SEALED : (at + 1) * SEALED], first + at
        if at < count - 1 or last is False:
            yield opened(cipher, piece, number=number, last=False)
        elif last is None and len(piece) == SEALED:
            try:
                yield opened(cipher, piece, number=number, last=False)
            except DoesNotOpenError:
                yield opened(cipher, piece, number=number, last=True)
        else:
            yield opened(cipher, piece, number=number, last=True)
