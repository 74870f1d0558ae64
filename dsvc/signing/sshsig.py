"""The form of an SSH signature: who made it and for what, as far as it says so itself.

The form is OpenSSH's, PROTOCOL.sshsig: text between two marker lines, base64 of `SSHSIG`, a version, the public key,
the namespace, a reserved field, the name of a hash and the signature proper.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final, NamedTuple

NAMESPACE: Final = "dsvc"
"""What dsvc's signatures are made for. It is in the signed bytes, so that nothing that a key signed elsewhere (a git
commit, a file, a login) is a signature of a commit here, nor the other way round; and a line of the allowed signers
can limit a key to it with `namespaces="dsvc"`."""

_BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----"
_END: Final = b"-----END SSH SIGNATURE-----"
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_LENGTH: Final = struct.Struct(">I")
_TYPES: Final = {
    b"ssh-ed25519": "ED25519",
    b"ssh-rsa": "RSA",
    b"sk-ssh-ed25519@openssh.com": "ED25519-SK",
    b"sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA-SK",
}


class SshSignature(NamedTuple):
    """What a signature says of itself; nothing of it is checked. `key` is the public key as OpenSSH encodes it."""

    key: bytes
    namespace: str
    key_type: str
    fingerprint: str


def is_ssh_signature(signature: bytes) -> bool:
    """Say whether it is at least dressed as an SSH signature."""
    return signature.lstrip().startswith(_BEGIN)


def read_signature(signature: bytes) -> SshSignature | None:
    """Return what a signature says of itself, None where it is not of the form."""
    text = signature.strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        return None
    try:
        blob = base64.b64decode(b"".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except binascii.Error:
        return None
    if not blob.startswith(_MAGIC) or blob[6:10] != _LENGTH.pack(_VERSION):
        return None
    key, at = _string(blob, 10)
    namespace, _ = _string(blob, at)
    kind, _ = _string(key, 0) if key else (b"", 0)
    if not kind or namespace is None:
        return None
    return SshSignature(key or b"", _printable(namespace), _type(kind), _fingerprint(key or b""))


def _string(blob: bytes, at: int) -> tuple[bytes | None, int]:
    """Return the string that begins at `at` behind its length, and where it ends; None where it does not fit."""
    if at + _LENGTH.size > len(blob):
        return None, len(blob)
    (length,) = _LENGTH.unpack_from(blob, at)
    start = at + _LENGTH.size
    return (blob[start : start + length], start + length) if start + length <= len(blob) else (None, len(blob))


def _type(kind: bytes) -> str:
    if kind in _TYPES:
        return _TYPES[kind]
    return "ECDSA" if kind.startswith(b"ecdsa-") else _printable(kind)


def _printable(text: bytes) -> str:
    """Return a text that a stranger chose, without what could move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text.decode("utf-8", "replace"))


def _fingerprint(key: bytes) -> str:
    import hashlib

    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
