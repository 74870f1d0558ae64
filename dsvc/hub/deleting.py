"""Delete a repository of a hub: its head, and nothing that a fork or its parent needs."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from dsvc.errors import BusyError
from dsvc.hub.audit import Entry, note
from dsvc.hub.folder import Hub
from dsvc.hub.located import Located
from dsvc.objects.ids import PackId
from dsvc.refs.log import CELL as HEAD
from dsvc.refs.log import DELETED, read_head
from dsvc.repo.family import Family, change_family
from dsvc.repo.gcrecord import change_record
from dsvc.repo.member import FIRST, FORKS
from dsvc.storage.backend import SwapUncertainError
from dsvc.storage.local import LocalBackend

_RETRIES = 200


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted, and how many repositories go on using the packs that it shared with them."""

    name: str
    shared_with: int


def delete_repository(hub: Hub, located: Located, *, time: int, zone: int) -> Deleted:
    """Delete a repository; whoever works on it at this moment is told so when they publish.

    With the last repository of a pool all that is stored goes at once. Otherwise packs that nobody else lists go with
    the next gc of one of the others. It is written down beside what was refused; `time` is in microseconds since 1970,
    `zone` in minutes east of UTC. When this dies, the same call goes on.

    Raises:
        BusyError: when others publish again and again.
    """
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        packs = _end(located, pool)
        left = change_family(pool, lambda family: _without(family, located.member))
        others = 0 if left is None else len(left.ready())
        if others:
            change_record(
                pool, lambda record: replace(record, seen={**dict.fromkeys(packs, 0), **record.seen})
            )
            _remove_own(pool, located.member)
    if located.folder != located.pool:
        _remove(hub, located.folder)
    if not others:
        _remove(hub, located.pool)
    shutil.rmtree(hub.quarantine(located.name, "x").parent, ignore_errors=True)
    text = f"deleted; {others} others use its packs" if others else "deleted"
    note(hub, Entry(time, zone, "", "", located.name, "delete", text))
    return Deleted(located.name, others)


def _without(family: Family, member: str) -> Family:
    """Return the family without a member and the forks of it that are not finished."""
    begun = [m.id for m in family.members.values() if not m.ready and m.parent == member]
    return family.without(member, *begun)


def _end(located: Located, pool: LocalBackend) -> list[PackId]:
    """Let a repository's head say that it was deleted; return the packs that it listed."""
    seen = located.seen(pool)
    for _ in range(_RETRIES):
        value = seen.read_cell(HEAD)
        if value == DELETED:
            return []
        head = read_head(seen)
        if head is None or head.value != value:
            continue
        with contextlib.suppress(SwapUncertainError):
            if seen.swap_cell(HEAD, value, DELETED):
                return [ref.id for ref in head.packs.packs]
    raise BusyError(f"{located.name} changes too often", hint="run the same command again")


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
