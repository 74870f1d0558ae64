"""Open places by address or by the name of a remote, from wherever one stands: no repository is needed here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.remote_access import member_at, store_inside
from dsvc.actions.remote_encryption import is_sealed
from dsvc.config.settings import Config
from dsvc.errors import RequestError
from dsvc.refs.log import RepositoryDeletedError
from dsvc.remotes.address import Address, FolderAddress, beside, parse_address
from dsvc.remotes.bundle_file import BundleBackend, BundleFixedError
from dsvc.remotes.encryption.keyslots import is_encrypted
from dsvc.remotes.opening import Place, PlaceMissingError, open_place
from dsvc.remotes.settings import RemoteSettings, read_kinds, read_remotes
from dsvc.repo.format import read_format
from dsvc.repo.member import FIRST, HERE, member_of
from dsvc.repo.repository import Repository
from dsvc.workspace import MAIN, PRIVATE, Surroundings
from dsvc.worktree.places import worktree_id


class OpenPlace(NamedTuple):
    """A repository at a place.

    `address` is what was asked for, `place` where its packs are, `at` the address of that, `member` which of the pool
    it is. `inside` says that it is the repository of a working copy, whose worktree's id `worktree` is.
    """

    address: Address
    place: Place
    at: Address
    repo: Repository
    member: str
    worktree: str
    inside: bool


class Opener(NamedTuple):
    """Opens places; `staging` is a folder for what is on its way."""

    config: Config
    surroundings: Surroundings
    directory: Path
    staging: Path

    def settings(self, text: str) -> RemoteSettings:
        """Return the remote of that name, or one for the address that it is."""
        return read_remotes(self.config).get(text) or RemoteSettings(None, text, by_kind=read_kinds(self.config))

    def address(self, settings: RemoteSettings) -> Address:
        """Return where a remote is."""
        return parse_address(settings.url, directory=self.directory)

    def open(self, settings: RemoteSettings, address: Address, *, create: bool = False) -> Place:
        """Open a place."""
        return open_place(
            address,
            options=settings.place_options,
            environment=self.surroundings.environment,
            staging=lambda: self.staging,
            create=create,
            limit_rate=self.surroundings.limit_rate,
        )


def refuse_sealed(settings: RemoteSettings) -> None:
    """Refuse to fork an encrypted remote.

    Raises:
        RequestError: saying why.
    """
    if is_sealed(settings):
        raise _sealed(settings)


def _sealed(settings: RemoteSettings) -> RequestError:
    return RequestError(
        f"{settings.shown} is encrypted, and an encrypted remote is not forked: its parent's key would open the fork",
        hint="clone it, and push the clone to a new remote: dsvc remote add --encrypt",
    )


def is_bare(folder: Path) -> bool:
    """Say whether a folder holds a repository without a working copy: one of a hub, or a remote's."""
    private = any(part == PRIVATE for part in folder.resolve().parts)
    own = (folder / "packs").is_dir() or (folder / "cells" / "format").is_dir()  # the latter is all that a fork has
    return not private and (folder / "cells").is_dir() and own


@contextmanager
def opened_place(opener: Opener, settings: RemoteSettings) -> Iterator[OpenPlace]:
    """Open the repository at a place, and close the place at the end.

    Raises:
        PlaceMissingError: when there is none. RequestError: when it is encrypted.
        RemoteError: when it cannot be reached.
    """
    refuse_sealed(settings)
    address = opener.address(settings)
    inside = store_inside(address)
    at = address if inside is None else FolderAddress(inside)
    worktree = MAIN
    if inside is not None and isinstance(address, FolderAddress):
        private = address.path if address.path.name == PRIVATE else address.path / PRIVATE
        worktree = worktree_id(private)
    place = opener.open(settings, at)
    try:
        if isinstance(place.backend, BundleBackend):
            raise BundleFixedError(place.backend.path)
        record = read_format(place.backend)
        if record is None:
            if is_encrypted(place.backend):
                raise _sealed(settings)
            raise PlaceMissingError(f"there is no repository at {settings.url}", hint="check the address")
        member = FIRST
        if record.pointer is not None:
            place.backend.close()
            at = beside(at, record.pointer.pool)
            place = opener.open(settings, at)
            member = member_at(place.backend, record.pointer.name, settings)
        try:
            repo = Repository.open(member_of(place.backend, member), place.staging, far=True)
        except RepositoryDeletedError:
            member = member_at(place.backend, HERE, settings)
            repo = Repository.open(member_of(place.backend, member), place.staging, far=True)
        yield OpenPlace(address, place, at, repo, member, worktree, inside is not None)
    finally:
        place.backend.close()
