"""Fork a repository at a place to another place: within one by sharing its packs, otherwise by copying them."""

from __future__ import annotations

import os
import shlex
import socket
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dsvc.actions.places import Opener, OpenPlace, opened_place, refuse_sealed
from dsvc.config.settings import Config
from dsvc.errors import NotARepositoryError, RemoteError
from dsvc.progress import Progress, Silent
from dsvc.refs.names import head_of, short_name
from dsvc.refs.transaction import Act
from dsvc.refs.view import Symbolic
from dsvc.remotes.address import (
    Address,
    FolderAddress,
    SshAddress,
    beside,
    kept_address,
    same_place,
    way_between,
)
from dsvc.remotes.encryption.keyslots import is_encrypted
from dsvc.remotes.opening import Place, PlaceTakenError
from dsvc.remotes.settings import RemoteSettings
from dsvc.remotes.transfer.copying import Copied, copy_packs
from dsvc.remotes.wire.forks import Forker
from dsvc.repo.family import change_family, find_member
from dsvc.repo.folding import fold
from dsvc.repo.forking import fork_member, publish_first
from dsvc.repo.format import FAR, Format, Pointer, pointing, read_format, write_format
from dsvc.repo.lineage import Lineage
from dsvc.repo.repository import Repository
from dsvc.repo.sharing import share_packs
from dsvc.workspace import MAIN, Surroundings

How = Literal["pool", "copy", "hub"]


@dataclass(frozen=True, slots=True)
class ForkedPlace:
    """Where a fork and its parent are, how it came to its packs, and their number and bytes (0: the hub knows).

    `copied` are the bytes that were written for it.
    """

    address: str
    parent: str
    how: How
    branch: str | None
    packs: int = 0
    size: int = 0
    copied: int = 0


def fork_remote(
    source: str,
    target: str,
    *,
    config: Config,
    surroundings: Surroundings,
    directory: Path,
    copy: bool = False,
    jobs: int = 8,
    progress: Progress | None = None,
) -> ForkedPlace:
    """Make a repository at the place `target`, which must be empty, that goes on from the one at `source`.

    Both are addresses or names of remotes. On one host, in one bucket, and in folders of one disk they share one pool
    of packs afterwards, whoever forks the other, and nothing is moved; a hub does that itself, for an account that may
    read the one and make the other. Otherwise, and with `copy`, packs are copied and compared with their ids. The
    fork has branches, tags, runs and models, and records its parent; an address has the options of the other one where
    both are of one place. One that is broken off is made by the same call.

    Raises:
        RequestError: when the source is encrypted, or `target` lies inside of it. PlaceTakenError: when there is
        something at `target`. RemoteError: when one of them cannot be reached.
    """
    watch = progress or Silent()
    with tempfile.TemporaryDirectory(prefix="dsvc-fork-") as staging:
        opener = Opener(config, surroundings, directory, Path(staging))
        wanted, known = opener.settings(target), opener.settings(source)
        there = opener.address(wanted)
        refuse_sealed(wanted)
        if wanted.name is None and same_place(opener.address(known), there):
            wanted = replace(wanted, options=known.options)
        with opened_place(opener, known) as parent:
            publisher = parent.place.publisher()
            if publisher is not None and same_place(parent.address, there):
                return _by_hub(parent, there)
            _refuse_nested(parent, there)
            if publisher is None and not copy and _share_a_pool(parent, there):
                return _in_pool(opener, parent, wanted, there)
            return _by_copy(opener, parent, wanted, there, copy=copy, jobs=jobs, progress=watch)


def _refuse_nested(parent: OpenPlace, there: Address) -> None:
    """Refuse a place inside of the parent's, or around it."""
    if not same_place(parent.at, there):
        return
    for one in {str(parent.at): parent.at, str(parent.address): parent.address}.values():
        for way in (way_between(one, there), way_between(there, one)):
            if not way.startswith(("..", "/", "~")):
                raise PlaceTakenError(f"{there} and {one} lie within each other", hint="choose another place")


def _share_a_pool(parent: OpenPlace, there: Address) -> bool:
    if parent.inside or not same_place(parent.at, there):
        return False
    if isinstance(parent.at, FolderAddress) and isinstance(there, FolderAddress):
        above = there.path
        while not above.exists() and above != above.parent:
            above = above.parent
        return os.stat(above).st_dev == os.stat(parent.at.path).st_dev
    return True


def _by_hub(parent: OpenPlace, there: Address) -> ForkedPlace:
    """Let the hub make the fork."""
    backend = parent.place.backend
    assert isinstance(there, SshAddress)
    if not isinstance(backend, Forker):
        raise RemoteError(f"the hub at {parent.address} cannot fork", hint="its dsvc is too old: ask who runs it")
    done = backend.fork(there.path)
    return ForkedPlace(str(there), str(parent.address), "hub", _branch(parent), done.packs, done.size)


