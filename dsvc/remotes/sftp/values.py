"""What SFTP packets are made of: numbers, strings and attributes of files (draft-ietf-secsh-filexfer-02)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dsvc.remotes.wire.frames import ProtocolError

_SIZE, _OWNER, _MODE, _TIMES, _MORE = 1, 2, 4, 8, 0x80000000


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is said of a file."""

    size: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether it is one."""
        return self.mode & 0o170000 == 0o040000


def string(text: str | bytes) -> bytes:
    """Return a string as it is sent: its length, then its bytes."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return struct.pack(">I", len(data)) + data


def need(body: bytes | None) -> bytes:
    """Return the body of an answer that must be there.

    Raises:
        ProtocolError: when there is none.
    """
    if body is None:
        raise ProtocolError("the SFTP server says that a file ended where none was read")
    return body


def number(body: bytes, at: int = 0) -> int:
    """Return the number at a place.

    Raises:
        ProtocolError: when it is too short.
    """
    if len(body) < at + 4:
        raise ProtocolError("the SFTP server sends a packet that is too short")
    return int.from_bytes(body[at : at + 4], "big")


def take(body: bytes, at: int) -> tuple[bytes, int]:
    """Return the string at a place, and where it ends.

    Raises:
        ProtocolError: when it is too short.
    """
    end = at + 4 + number(body, at)
    if end > len(body):
        raise ProtocolError("the SFTP server sends a packet that is too short")
    return body[at + 4 : end], end


def strings(body: bytes) -> list[bytes]:
    """Return the strings that a body is made of.

    Raises:
        ProtocolError: when it is too short.
    """
    found, at = [], 0
    while at < len(body):
        text, at = take(body, at)
        found.append(text)
    return found


def attributes_of(body: bytes) -> Attributes:
    """Return the attributes that a body is.

    Raises:
        ProtocolError: when it is too short.
    """
    return attributes_at(body, 0)[0]


def attributes_at(body: bytes, at: int) -> tuple[Attributes, int]:
    """Return the attributes at a place, and where they end.

    Raises:
        ProtocolError: when it is too short.
    """
    flags, at = number(body, at), at + 4
    size = mode = 0
    if flags & _SIZE:
        size, at = (number(body, at) << 32) | number(body, at + 4), at + 8
    if flags & _OWNER:
        at += 8
    if flags & _MODE:
        mode, at = number(body, at), at + 4
    if flags & _TIMES:
        at += 8
    if flags & _MORE:
        count, at = number(body, at), at + 4
        for _ in range(2 * count):
            _, at = take(body, at)
    return Attributes(size, mode), at
