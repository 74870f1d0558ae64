"""Errors that cross the wire: each has a word, so that the near end raises what the far end would have."""

from __future__ import annotations

import contextlib
import errno
from typing import Any

from dsvc.errors import BusyError, DsvcError, FormatTooNewError, IntegrityError, RemoteError, RequestError
from dsvc.refs.moved import RefMovedError
from dsvc.refs.names import BadRefNameError, check_name
from dsvc.storage.backend import BadKeyError, BlobDamagedError, BlobMissingError, SwapUncertainError


class RemoteFullError(RemoteError):
    """The far end has no room for what it is sent."""


class RemoteDeniedError(RemoteError):
    """The account at the far end may not do this; `output` is what a hook printed that said so."""

    def __init__(
        self, message: str, *, hint: str | None = None, details: dict[str, Any] | None = None, output: str = ""
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.output = output


class RemoteAbsentError(RemoteError):
    """There is nothing at the remote's path."""


_WORDS: tuple[tuple[type[DsvcError], str], ...] = (
    (BlobMissingError, "missing"),
    (BlobDamagedError, "damaged"),
    (BadKeyError, "key"),
    (SwapUncertainError, "uncertain"),
    (RefMovedError, "moved"),
    (BusyError, "busy"),
    (RemoteFullError, "full"),
    (RemoteDeniedError, "denied"),
    (RemoteAbsentError, "absent"),
    (RemoteError, "remote"),
    (IntegrityError, "integrity"),
    (FormatTooNewError, "format"),
)
_KINDS: dict[str, type[DsvcError]] = {word: kind for kind, word in _WORDS if word not in ("missing", "moved")}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def encode_error(error: Exception) -> dict[str, Any]:
    """Return the fields of an ERROR frame."""
    if isinstance(error, OSError):
        error = translate_os_error(error)
    if not isinstance(error, DsvcError):
        text = f"{type(error).__name__}: {error}".partition("\n")[0][:1000]
        return {"kind": "failed", "message": f"dsvc at the other end failed ({text})"}
    word = next((word for kind, word in _WORDS if isinstance(error, kind)), "request")
    fields: dict[str, Any] = {"kind": word, "message": error.message[:4000]}
    if error.hint is not None:
        fields["hint"] = error.hint[:1000]
    if isinstance(error, BlobMissingError):
        fields["key"] = error.key
    if isinstance(error, RefMovedError):
        fields["ref"] = error.name
    if isinstance(error, RemoteDeniedError) and error.output:
        fields["output"] = error.output
    return fields


def decode_error(fields: dict[str, Any], place: str) -> DsvcError:
    """Return the error of an ERROR frame that came from `place`."""
    kind = fields.get("kind")
    message = f"{place}: {_printable(fields.get('message') or 'the other end does not say why')}"
    hint = fields.get("hint")
    hint = _printable(hint) if hint else None
    if kind == "missing":
        return BlobMissingError(_printable(fields.get("key")), place)
    if kind == "moved":
        with contextlib.suppress(BadRefNameError):
            return RefMovedError(check_name(str(fields.get("ref"))))
        kind = "busy"
    if kind == "denied":
        return RemoteDeniedError(message, hint=hint, output=str(fields.get("output") or ""))
    if kind == "request":
        return RequestError(message, hint=hint)
    if kind == "format":
        hint = "install a newer dsvc there"
    return _KINDS.get(str(kind), RemoteError)(message, hint=hint)


def translate_os_error(error: OSError) -> DsvcError:
    """Return what a refusal of the far end's machine means for the near end."""
    text = error.strerror or str(error)
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    if error.errno in _FULL:
        return RemoteFullError(
            f"the disk is full: {text}{where}",
            hint="make room there and run the command again; what has arrived is kept",
        )
    if error.errno in _DENIED:
        return RemoteDeniedError(
            f"the account may not do this: {text}{where}", hint="check owner and mode of the folder there"
        )
    return RemoteError(f"the machine refuses: {text}{where}")


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text[:4000])
