"""Where a remote is: a folder, a folder of an SSH host, or a prefix in a bucket."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from dsvc.errors import UsageError

_SCP = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>\[[^\]/]+\]|[^@/:\s\[\]]+):(?!//)(?P<path>.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class BadAddressError(UsageError):
    """A text that is no address of a remote."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(
            f"{text!r} is not the address of a remote: {reason}",
            hint="a folder, file:///folder, ssh://user@host/folder, user@host:folder or s3://bucket/prefix",
        )


class FolderAddress(NamedTuple):
    """A folder that this machine sees."""

    path: Path

    def __str__(self) -> str:
        """The path."""
        return os.fspath(self.path)


class SshAddress(NamedTuple):
    """A folder on an SSH host; a relative path counts from the home folder there."""

    user: str | None
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        """The address as a URL; a relative path has `~` before it."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"ssh://{user}{host}{port}{self.path if self.path.startswith('/') else '/~/' + self.path}"


class S3Address(NamedTuple):
    """The keys of a bucket that begin with a prefix; the prefix has no slash at its ends."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        """The address as a URL."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


Address = FolderAddress | SshAddress | S3Address


def beside(address: Address, way: str) -> Address:
    """Return the address to which a way leads, such as `../other`, of the same kind and host."""
    if isinstance(address, FolderAddress):
        return FolderAddress(Path(os.path.normpath(os.path.join(os.path.realpath(address.path), way))))
    if isinstance(address, S3Address):
        return address._replace(prefix=posixpath.normpath(f"/{address.prefix}/{way}").strip("/"))
    path = way[2:] if way.startswith("~/") else posixpath.normpath(posixpath.join(address.path, way))
    return address._replace(path=path)


def way_between(here: Address, there: Address) -> str:
    """Return the way from one address to another one of the same place, as `beside` follows it."""
    if isinstance(here, FolderAddress) and isinstance(there, FolderAddress):
        return os.path.relpath(os.path.realpath(there.path), os.path.realpath(here.path))
    if isinstance(here, S3Address) and isinstance(there, S3Address):
        return posixpath.relpath(f"/{there.prefix}", f"/{here.prefix}")
    assert isinstance(here, SshAddress)
    assert isinstance(there, SshAddress)
    if here.path.startswith("/") != there.path.startswith("/"):
        return there.path if there.path.startswith("/") else f"~/{there.path}"
    return posixpath.relpath(there.path, here.path)


def kept_address(address: Address) -> str:
    """Return an address as a URL that means the same at another place."""
    return f"file://{quote(os.fspath(address.path))}" if isinstance(address, FolderAddress) else str(address)


def common_address(address: Address) -> str:
    """Return an address as everybody who means the same place writes it: without the account of an absolute path."""
    if isinstance(address, SshAddress) and address.path.startswith("/"):
        address = address._replace(user=None, port=None if address.port == 22 else address.port)
    return str(address)


def found_address(address: Address, text: str) -> str:
    """Return the address that a repository at `address` recorded as `text`: a URL, or a way from there."""
    return text if "://" in text else str(beside(address, text))


def same_place(one: Address, other: Address) -> bool:
    """Say whether two addresses are of one machine as it is named, or of one bucket."""
    if isinstance(one, SshAddress) and isinstance(other, SshAddress):
        return (one.user, one.host, one.port) == (other.user, other.host, other.port)
    if isinstance(one, S3Address) and isinstance(other, S3Address):
        return one.bucket == other.bucket
    return isinstance(one, FolderAddress) and isinstance(other, FolderAddress)


def parse_address(text: str, *, directory: Path) -> Address:
    """Return the place that a text names; a relative folder counts from `directory`.

    Raises:
        BadAddressError: when it is of no known form.
    """
    if not text or any(ord(character) < 32 for character in text):
        raise BadAddressError(text, "it is empty or has control characters")
    scheme, separator, rest = text.partition("://")
    if separator:
        return _url(text, scheme.lower(), rest)
    found = _SCP.fullmatch(text)
    if found is not None and not (directory / text).exists():
        return SshAddress(found["user"], _host(text, found["host"].strip("[]")), None, _remote_path(found["path"]))
    return FolderAddress(Path(os.path.normpath(directory / os.path.expanduser(text))))


def _url(text: str, scheme: str, rest: str) -> Address:
    if scheme == "file":
        host, slash, path = rest.partition("/")
        if host not in ("", "localhost") or not slash:
            raise BadAddressError(text, "file:// is followed by an absolute path, as in file:///srv/project")
        return FolderAddress(Path(os.path.normpath("/" + unquote(path))))
    if scheme == "ssh":
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise BadAddressError(text, str(error)) from error
        if not parts.hostname or not parts.path.strip("/"):
            raise BadAddressError(text, "a host and a folder are needed")
        user = unquote(parts.username) if parts.username else None
        if parts.password is not None:
            raise BadAddressError("ssh://", "a password does not belong into an address; use a key")
        return SshAddress(user, _host(text, parts.hostname), port, _remote_path(unquote(parts.path)))
    if scheme == "s3":
        bucket, _, prefix = rest.partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise BadAddressError(text, f"{bucket!r} is no name of a bucket")
        return S3Address(bucket, prefix.strip("/"))
    raise BadAddressError(text, f"{scheme}:// is not known")


def _host(text: str, host: str) -> str:
    if host.startswith("-"):  # a host that would be taken for an option of ssh
        raise BadAddressError(text, "a host may not begin with a dash")
    return host


def _remote_path(path: str) -> str:
    """Return a path on a host: `/~/x` and `~/x` count from the home folder, as `x` does."""
    for home in ("/~/", "~/"):
        if path.startswith(home):
            return path[len(home) :] or "."
    return path or "."
