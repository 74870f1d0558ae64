"""Public keys of SSH as one line of text: which are taken, and how they are named."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass

from dsvc.errors import RequestError

_FIELDS = {  # how many strings the binary form of a key of each type has, its type included
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
_RSA_BYTES = 2048 // 8
_COMMENT = 200


class BadKeyLineError(RequestError):
    """A text that is no public key, or one with more to it."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this is no public key of SSH: {reason}",
            hint="give the file that ends in .pub; it has one line, such as 'ssh-ed25519 AAAA... name'",
        )


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key: its type, its binary form in base64, and what people call it."""

    type: str
    data: str
    comment: str = ""

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` shows of it."""
        import hashlib

        digest = hashlib.sha256(base64.b64decode(self.data)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """The line that it was read from."""
        return f"{self.type} {self.data} {self.comment}".rstrip()


def parse_key(line: str) -> PublicKey:
    """Return the key in a line.

    Raises:
        BadKeyLineError: for one with options before it, of a type that is not taken, or that is not of its form.
    """
    words = line.strip().split(None, 2)
    if "PRIVATE KEY" in line:
        raise BadKeyLineError("it is a private key, which belongs to nobody but its owner")
    if not words or words[0] not in _FIELDS:
        raise BadKeyLineError(f"it begins with {words[0][:40]!r}, which is no type of key" if words else "it is empty")
    if len(words) == 1:
        raise BadKeyLineError("only its type is there")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadKeyLineError("it is not base64") from error
    parts = _strings(blob)
    if len(parts) != _FIELDS[words[0]] or parts[0] != words[0].encode():
        raise BadKeyLineError(f"it is not the {words[0]} that it says it is")
    if words[0] == "ssh-rsa" and len(parts[2].lstrip(b"\0")) < _RSA_BYTES:
        raise BadKeyLineError("its RSA key is shorter than 2,048 bits")
    comment = words[2] if len(words) == 3 else ""
    if not comment.isprintable():
        raise BadKeyLineError("its comment has control characters")
    return PublicKey(words[0], base64.b64encode(blob).decode(), comment[:_COMMENT].strip())


def parse_keys(text: str) -> list[PublicKey]:
    """Return the keys of a file, one a line; empty lines and those that begin with # are left out.

    Raises:
        BadKeyLineError: for any other line, and when there is none.
    """
    if "PRIVATE KEY" in text:
        raise BadKeyLineError("it is a private key, which belongs to nobody but its owner")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise BadKeyLineError("it is empty")
    return [parse_key(line) for line in lines]


def _strings(blob: bytes) -> list[bytes]:
    parts = []
    at = 0
    while at < len(blob):
        if len(blob) < at + 4:
            return []
        (length,) = struct.unpack_from(">I", blob, at)
        at += 4 + length
        if at > len(blob):
            return []
        parts.append(blob[at - length : at])
    return parts
