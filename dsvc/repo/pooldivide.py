"""Divide packs of a pool by who needs what is in them, and merge small ones that the same members list."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from dsvc.errors import BusyError
from dsvc.objects.ids import PackId
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.repack import rewrite_packs
from dsvc.progress import Progress
from dsvc.refs.log import Head
from dsvc.repo.garbage import mark_newer
from dsvc.repo.gcrecord import change_record
from dsvc.repo.maintenance import exchange, give_up
from dsvc.repo.poolneeds import NOBODY, Members, PoolGarbage
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend, BlobMissingError

Rows: TypeAlias = "dict[PackId, array[int]]"


def divide(found: PoolGarbage, *, staging: Callable[[], Path], progress: Progress) -> bool:
    """Write the chosen packs anew, and let each member list what it needs; False when somebody got in between.

    Then some members may list the new packs already and others the old ones, which is as good. Nothing is
    given up but new packs that no member took.
    """
    for one in found.tended.values():
        change_record(one.repo.backend, lambda record, one=one: record.cutting(one.garbage.cut))  # type: ignore[misc]
    made: dict[PackId, tuple[PackRef, Members]] = {}
    taken: set[PackId] = set()
    try:
        _write(found, made, staging, progress)
        done = [_take(found, member, made, taken, progress) for member in found.tended]
    except BaseException:
        _give_up(found, made, taken)
        raise
    _give_up(found, made, taken)
    return all(done)


def _give_up(found: PoolGarbage, made: dict[PackId, tuple[PackRef, Members]], taken: set[PackId]) -> None:
    one = next(iter(found.tended.values()))
    give_up(one.repo.store, [ref for ref, _ in made.values() if ref.id not in taken])


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
    progress.start("Writing packs", total_bytes=sum(needs.ref.size for needs in found.rewritten))
    for number, members in enumerate(found.sets):
        if not members:
            continue

        def deliver(ref: PackRef, path: Path, members: Members = members) -> None:
            found.pool.put(ref.key, path)
            made[ref.id] = ref, members

        rows = {needs.ref.id: needs.row for needs in found.rewritten if needs.row and number in needs.row}
        numbered = [needs.ref for needs in found.rewritten if needs.ref.id in rows]

        def keep(ref: PackRef, position: int, rows: Rows = rows, number: int = number) -> bool:
            return rows[ref.id][position] == number

        for pack_class in PackClass:
            sources = [ref for ref in numbered if ref.pack_class == pack_class]
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
    old = tuple(ref.id for ref in one.listed if member not in found.owners.get(ref.id, NOBODY))
    have = {ref.id for ref in one.listed}
    also = [found.packs[i].ref for i, owners in found.owners.items() if member in owners and i not in have]
    new = tuple(ref for ref, members in made.values() if member in members)
    if not old and not new and not also:
        return True
    marks = one.garbage.marks
    used = {pack_id: marks.bits(pack_id) for pack_id in old}

    def still(newer: Head) -> bool:
        marked = mark_newer(one.repo, one.garbage, newer, progress=progress)
        return marked and all(marks.bits(i) == used[i] for i in old)

    # No replacement is recorded: the new packs do not hold everything.
    moved = exchange(
        one.repo.store,
        one.repo.head,
        lambda packs: packs.replacing(old, ()).adding((*new, *also)),
        old=old,
        new=new,
        also=also,
        still=still,
    )
    if moved is None:
        return False
    one.repo.head = moved
    taken.update(ref.id for ref in new)
    return True


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
            moved = exchange(repo.store, repo.head, lambda packs: packs.replacing(old, new), old=old, new=new)
            if moved is not None:
                repo.head, taken = moved, True
    finally:
        if not taken:
            give_up(repos[0].store, made)
