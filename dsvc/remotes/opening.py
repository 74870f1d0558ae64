"""Open the place that an address names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dsvc.config.keys import Value
from dsvc.config.values import parse_size
from dsvc.errors import RemoteError, UsageError
from dsvc.remotes.address import Address, FolderAddress, S3Address, SshAddress
from dsvc.remotes.bundle_file import SUFFIX, BundleBackend, BundleFixedError, is_bundle
from dsvc.remotes.wire.publish import Publisher
from dsvc.remotes.wrappers.limited import OPTION, LimitedBackend, Limits, parse_rate
from dsvc.remotes.wrappers.retrying import RetryingBackend
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend

if TYPE_CHECKING:
    from dsvc.remotes.ssh.settings import SshSettings


class PlaceMissingError(RemoteError):
    """There is no repository at an address."""


class PlaceTakenError(RemoteError):
    """A folder that should become a repository holds something else."""


class BadOptionError(UsageError):
    """An option of a remote has a value that does not fit."""


class Place(NamedTuple):
    """An open place. `staging` gives a folder for packs under construction; `on_disk`: it lies on this machine."""

    backend: Backend
    staging: Callable[[], Path]
    on_disk: bool = False

    def publisher(self) -> Publisher | None:
        """Return what moves the refs there where that is a hub."""
        backend: Any = self.backend
        return backend if getattr(backend, "publishes", False) else None


def open_place(
    address: Address,
    *,
    options: Mapping[str, Value],
    environment: Mapping[str, str],
    staging: Callable[[], Path],
    create: bool = False,
    interactive: bool = False,
    limit_rate: int | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Place:
    """Open a place; with `create` a folder is made where it is missing. `options` are those of the remote and its kind.

    `limit_rate` is a limit in bytes a second each way, 0 for none; None leaves it to the option `limitRate`.
    `meanwhile` is called where another machine has to be waited for.

    Raises:
        PlaceMissingError: for a folder that is not there. PlaceTakenError: for one with other things in it, when a
            repository is to be made there. RemoteError: when it cannot be reached.
    """
    kind = "s3" if isinstance(address, S3Address) else "ssh" if isinstance(address, SshAddress) else ""
    limits = Limits(parse_rate(option(options, kind, OPTION, default=0) if limit_rate is None else limit_rate))
    if isinstance(address, FolderAddress):
        return _folder(address.path, create=create, limits=limits)
    if isinstance(address, S3Address):
        from dsvc.remotes.s3.backend import open_s3
        from dsvc.remotes.s3.settings import S3Settings

        given = _given(S3Settings, "s3", options, bucket=address.bucket, prefix=address.prefix)
        return Place(open_s3(S3Settings(**given), environment=environment, limits=limits), staging)
    assert isinstance(address, SshAddress)
    from dsvc.remotes.ssh.opening import open_ssh

    ssh = ssh_settings(address, options, interactive=interactive)
    return Place(open_ssh(ssh, environment=environment, create=create, limits=limits, meanwhile=meanwhile), staging)


def prepare_place(address: Address) -> None:
    """Import what opening this address takes longest for; meant for a thread beside one that waits for the disk."""
    if isinstance(address, S3Address):
        import dsvc.remotes.s3.backend  # noqa: F401

        with contextlib.suppress(ImportError):  # whoever opens it says so
            import botocore.client
            import botocore.session  # noqa: F401


def ssh_settings(address: SshAddress, options: Mapping[str, Value], *, interactive: bool = False) -> SshSettings:
    """Return how an SSH host is reached.

    Raises:
        RequestError: for an option that cannot be.
    """
    from dsvc.remotes.ssh.settings import SshSettings

    where: dict[str, Any] = {"host": address.host, "path": address.path, "user": address.user, "port": address.port}
    return SshSettings(**_given(SshSettings, "ssh", options, **where, interactive=interactive))


def option(options: Mapping[str, Value], kind: str, name: str, *, default: Value) -> Value:
    """Return an option of a remote, else that of all places of its kind: `region`, else `s3.region`."""
    return options.get(name, options.get(f"{kind}.{name}", default))


def _given(settings: Any, kind: str, options: Mapping[str, Value], **fixed: Any) -> dict[str, Any]:
    """Return the fields of a class of settings that a remote's options name; `partSize` is the field `part_size`."""
    given = dict(fixed)
    for field in fields(settings):
        name = _camel(field.name)
        key = name if name in options else f"{kind}.{name}"
        if field.name in fixed or key not in options:
            continue
        given[field.name] = _typed(key, str(field.type), options[key])
    return given


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _typed(key: str, kind: str, value: Value) -> Any:
    if kind.startswith("tuple"):
        return value if isinstance(value, tuple) else (str(value),)
    if kind.startswith("bool"):
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
    elif kind.startswith(("int", "float")):
        try:
            return float(str(value)) if kind.startswith("float") else int(str(value))
        except ValueError:
            size = parse_size(str(value)) if key.endswith("Size") else None
            if size is not None:
                return size
    else:
        return str(value)
    full = key if "." in key else f"remote.NAME.{key}"
    raise BadOptionError(f"{value!r} does not fit the option {full}", hint=f"dsvc config {full} VALUE")


_FIRST = frozenset({"cells", "lists", "packs", "segments", "tmp"})  # what a repository that is being made may have


def _folder(path: Path, *, create: bool, limits: Limits) -> Place:
    if path.name.endswith(SUFFIX) and not path.exists():
        raise PlaceMissingError(f"there is no bundle {path}", hint=f"dsvc bundle create {path} makes it")
    if is_bundle(path):
        if create:
            raise BundleFixedError(path)
        return Place(BundleBackend(path), lambda: path.parent, on_disk=True)
    if path.exists() and not path.is_dir():
        raise PlaceTakenError(f"{path} is not a folder", hint="name another place")
    if not path.exists():
        if not create:
            raise PlaceMissingError(f"there is no repository at {path}", hint="check the address: dsvc remote -v")
        try:
            path.mkdir(parents=True, exist_ok=True)  # somebody else may push there first, too
        except OSError as error:
            raise RemoteError(f"{path} cannot be made: {error.strerror}") from error
    elif create and not (path / "cells").is_dir() and any(entry.name not in _FIRST for entry in path.iterdir()):
        raise PlaceTakenError(f"{path} holds other files and no repository", hint="name a new or an empty folder")
    backend = RetryingBackend(LocalBackend(path))
    return Place(LimitedBackend(backend, limits) if limits.any else backend, backend.staging, on_disk=True)
