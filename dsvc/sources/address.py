"""Addresses of what is imported: `s3://`, `gs://`, `az://` and `https://` or `http://`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from dsvc.errors import UsageError

BUCKETS = ("s3", "gs", "az")
WEB = ("https", "http")
_HINTS = {
    "": "dsvc add takes files of this machine",
    "file": "dsvc add takes files of this machine",
    **dict.fromkeys(("dav", "webdav"), "a WebDAV server is read by http://, file by file"),
    **dict.fromkeys(("davs", "webdavs"), "a WebDAV server is read by https://, file by file"),
    **dict.fromkeys(("gcs", "gcp"), "gs://BUCKET/KEY"),
    **dict.fromkeys(("azure", "abfs", "abfss", "wasb", "wasbs"), "az://CONTAINER/KEY"),
}
_SIGNED = ("x-amz-signature", "x-goog-signature", "signature", "sig", "x-amz-security-token", "token", "access_token")


class BadSourceError(UsageError):
    """A text that is no address of something to import."""


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """`place` is the bucket, the container or the host with its port; `key` what lies in it, with its query if any."""

    scheme: str
    place: str
    key: str

    @property
    def is_bucket(self) -> bool:
        """Whether there is a listing of what lies there."""
        return self.scheme in BUCKETS

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key: how a copy of it may be called."""
        return self.key.partition("?")[0].rstrip("/").rpartition("/")[2]


def parse_source(text: str) -> SourceAddress:
    """Return the address that a text is.

    Raises:
        BadSourceError: for any other text.
    """
    hint = "s3://BUCKET/KEY, gs://BUCKET/KEY, az://CONTAINER/KEY or https://HOST/PATH"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise BadSourceError(f"{text!r} is no address: {error}", hint=hint) from error
    if parts.scheme not in (*BUCKETS, *WEB):
        raise BadSourceError(f"nothing can be imported from {text!r}", hint=_HINTS.get(parts.scheme, hint))
    if any(c < " " or c == "\x7f" for c in text):
        raise BadSourceError(f"{text!r} holds a control character", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise BadSourceError(
            "an address with a user name or a password in it is not taken: others would come to see it",
            hint="put them into ~/.netrc for http(s), or into the environment for buckets",
        )
    if not parts.netloc:
        raise BadSourceError(f"{text!r} names no {'bucket' if parts.scheme in BUCKETS else 'host'}", hint=hint)
    if parts.scheme in BUCKETS:  # a key may hold ? and #
        place, _, key = text.partition("://")[2].partition("/")
        return SourceAddress(parts.scheme, place, key)
    rest = urlunsplit(("", "", parts.path or "/", parts.query, "")).removeprefix("/")
    return SourceAddress(parts.scheme, parts.netloc, rest)


def is_signed(address: SourceAddress) -> bool:
    """Say whether an address lets everybody in who knows it, so that history should not keep it."""
    query = urlsplit(str(address)).query if not address.is_bucket else ""
    return any(name.lower() in _SIGNED for name, _ in parse_qsl(query, keep_blank_values=True))