def _in_pool(opener: Opener, parent: OpenPlace, settings: RemoteSettings, there: Address) -> ForkedPlace:
    """Make the fork a member of its parent's pool; its place holds the way there."""
    target = opener.open(settings, there, create=True)
    try:
        name = way_between(parent.at, there)
        record = pointing(Pointer(way_between(there, parent.at), name))
        _claim(opener, target, settings, there, record)
        lineage = Lineage(way_between(there, parent.address), opener.surroundings.user, _now(opener.surroundings)[0])
        forked = fork_member(
            parent.place.backend,
            parent.place.staging,
            parent=parent.member,
            place=name,
            lineage=lineage,
            act=_act(opener.surroundings, str(parent.address)),
            worktree=parent.worktree,
        )
        if read_format(target.backend) != record:  # somebody forked another repository to there
            change_family(parent.place.backend, lambda family: family.without(forked.member))
            raise _taken(settings)
    finally:
        target.backend.close()
    listed = forked.parent_head.packs.packs
    size = sum(ref.size for ref in listed)
    return ForkedPlace(str(there), str(parent.address), "pool", _branch(parent), len(listed), size)


def _claim(opener: Opener, place: Place, settings: RemoteSettings, there: Address, record: Format) -> None:
    """Let a place point to the pool in which its repository will be."""
    before = _free(opener, place, settings, there)
    if before == record:
        return
    write_format(place.backend, record, before=before)
    if before is not None and _is_finished(opener, settings, there, before):  # in this very moment
        write_format(place.backend, before, before=record)
        raise _taken(settings)


def _is_finished(opener: Opener, settings: RemoteSettings, there: Address, record: Format) -> bool:
    """Say whether there is a repository where a place points to."""
    assert record.pointer is not None
    pool = opener.open(settings, beside(there, record.pointer.pool))
    try:
        find_member(pool.backend, record.pointer.name)
    except NotARepositoryError:
        return False
    finally:
        pool.backend.close()
    return True


def _taken(settings: RemoteSettings) -> PlaceTakenError:
    return PlaceTakenError(f"there is a repository at {settings.url} already", hint="choose another place")


def _free(opener: Opener, place: Place, settings: RemoteSettings, there: Address) -> Format | None:
    """Return the record of a place where no repository is; None where there is no record either.

    Raises:
        PlaceTakenError: when there is one.
    """
    record = read_format(place.backend)
    if record is None:
        if is_encrypted(place.backend):
            raise PlaceTakenError(f"there is an encrypted repository at {settings.url}", hint="choose another place")
        return None
    if record.pointer is not None and not _is_finished(opener, settings, there, record):
        return record  # of a fork that was not finished, or was deleted
    raise _taken(settings)


def _by_copy(
    opener: Opener,
    parent: OpenPlace,
    settings: RemoteSettings,
    there: Address,
    *,
    copy: bool,
    jobs: int,
    progress: Progress,
) -> ForkedPlace:
    """Copy the packs that the parent's head lists, and make a repository over them."""
    target = opener.open(settings, there, create=True)
    try:
        if target.publisher() is not None:
            raise RemoteError(
                f"{settings.shown} is a hub, which forks only what is on it",
                hint=f"clone {shlex.quote(str(parent.address))} and push the clone there",
            )
        record = read_format(target.backend)
        if record is not None and (record != FAR or target.backend.read_cell("head") is not None):
            raise _taken(settings)
        copied = _copied(opener, parent, target, there, copy=copy, jobs=jobs, progress=progress)
        if record is None:
            write_format(target.backend, FAR)
        lineage = Lineage(kept_address(parent.address), opener.surroundings.user, _now(opener.surroundings)[0])
        act = _act(opener.surroundings, str(parent.address))
        publish_first(
            target.backend,
            target.staging,
            copied.head,
            lineage=lineage.at(copied.head.operation),
            act=act,
            worktree=parent.worktree,
            carry=True,  # its format is FAR
        )
        repo = Repository.open(target.backend, target.staging, far=True)
        fold(repo.store, repo.head)
    finally:
        target.backend.close()
    listed = copied.head.packs.packs
    size = sum(ref.size for ref in listed)
    return ForkedPlace(str(there), str(parent.address), "copy", _branch(parent), len(listed), size, copied.size)


def _copied(
    opener: Opener,
    parent: OpenPlace,
    target: Place,
    there: Address,
    *,
    copy: bool,
    jobs: int,
    progress: Progress,
) -> Copied:
    """Bring the packs over; on one machine by hard links where the disk can, unless they are to be copied."""
    if isinstance(parent.at, FolderAddress) and isinstance(there, FolderAddress):
        how = "copy" if copy else opener.config.get_str("store.link") or "auto"
        shared = share_packs(parent.repo, parent.at.path, there.path, how=how, progress=progress)
        return Copied(shared.head, shared.copied)
    return copy_packs(parent.repo, target.backend, opener.staging, jobs=jobs, progress=progress)


def _branch(parent: OpenPlace) -> str | None:
    found = parent.repo.view().get(head_of(parent.worktree))
    return short_name(found.target) if isinstance(found, Symbolic) else None


def _now(surroundings: Surroundings) -> tuple[int, int]:
    now = surroundings.now()
    offset = now.utcoffset()
    return int(now.timestamp() * 1_000_000), int(offset.total_seconds()) // 60 if offset is not None else 0


def _act(surroundings: Surroundings, parent: str) -> Act:
    time, zone = _now(surroundings)
    return Act(
        verb="fork",
        description=f"fork of {parent}",
        user=surroundings.user,
        host=socket.gethostname(),
        worktree=MAIN,
        time=time,
        zone=zone,
        command=surroundings.command,
    )
