"""Delete a repository of a hub: its head, and nothing that a fork or its parent needs."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dsvc.hub.accounts import Account
from dsvc.hub.audit import Entry, note
from dsvc.hub.folder import Hub
from dsvc.hub.located import Located
from dsvc.hub.visitor import HubRefusedError, Visitor, identify
from dsvc.refs.log import CELL as HEAD
from dsvc.repo.departure import end_head, leave_family
from dsvc.repo.lineage import read_lineage
from dsvc.repo.member import FIRST, FORKS
from dsvc.storage.local import LocalBackend


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted, and how many repositories go on using the packs that it shared with them."""

    name: str
    shared_with: int


def delete_own_fork(hub: Hub, located: Located, visitor: Visitor, *, time: int, zone: int) -> int:
    """Delete the fork that somebody visits, for its owners and for the account that made it, as long as it may write.

    Returns how many repositories go on using the packs that it shared with them.

    Raises:
        HubRefusedError: when it is no fork, or is another one's. BusyError: when others publish again and again.
    """
    account = identify(hub, account=visitor.account, key=visitor.key)
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        lineage = read_lineage(located.seen(pool))
    if lineage is None:
        raise HubRefusedError(
            f"{located.name} is no fork, and accounts delete nothing else",
            hint="dsvc hub delete FOLDER REPO, on that machine",
        )
    if not _may_delete(account, located.name, made=lineage.user == account.name):
        raise HubRefusedError(
            f"{account.name} may not delete {located.name}, a fork that {lineage.user} made",
            hint="ask an owner of it, or who runs the hub",
        )
    return delete_repository(hub, located, time=time, zone=zone, account=account.name, key=visitor.key).shared_with


def _may_delete(account: Account, name: str, *, made: bool) -> bool:
    role = account.role(name)
    return role == "owner" or (made and role == "writer")


def delete_repository(
    hub: Hub, located: Located, *, time: int, zone: int, account: str = "", key: str = ""
) -> Deleted:
    """Delete a repository; whoever works on it at this moment is told so when they publish.

    With the last repository of a pool all that is stored goes at once. Otherwise packs that nobody else lists go with
    the next gc of one of the others. It is written down beside what was refused, with the `account` that did it, if one
    did; `time` is in microseconds since 1970, `zone` in minutes east of UTC. When this dies, the same call goes on.

    Raises:
        BusyError: when others publish again and again.
    """
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        packs = end_head(located.seen(pool), name=located.name)
        others = leave_family(pool, located.member, packs)
        if others:
            _remove_own(pool, located.member)
    if located.folder != located.pool:
        _remove(hub, located.folder)
    if not others:
        _remove(hub, located.pool)
    shutil.rmtree(hub.quarantine(located.name, "x").parent, ignore_errors=True)
    shutil.rmtree(hub.attic(located.name), ignore_errors=True)
    text = f"deleted; {others} others use its packs" if others else "deleted"
    note(hub, Entry(time, zone, account, key, located.name, "delete", text))
    return Deleted(located.name, others)


def _remove_own(pool: LocalBackend, member: str) -> None:
    """Remove the lists, segments and cells that one member of a pool had for itself."""
    if member == FIRST:
        for folder in ("lists", "segments"):
            shutil.rmtree(pool.root / folder, ignore_errors=True)
        return
    shutil.rmtree(pool.root / FORKS / member, ignore_errors=True)
    for cell in pool.root.glob(f"cells/*-{member}"):
        if cell.name != f"{HEAD}-{member}":  # which says that it was deleted, to those who have it open
            shutil.rmtree(cell, ignore_errors=True)


def _remove(hub: Hub, folder: Path) -> None:
    """Remove a folder at one stroke, and the folders above it that are empty then."""
    trash = hub.root / "quarantine" / f".deleted-{os.urandom(8).hex()}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, trash)
    shutil.rmtree(trash, ignore_errors=True)
    above = folder.parent
    while above != hub.repos:
        try:
            above.rmdir()
        except OSError:
            break
        above = above.parent
