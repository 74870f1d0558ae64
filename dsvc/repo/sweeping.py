"""Delete the packs of a pool that no repository of it needs, beside writers and while others fork.

One rule carries this: a pack is deleted only after the head of every member has condemned it, and no head lists what it
condemns. A writer whose pack is condemned notices before it swaps, as anywhere; a fork that is made meanwhile either
reads a head that has condemned the pack, or is not ready when the family is looked at afterwards, and is dropped. No
clock decides anything but when this is tried.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from dsvc.errors import BusyError, DsvcError
from dsvc.objects.ids import PackId
from dsvc.objects.packlist import PackList
from dsvc.objects.segment import Segments
from dsvc.refs.log import DamagedHeadError, Head, RepositoryDeletedError, read_head, swap_head
from dsvc.repo.family import change_family, read_family
from dsvc.repo.gcrecord import GcRecord, change_record, read_record
from dsvc.repo.leftovers import DAY, Leftovers, listed_blobs
from dsvc.repo.member import FORKS, member_of
from dsvc.storage.backend import Backend, SwapUncertainError

_ATTEMPTS = 20
_RETRIES = 50
_MANY = 32  # packs that are worth threads to delete
_THREADS = 8


@dataclass(slots=True)
class _Heads:
    """The heads of all members as they were read last."""

    pool: Backend
    heads: dict[str, Head] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    _segments: dict[str, Segments] = field(default_factory=dict)

    def read(self, member: str) -> Head | None:
        """Read the head of a member anew; None, and noted, when it was deleted.

        Raises:
            DamagedHeadError: when there is none, or it cannot be read: what it lists may not be deleted.
        """
        backend = member_of(self.pool, member)
        try:
            head = read_head(backend, self._segments.setdefault(member, Segments(backend)))
        except RepositoryDeletedError:
            self.heads.pop(member, None)
            self.gone.append(member)
            return None
        if head is None:
            raise DamagedHeadError(f"the head of the member {member!r} of a pool is missing", hint="dsvc fsck")
        self.heads[member] = head
        return head

    def live(self) -> set[PackId]:
        """Return the packs that some head lists."""
        return {ref.id for head in self.heads.values() for ref in head.packs.packs}

    def condemned(self) -> set[PackId]:
        """Return the packs that some head condemns."""
        return {pack_id for head in self.heads.values() for pack_id in head.packs.condemned}


def sweep(
    pool: Backend, *, now: int, at_once: bool, dry_run: bool, counted: Collection[PackId] = ()
) -> Leftovers:
    """Delete the packs that no member lists: condemned ones, and those that were on no list a day ago, or `at_once`.

    Members that were deleted, or begun and never finished, leave the family, and what they kept goes. `now` is in
    microseconds. When it is interrupted the next one goes on. Packs that are `counted` elsewhere are left out of what
    is returned.

    Raises:
        BusyError: when somebody forks again and again.
    """
    for _ in range(_ATTEMPTS):
        sizes = dict(listed_blobs(pool))  # before the heads are read, so that a pack listed meanwhile is in its list
        kept = {key.split("/")[1]: size for key, size in pool.list(FORKS)}.keys()
        family = read_family(pool)
        if family is None:
            return Leftovers()
        heads = _Heads(pool)
        for member in family.ready():
            heads.read(member)
        condemned, live = heads.condemned(), heads.live()
        record = read_record(pool)
        unlisted = sizes.keys() - condemned - live
        old = {i for i in unlisted if at_once or now - record.seen.get(i, now) >= DAY}
        doomed = (condemned | old) - live
        named = (doomed & sizes.keys()).difference(counted)
        found = Leftovers(packs=len(named), size=sum(sizes[i] for i in named))
        if dry_run:
            return found
        for member in list(heads.heads):
            _amend(heads, member, lambda packs, doomed=doomed: packs.condemning(doomed))  # type: ignore[misc]
        doomed -= heads.live()  # a writer published its pack before its head condemned it
        settled = change_family(pool, lambda family, gone=heads.gone: family.without(*family.under_way(), *gone))  # type: ignore[misc]
        if settled is None or not set(settled.ready()) <= heads.heads.keys():
            continue  # somebody forked meanwhile, perhaps from a head that listed one of these packs
        _delete(pool, doomed)
        for member in list(heads.heads):
            _amend(heads, member, lambda packs, doomed=doomed: packs.without_condemned(tuple(doomed)))  # type: ignore[misc]
        seen = unlisted - old

        def note(before: GcRecord, seen: set[PackId] = seen) -> GcRecord:
            return replace(before, seen={i: before.seen.get(i, now) for i in seen})

        change_record(pool, note)
        _remove_dead(pool, kept - family.members.keys())
        return found
    raise BusyError("this repository is forked all the time", hint="run the same command again later")


def _amend(heads: _Heads, member: str, change: Callable[[PackList], PackList]) -> None:
    """Put `change(list)` in the place of a member's pack list, unless that changes nothing."""
    backend = member_of(heads.pool, member)
    for _ in range(_RETRIES):
        head = heads.heads.get(member)
        if head is None:
            return
        wanted = change(head.packs)
        if wanted == head.packs:
            return
        moved = None
        with contextlib.suppress(SwapUncertainError):  # the next round sees what came of it
            moved = swap_head(backend, head, head.operation, wanted)
        if moved is None:
            heads.read(member)
        else:
            heads.heads[member] = moved
            return
    raise BusyError("a repository of the pool changes too often", hint="run the same command again")


def _delete(pool: Backend, packs: Iterable[PackId]) -> None:
    keys = [f"packs/{pack_id.hex()}" for pack_id in packs]
    if len(keys) < _MANY:
        for key in keys:
            pool.delete(key)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="dsvc-delete") as workers:
        list(workers.map(pool.delete, keys))


def _remove_dead(pool: Backend, members: Iterable[str]) -> None:
    """Remove the blobs of members that are no more; an id is never given twice."""
    for member in members:
        for key, _ in list(pool.list(f"{FORKS}{member}/")):
            with contextlib.suppress(DsvcError):
                pool.delete(key)
