"""Find what no repository of a pool reaches, and divide packs by who needs what is in them.

Each member is marked by itself. What stays of a pack that is written anew goes into one pack for each set of members
that need it: nothing is stored twice, and no repository lists what only others reach.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dsvc.errors import BusyError
from dsvc.objects.ids import Kind, PackId
from dsvc.objects.packlist import PackClass, PackList, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.repack import rewrite_packs
from dsvc.progress import Progress
from dsvc.refs.log import Head
from dsvc.repo.garbage import WORTH, Garbage, mark_newer, survey
from dsvc.repo.gcrecord import change_record
from dsvc.repo.maintenance import delete_packs, exchange
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend, BlobMissingError

Members = frozenset[str]


@dataclass(slots=True)
class Tended:
    """A member of a pool with what it needs."""

    repo: Repository
    garbage: Garbage

    @property
    def listed(self) -> tuple[PackRef, ...]:
        """The packs that it lists."""
        return self.garbage.head.packs.packs


@dataclass(slots=True)
class PoolGarbage:
    """What is garbage in a pool, and what to do about it.

    `owners` says which members need something of a pack that stays as it is; packs of `rewritten` are divided by
    `needs`, a number for each object that stands for a set of members in `sets`. The counts are of objects and bytes.
    """

    pool: Backend
    tended: dict[str, Tended]
    packs: dict[PackId, PackRef] = field(default_factory=dict)
    owners: dict[PackId, Members] = field(default_factory=dict)
    rewritten: list[PackRef] = field(default_factory=list)
    needs: dict[PackId, array[int]] = field(default_factory=dict)
    sets: list[Members] = field(default_factory=lambda: [frozenset()])
    kept: int = 0
    removed: int = 0
    freed: int = 0

    def number(self, members: Members) -> int:
        """Return the number of a set of members."""
        if members not in self.sets:
            self.sets.append(members)
        return self.sets.index(members)


def survey_pool(
    pool: Backend, members: dict[str, Repository], *, cutoff: int, everything: bool, progress: Progress
) -> PoolGarbage:
    """Mark what each member's operations since `cutoff` (microseconds) reach, and choose the packs to divide.

    A pack is written anew when much of it is needed by none, or is not needed by one of those that list it; with
    `everything` when anything is.

    Raises:
        UnsafeToCollectError: when something that is needed cannot be read.
    """
    tended = {i: Tended(repo, survey(repo, cutoff=cutoff, progress=progress)) for i, repo in members.items()}
    found = PoolGarbage(pool, tended)
    listing: dict[PackId, list[str]] = {}
    for member, one in tended.items():
        for ref in one.listed:
            found.packs[ref.id] = ref
            listing.setdefault(ref.id, []).append(member)
    for pack_id, members_here in listing.items():
        _judge(found, found.packs[pack_id], members_here, everything=everything)
    return found


def _judge(found: PoolGarbage, ref: PackRef, members: list[str], *, everything: bool) -> None:
    """Decide about one pack."""
    tended = [found.tended[member] for member in members]
    index = tended[0].repo.store.packs.index(ref)
    bits = [one.garbage.marks.bits(ref.id) for one in tended]
    full = _all_ones(index.count)
    if all(row == full for row in bits):
        found.owners[ref.id] = frozenset(members)
        found.kept += index.count
        return
    needs = array("H", bytes(2 * index.count))
    known: dict[tuple[bool, ...], int] = {}
    total = dead = removed = 0
    used = [0] * len(members)
    cut_here = False
    for position, (wanted, place) in enumerate(index.objects()):
        at, bit = position >> 3, 1 << (position & 7)
        row = tuple(bool(marks[at] & bit) for marks in bits)
        number = known.get(row)
        if number is None:
            number = known[row] = found.number(frozenset(m for m, has in zip(members, row, strict=True) if has))
        needs[position] = number
        weight = place.length + 1
        total += weight
        for n, has in enumerate(row):
            used[n] += weight if has else 0
        if not number:
            dead, removed = dead + weight, removed + 1
        if place.kind == Kind.OPERATION:  # a cut operation must not be left: its view may name what goes now
            cut_here = cut_here or any(wanted in one.garbage.dropped_operations for one in tended)
    owners = frozenset(member for member, weight in zip(members, used, strict=True) if weight)
    if not owners:
        found.owners[ref.id] = owners
        found.freed, found.removed = found.freed + ref.size, found.removed + index.count
        return
    worst = max(total - weight for weight in used if weight)
    if cut_here or worst > WORTH * total or dead > WORTH * total or (everything and worst):
        found.rewritten.append(ref)
        found.needs[ref.id] = needs
        found.freed += ref.size * dead // total
        found.removed += removed
        found.kept += index.count - removed
    else:
        found.owners[ref.id] = owners
        found.kept += index.count


def _all_ones(count: int) -> bytes:
    whole, rest = divmod(count, 8)
    return b"\xff" * whole + (bytes([(1 << rest) - 1]) if rest else b"")


def divide(found: PoolGarbage, *, staging: Callable[[], Path], progress: Progress) -> bool:
    """Write the chosen packs anew, and let each member list what it needs; False when somebody got in between.

    Then some members may list the new packs already and others the old ones, which is as good. Nothing is deleted
    but new packs that no member took.
    """
    for one in found.tended.values():
        change_record(one.repo.backend, lambda record, one=one: record.cutting(one.garbage.cut))  # type: ignore[misc]
    made: dict[PackId, tuple[PackRef, Members]] = {}
    taken: set[PackId] = set()
    try:
        _write(found, made, staging, progress)
        done = [_take(found, member, made, taken, progress) for member in found.tended]
    except BaseException:
        _discard(found, made.keys() - taken)
        raise
    _discard(found, made.keys() - taken)
    return all(done)


def _discard(found: PoolGarbage, packs: Iterable[PackId]) -> None:
    one = next(iter(found.tended.values()))
    delete_packs(one.repo.store, packs)


def _write(
    found: PoolGarbage,
    made: dict[PackId, tuple[PackRef, Members]],
    staging: Callable[[], Path],
    progress: Progress,
) -> None:
    """Write what stays, a pack or more for each set of members that need it, and put that in their place."""
    if not found.rewritten:
        return
    packs = _all_packs(found.pool, (one.garbage.head for one in found.tended.values()))
    progress.start("Writing packs", total_bytes=sum(ref.size for ref in found.rewritten))
    for number, members in enumerate(found.sets):
        if not members:
            continue

        def deliver(ref: PackRef, path: Path, members: Members = members) -> None:
            found.pool.put(ref.key, path)
            made[ref.id] = ref, members

        def keep(ref: PackRef, position: int, number: int = number) -> bool:
            return found.needs[ref.id][position] == number

        for pack_class in PackClass:
            sources = [
                ref for ref in found.rewritten if ref.pack_class == pack_class and number in found.needs[ref.id]
            ]
            rewrite_packs(
                packs,
                sources,
                staging,
                deliver=deliver,
                keep=keep,
            )
    progress.finish()


def _all_packs(pool: Backend, heads: Iterable[Head]) -> PackSet:
    """Return the packs of several members as one reader sees them."""
    lists = [head.packs for head in heads]
    packs = PackSet(pool)
    segments = {segment.ref.id: segment for listed in lists for segment in listed.segments}
    packs.show({ref.id: ref for listed in lists for ref in listed.packs}.values(), segments.values())
    return packs


def _take(
    found: PoolGarbage,
    member: str,
    made: dict[PackId, tuple[PackRef, Members]],
    taken: set[PackId],
    progress: Progress,
) -> bool:
    """Let a member list the new packs in place of the old ones."""
    one = found.tended[member]
    gone = {ref.id for ref in found.rewritten}
    old = tuple(
        ref.id for ref in one.listed if ref.id in gone or member not in found.owners.get(ref.id, frozenset[str]())
    )
    new = tuple(ref for ref, members in made.values() if member in members)
    if not old:
        return True
    marks = one.garbage.marks
    used = {pack_id: marks.bits(pack_id) for pack_id in old}

    def still(newer: Head) -> bool:
        marked = mark_newer(one.repo, one.garbage, newer, progress=progress)
        return marked and all(marks.bits(i) == used[i] for i in old)

    # No replacement is recorded: the new packs do not hold everything.
    done = _exchange(one.repo, lambda packs: packs.replacing(old, ()).adding(new), old, new, still)
    taken.update(ref.id for ref in new if done)
    return done


def _exchange(
    repo: Repository,
    change: Callable[[PackList], PackList],
    old: tuple[PackId, ...],
    new: tuple[PackRef, ...],
    still: Callable[[Head], bool] | None = None,
) -> bool:
    """Change the list of a member; False when somebody was faster, or took the new packs for those of the dead."""

    def checked(packs: PackList) -> PackList:
        if {ref.id for ref in new} & set(packs.condemned):
            raise _CondemnedError
        return change(packs)

    try:
        moved = exchange(repo.store, repo.head, checked, old=old, new=new, still=still)
    except _CondemnedError:
        return False
    if moved is not None:
        repo.head = moved
    return moved is not None


class _CondemnedError(Exception):
    """New packs were condemned before they were listed."""


def merge_pool(
    pool: Backend,
    members: dict[str, Repository],
    choose: Callable[[Sequence[PackRef]], list[list[PackRef]]],
    *,
    staging: Callable[[], Path],
    progress: Progress,
) -> set[PackId]:
    """Put one pack in the place of several that the same members list; return those that went.

    `choose` says which should become one each. Where somebody is faster with one of them, things stay as they are for
    that member.
    """
    listing: dict[PackId, set[str]] = {}
    refs: dict[PackId, PackRef] = {}
    for member, repo in members.items():
        repo.refresh()
        for ref in repo.head.packs.packs:
            refs[ref.id] = ref
            listing.setdefault(ref.id, set()).add(member)
    gone: set[PackId] = set()
    together: dict[Members, list[PackRef]] = {}
    for pack_id, names in listing.items():
        together.setdefault(frozenset(names), []).append(refs[pack_id])
    for owners, packs in together.items():
        for group in choose(packs):
            with contextlib.suppress(BlobMissingError, BusyError):
                progress.start("Merging packs", total_bytes=sum(ref.size for ref in group), unit="packs")
                _merge(pool, [members[member] for member in sorted(owners)], group, staging, progress)
                gone.update(ref.id for ref in group)
                progress.finish()
    return gone


def _merge(
    pool: Backend, repos: list[Repository], group: Sequence[PackRef], staging: Callable[[], Path], progress: Progress
) -> None:
    made: list[PackRef] = []

    def deliver(ref: PackRef, path: Path) -> None:
        pool.put(ref.key, path)
        made.append(ref)

    taken = False
    try:
        packs = _all_packs(pool, (repo.head for repo in repos))
        rewrite_packs(
            packs, group, staging, deliver=deliver, advance=lambda size: progress.advance(items=1, size=size)
        )
        old, new = tuple(ref.id for ref in group), tuple(made)
        for repo in repos:
            taken = _exchange(repo, lambda packs: packs.replacing(old, new), old, new) or taken
    finally:
        if not taken:
            delete_packs(repos[0].store, [ref.id for ref in made])
