"""Open the place that an address names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dsvc.config.keys import Value
from dsvc.errors import RemoteError
from dsvc.remotes.address import Address, FolderAddress, S3Address, SshAddress
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend


class PlaceMissingError(RemoteError):
    """There is no repository at an address."""


class PlaceTakenError(RemoteError):
    """A folder that should become a repository holds something else."""


@dataclass(frozen=True, slots=True)
class Place:
    """An open place. `staging` gives a folder for packs under construction; `on_disk`: it lies on this machine."""

    backend: Backend
    staging: Callable[[], Path]
    on_disk: bool = False


def open_place(
    address: Address,
    *,
    options: Mapping[str, Value],
    environment: Mapping[str, str],
    staging: Callable[[], Path],
    create: bool = False,
) -> Place:
    """Open a place; with `create` a folder is made where it is missing.

    Raises:
        PlaceMissingError: for a folder that is not there. PlaceTakenError: for one with other things in it, when a
            repository is to be made there. RemoteError: when it cannot be reached.
    """
    if isinstance(address, FolderAddress):
        return _folder(address.path, create=create)
    if isinstance(address, S3Address):
        raise NotImplementedError(options, environment, staging)
    assert isinstance(address, SshAddress)
    raise NotImplementedError


def _folder(path: Path, *, create: bool) -> Place:
    if path.exists() and not path.is_dir():
        raise PlaceTakenError(f"{path} is not a folder", hint="name another place")
    if not path.exists():
        if not create:
            raise PlaceMissingError(f"there is no repository at {path}", hint="check the address: dsvc remote -v")
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise RemoteError(f"{path} cannot be made: {error.strerror}") from error
    elif create and not (path / "cells").is_dir() and any(path.iterdir()):
        raise PlaceTakenError(f"{path} holds other files and no repository", hint="name a new or an empty folder")
    backend = LocalBackend(path)
    return Place(backend, backend.staging, on_disk=True)
