"""Open a remote from a workspace: its repository, and the folders here in which a transfer is under way."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from dsvc.actions.remote_encryption import SealedPlaceError, is_sealed, sealed_place
from dsvc.errors import BusyError, IntegrityError, NotARepositoryError, RemoteError, RequestError
from dsvc.objects.reliance import CollectedError
from dsvc.refs.log import RepositoryDeletedError
from dsvc.refs.names import HEADS, head_of
from dsvc.refs.view import Ref, Symbolic, View
from dsvc.remotes.address import Address, FolderAddress, beside, found_address, parse_address
from dsvc.remotes.bundle_file import BundleBackend, BundleFixedError
from dsvc.remotes.encryption.keyslots import is_encrypted
from dsvc.remotes.opening import Place, PlaceMissingError, open_place
from dsvc.remotes.settings import RemoteSettings, UnknownRemoteError, find_remote, read_remotes
from dsvc.remotes.transfer.berth import Berth
from dsvc.remotes.transfer.gathered import GatheredBackend
from dsvc.remotes.transfer.outbox import Outbox
from dsvc.remotes.transfer.patience import Patience
from dsvc.remotes.wire.publish import Publisher
from dsvc.remotes.wrappers.cached import CachedBackend
from dsvc.repo.family import PoolMissingError, find_member
from dsvc.repo.lineage import read_lineage
from dsvc.repo.member import FIRST, HERE, member_of, pool_of
from dsvc.repo.repository import PooledElsewhereError, Repository
from dsvc.storage.backend import Backend, BlobMissingError
from dsvc.workspace import MAIN, PRIVATE, Workspace, common_folder, store_folder

DEFAULT = "origin"
_ATTEMPTS = 20  # with a head that goes on moving
_WHOLE = 128 << 10  # bytes of a pack of metadata that is read at once: one request for its index and what is in it
_FIRSTS = 10  # of several first pushes at once all but one find the repository that another one made


Result = TypeVar("Result")


class OwnUpkeepError(RequestError):
    """A remote is the repository of a working copy: whoever works there tends it."""


class OpenRemote(NamedTuple):
    """A remote that can be read. `created` says that there was no repository before.

    `folder` is for what belongs to it here, and `berth` the part of it that this process holds.
    `publisher` moves the refs of a hub, which lets nobody swap its head. For a fork `place` is the pool of its
    family.
    """

    settings: RemoteSettings
    address: str
    place: Place
    repo: Repository
    folder: Path
    berth: Berth
    has_working_copy: bool
    created: bool = False
    publisher: Publisher | None = None

    @property
    def member(self) -> str:
        """Which repository of its pool it is."""
        return pool_of(self.repo.backend)[1]

    @property
    def outbox(self) -> Outbox:
        """Where packs wait that are on their way there."""
        return Outbox(self.berth.path() / "out", self.address)

    @property
    def inbox(self) -> Path:
        """Where bytes land that are on their way here."""
        return self.berth.path() / "in"

    def view(self) -> View:
        """All its refs."""
        return self.repo.view()

    def takes_ledgers(self) -> bool:
        """Say whether a push may bring ledgers: to a place of blobs always, to a hub that knows them."""
        return self.publisher is None or self.publisher.takes_ledgers

    def default_branch(self) -> str | None:
        """The full name of the branch on which it stands, None where none is known."""
        ref = self.view().get(head_of(MAIN))
        return ref.target if isinstance(ref, Symbolic) else None

    def parent(self) -> str | None:
        """The address of the repository that it was forked from, None for one that is no fork."""
        lineage = read_lineage(self.repo.backend)
        where = parse_address(self.address, directory=Path("/"))
        return None if lineage is None else found_address(where, lineage.parent)

    def checked_out(self) -> set[str]:
        """The branches on which working copies there stand, which a push may not move."""
        if not self.has_working_copy:
            return set()
        heads = (ref for name, ref in self.view().items("worktrees/") if name.endswith("/HEAD"))
        return {ref.target for ref in heads if isinstance(ref, Symbolic)}


def steadily(workspace: Workspace, remote: OpenRemote, work: Callable[[], Result]) -> Result:
    """Return what `work` does, which is done anew when it missed what other processes exchanged meanwhile.

    Packs are merged and garbage is collected here and there at any time, and each moves a head: what is missing while
    both heads stand is really missing.

    Raises:
        What `work` raises.
    """
    for _ in range(_ATTEMPTS):
        before = workspace.repo.head.value, remote.repo.head.value
        try:
            return work()
        except (CollectedError, IntegrityError, FileNotFoundError) as error:
            workspace.repo.refresh()
            remote.repo.refresh()
            moved = before != (workspace.repo.head.value, remote.repo.head.value)
            if not moved and not isinstance(error, CollectedError):
                raise
    return work()


def choose_remote(workspace: Workspace, text: str | None, *, directory: Path | None = None) -> RemoteSettings:
    """Return the remote that is meant: the one named, else the current branch's, else origin, else the only one.

    A folder that is given in place of a name counts from `directory`, or from the root of the working copy.

    Raises:
        UnknownRemoteError: when there is none, or several and none is called origin.
    """
    if text is not None:
        try:
            found = find_remote(workspace.config, text)
        except UnknownRemoteError as error:
            if workspace.view().get(HEADS + text) is not None and read_remotes(workspace.config):
                name = choose_remote(workspace, None).typed
                raise UnknownRemoteError(
                    f"there is no remote {text!r}, that is a branch", hint=f"name the remote first, as in {name} {text}"
                ) from error
            raise
        return found if found.name else replace(found, url=settled(text, directory or workspace.root))
    remotes = read_remotes(workspace.config)
    branch = workspace.head().branch
    configured = upstream_remote(workspace, branch) if branch else None
    for name in (configured, DEFAULT, *(remotes if len(remotes) == 1 else ())):
        if name in remotes:
            return remotes[name]
    if remotes:
        raise UnknownRemoteError("which remote?", hint=f"there are: {', '.join(remotes)}")
    raise UnknownRemoteError("this repository has no remote", hint="dsvc remote add origin ADDRESS")


def settled(url: str, directory: Path) -> str:
    """Return an address as it is kept: a folder as an absolute path, everything else as it was typed.

    Raises:
        BadAddressError: when it is none.
    """
    address = parse_address(url, directory=directory)
    return str(address) if isinstance(address, FolderAddress) and "://" not in url else url


def transfers(workspace: Workspace, name: str) -> Path:
    """Return the folder for what is under way to and from a remote."""
    return workspace.common / "transfers" / name


def upstream_remote(workspace: Workspace, branch: str) -> str | None:
    """Return the name of the remote that a branch (full name) follows, or None."""
    from dsvc.config.keys import join_key

    return workspace.config.get_str(join_key(("branch", branch.removeprefix(HEADS), "remote")))


@contextmanager
def open_remote(
    workspace: Workspace,
    settings: RemoteSettings,
    *,
    create: bool = False,
    push: bool = False,
    salvage: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[OpenRemote]:
    """Open a remote, and close it at the end; with `create` a repository is made at an empty place.

    `meanwhile` is called where a far end has to be waited for. With `salvage` it is opened although index segments are
    lost (see `Repository.open`).

    Raises:
        PlaceMissingError: when there is none. RemoteError: when it cannot be reached. FormatTooNewError: when it
            needs a newer dsvc.
    """
    url = settings.push_url if push and settings.push_url else settings.url
    address = parse_address(url, directory=workspace.root)
    folder = transfers(workspace, _folder_name(settings, str(address)))
    inside = store_inside(address)
    berth = Berth(folder)
    place = _place(workspace, settings, address, staging=lambda: _staging(berth), create=create, meanwhile=meanwhile)
    try:
        publisher = place.publisher()
        if is_sealed(settings):
            if publisher is not None:
                raise RemoteError(
                    f"{settings.shown} is a hub, which checks what is pushed and cannot check what is encrypted",
                    hint="leave --encrypt out, or use a folder of that host without accounts",
                )
            place = sealed_place(workspace, place, settings, staging=lambda: _staging(berth), create=create)
        cache = workspace.cache / "remotes" / f"{folder.name}.d"
        place = _with_cache(place, cache)
        try:
            repo, created = _open(workspace, place, settings, create=create, salvage=salvage)
        except PooledElsewhereError as error:
            place.backend.close()
            at = beside(address, error.pointer.pool)
            try:
                pool = _place(workspace, settings, at, staging=lambda: _staging(berth), create=False)
            except PlaceMissingError as missing:
                lost = PoolMissingError(str(at))
                raise PlaceMissingError(lost.message, hint=lost.hint) from missing
            place = _with_cache(pool, cache)
            member = member_at(pool.backend, error.pointer.name, settings)
            repo, created = _open(workspace, place, settings, create=False, salvage=salvage, member=member)
        repo.store.near = workspace.repo.store
        repo.store.packs.whole = 0 if place.on_disk else _WHOLE
        repo.store.own.calls.far = not place.on_disk
        repo.patience = Patience
        yield OpenRemote(settings, str(address), place, repo, folder, berth, inside is not None, created, publisher)
    except IntegrityError as error:
        if isinstance(place.backend, CachedBackend) and not isinstance(error, BlobMissingError):
            place.backend.forget()  # the next command asks the remote again
        raise
    finally:
        place.backend.close()
        berth.close()


@contextmanager
def open_bare_place(workspace: Workspace, settings: RemoteSettings) -> Iterator[Backend]:
    """Open a remote's place as it is, encrypted or not, and close it at the end.

    Raises:
        PlaceMissingError: for a folder that is not there. RemoteError: when it cannot be reached.
    """
    address = parse_address(settings.url, directory=workspace.root)
    berth = Berth(transfers(workspace, _folder_name(settings, str(address))))
    place = _place(workspace, settings, address, staging=lambda: _staging(berth), create=False)
    try:
        yield place.backend
    finally:
        place.backend.close()
        berth.close()


@contextmanager
def tended_remote(
    workspace: Workspace, settings: RemoteSettings, *, jobs: int = 8, salvage: bool = False
) -> Iterator[OpenRemote]:
    """Open a remote for work on its packs, see `near_remote`.

    Raises:
        OwnUpkeepError: for the repository of a working copy. What `open_remote` raises.
    """
    with near_remote(workspace, settings, jobs=jobs, push=True, salvage=salvage) as remote:
        if isinstance(remote.place.backend, BundleBackend):
            raise BundleFixedError(remote.place.backend.path)
        if remote.has_working_copy or not remote.repo.is_far:
            raise OwnUpkeepError(
                f"{settings.shown} is the repository of a working copy, which keeps itself in order",
                hint="run the same command there, without --remote",
            )
        yield remote


@contextmanager
def near_remote(
    workspace: Workspace, settings: RemoteSettings, *, jobs: int = 8, push: bool = False, salvage: bool = False
) -> Iterator[OpenRemote]:
    """Open a remote of which many packs will be read: that is fetched ahead, several ranges at once.

    Raises:
        What `open_remote` raises.
    """
    with open_remote(workspace, settings, push=push, salvage=salvage) as remote:
        if remote.place.on_disk:
            yield remote
            return
        if salvage and isinstance(remote.place.backend, CachedBackend):
            remote.place.backend.forget()  # what lies there is to be looked at
        ahead = remote.berth.path() / "ahead"
        shutil.rmtree(ahead, ignore_errors=True)  # of a process that was killed
        gathered = GatheredBackend(remote.place.backend, ahead, jobs=jobs)
        try:
            place = remote.place._replace(backend=gathered)
            repo, _ = _open(workspace, place, settings, create=False, salvage=salvage, member=remote.member)
            yield remote._replace(place=place, repo=repo)
        finally:
            gathered.close()


def _place(
    workspace: Workspace,
    settings: RemoteSettings,
    address: Address,
    *,
    staging: Callable[[], Path],
    create: bool,
    meanwhile: Callable[[], None] | None = None,
) -> Place:
    inside = store_inside(address)
    return open_place(
        FolderAddress(inside) if inside is not None else address,
        options=settings.place_options,
        environment=workspace.surroundings.environment,
        staging=staging,
        create=create,
        limit_rate=workspace.surroundings.limit_rate,
        meanwhile=meanwhile,
    )


def member_at(pool: Backend, name: str, settings: RemoteSettings) -> str:
    """Return the id of the repository that the family of a pool has at a place.

    Raises:
        PlaceMissingError: when it is not finished, or was deleted.
    """
    try:
        return find_member(pool, name)
    except NotARepositoryError as error:
        raise PlaceMissingError(f"{settings.shown}: {error.message}", hint=error.hint) from error


def _with_cache(place: Place, folder: Path) -> Place:
    return place if place.on_disk else place._replace(backend=CachedBackend(place.backend, folder))


def _staging(berth: Berth) -> Path:
    found = berth.path() / "tmp"
    found.mkdir(exist_ok=True)
    return found


def _open(
    workspace: Workspace,
    place: Place,
    settings: RemoteSettings,
    *,
    create: bool,
    salvage: bool = False,
    member: str = FIRST,
) -> tuple[Repository, bool]:
    level = workspace.config.get_int("store.compression")
    act = workspace.act("init", f"init by a push from {workspace.root.name}")
    refs: dict[str, Ref] = {head_of(MAIN): Symbolic(workspace.head().branch or f"{HEADS}{MAIN}")}
    for attempt in range(_FIRSTS):
        try:
            backend = member_of(place.backend, member)
            far = Repository.open(backend, place.staging, level=level, far=True, salvage=salvage, called=settings.shown)
            return far, False
        except PooledElsewhereError:
            raise
        except RepositoryDeletedError:
            later = member_at(place.backend, HERE, settings)  # one that was made there since
            if later == member:
                raise
            member = later
            continue
        except NotARepositoryError as error:
            if not is_sealed(settings) and is_encrypted(place.backend):
                raise SealedPlaceError(settings) from error
            if not create or attempt == _FIRSTS - 1:
                hint = f"a first push makes one: dsvc push {settings.typed}"
                raise PlaceMissingError(f"there is no repository at {settings.url}", hint=hint) from error
        with suppress(BusyError):  # somebody else's first push is under way
            return Repository.create(place.backend, place.staging, act=act, refs=refs, far=True), True
    raise AssertionError


def store_inside(address: Address) -> Path | None:
    """Return the store of a repository with a working copy, None where the address is something else."""
    if isinstance(address, FolderAddress):
        private = address.path if address.path.name == PRIVATE else address.path / PRIVATE
        if private.is_dir():
            return store_folder(common_folder(private))
    return None


def _folder_name(settings: RemoteSettings, address: str) -> str:
    return settings.name or "url-" + hashlib.blake2b(os.fsencode(address), digest_size=8).hexdigest()
