"""Find what lies in a pool more than once, in packs of different repositories, and let all use one copy.

Whoever takes over what is new in a parent pushes the same objects to the fork, in a pack of its own: a push may not
know what others have. gc may.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from heapq import merge
from itertools import groupby

from dsvc.objects.ids import Kind, PackId
from dsvc.repo.garbage import WORTH
from dsvc.repo.poolneeds import Members, PackNeeds, PoolGarbage

Copy = tuple[bytes, int, int, int]  # id, kind, rank of the pack, position in its index


def unite(found: PoolGarbage, *, everything: bool) -> None:
    """Let members need the copy of an object that the most of them list, where that is worth it.

    It is, for a member and a pack that it does not list, when it needs the whole pack, or much of it, which then is
    divided; with `everything` when it needs anything of it. Memory is bounded by the indexes.
    """
    everybody = frozenset(found.tended)
    packs = [needs for needs in found.packs.values() if needs.listing != everybody]
    packs.sort(key=lambda needs: (-len(needs.listing), -needs.ref.size, needs.ref.id))
    if len({needs.listing for needs in packs}) < 2:
        return
    more: dict[tuple[int, str], int] = {}  # bytes that a member would need of a pack in addition
    for copies in _twins(packs):
        _, _, rank, position = copies[0]
        weight = packs[rank].index.place_at(position).length + 1
        for member in _movers(found, packs, copies):
            more[rank, member] = more.get((rank, member), 0) + weight
    if not more:
        return
    taken = _worthwhile(found, packs, more, everything=everything)
    if not taken:
        return
    for copies in _twins(packs):
        _, _, rank, position = copies[0]
        movers = frozenset(member for member in _movers(found, packs, copies) if (rank, member) in taken)
        if movers:
            _set(found, packs[rank], position, _members(found, packs[rank], position) | movers)
            for _, _, other, there in copies[1:]:
                _set(found, packs[other], there, _members(found, packs[other], there) - movers)


def _twins(packs: list[PackNeeds]) -> Iterator[list[Copy]]:
    """Yield the copies of each object that lies in several packs, that in the first one first."""

    def entries(rank: int, needs: PackNeeds) -> Iterator[Copy]:
        for position, (wanted, place) in enumerate(needs.index.objects()):
            if place.kind != Kind.FILE_MAP:  # of which a file may have several
                yield bytes(wanted), place.kind, rank, position

    streams = [entries(rank, needs) for rank, needs in enumerate(packs)]
    for _, group in groupby(merge(*streams), key=lambda copy: copy[:2]):
        copies = list(group)
        if len(copies) > 1:
            yield copies


def _members(found: PoolGarbage, needs: PackNeeds, position: int) -> Members:
    return needs.listing if needs.row is None else found.sets[needs.row[position]]


def _movers(found: PoolGarbage, packs: list[PackNeeds], copies: list[Copy]) -> Members:
    """Return the members that need another copy than the first one."""
    there = [_members(found, packs[rank], position) for _, _, rank, position in copies]
    return frozenset[str]().union(*there[1:]) - there[0] if there[0] else frozenset()


def _worthwhile(
    found: PoolGarbage, packs: list[PackNeeds], more: dict[tuple[int, str], int], *, everything: bool
) -> set[tuple[int, str]]:
    taken = set()
    sums: dict[PackId, tuple[dict[str, int], int, int]] = {}
    for (rank, member), weight in more.items():
        needs = packs[rank]
        if needs.ref.id in found.tended[member].garbage.head.packs.condemned:
            continue  # it had it once, and does not get it back
        used, _, total = sums.setdefault(needs.ref.id, needs.used(found.sets))
        listed = member in needs.listing
        if listed or everything or weight > WORTH * total or used.get(member, 0) + weight == total:
            taken.add((rank, member))
    return taken


def _set(found: PoolGarbage, needs: PackNeeds, position: int, members: Members) -> None:
    if needs.row is None:
        needs.row = array("H", [found.number(needs.listing)]) * needs.index.count
    needs.row[position] = found.number(members)
