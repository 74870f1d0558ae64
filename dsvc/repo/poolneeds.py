"""What each repository of a pool needs of each pack, and which packs should be written anew for that.

Each member is marked by itself. Of a pack that is written anew there is one new pack for each set of members that need
something of it: nothing is stored twice, and no repository lists what only others reach.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from dsvc.objects.ids import Kind, PackId
from dsvc.objects.packindex import PackIndex
from dsvc.objects.packlist import PackRef
from dsvc.progress import Progress
from dsvc.repo.garbage import WORTH, Cutoff, Garbage, survey
from dsvc.repo.repository import Repository
from dsvc.storage.backend import Backend

Members = frozenset[str]
NOBODY: Members = frozenset()


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
class PackNeeds:
    """A pack: who lists it, and for each object, by position, the number of the set of members that need it.

    `row` is None where all who list it need all of it.
    """

    ref: PackRef
    index: PackIndex
    listing: Members
    row: array[int] | None = None

    def used(self, sets: list[Members]) -> tuple[dict[str, int], int, int]:
        """Return how many plain bytes each member needs of it, how many are needed by nobody, and all of them."""
        used: dict[str, int] = {}
        dead = total = 0
        weights: dict[int, int] = {}
        for position in range(self.index.count):
            weight = self.index.place_at(position).length + 1
            total += weight
            if self.row is not None:
                weights[self.row[position]] = weights.get(self.row[position], 0) + weight
        if self.row is None:
            return dict.fromkeys(self.listing, total), 0, total
        for number, weight in weights.items():
            dead += weight if not sets[number] else 0
            for member in sets[number]:
                used[member] = used.get(member, 0) + weight
        return used, dead, total


@dataclass(slots=True)
class PoolGarbage:
    """What is garbage in a pool, and what to do about it.

    `owners` says which members should list a pack that stays as it is; packs of `rewritten` are divided by what `packs`
    says of them. The counts are of objects and bytes.
    """

    pool: Backend
    tended: dict[str, Tended]
    packs: dict[PackId, PackNeeds] = field(default_factory=dict)
    sets: list[Members] = field(default_factory=lambda: [NOBODY])
    owners: dict[PackId, Members] = field(default_factory=dict)
    rewritten: list[PackNeeds] = field(default_factory=list)
    kept: int = 0
    removed: int = 0
    freed: int = 0
    _numbers: dict[Members, int] = field(default_factory=lambda: {NOBODY: 0})

    def number(self, members: Members) -> int:
        """Return the number of a set of members."""
        found = self._numbers.get(members)
        if found is None:
            found = self._numbers[members] = len(self.sets)
            self.sets.append(members)
        return found


def survey_pool(
    pool: Backend, members: dict[str, Repository], *, cutoffs: Mapping[str, Cutoff], progress: Progress
) -> PoolGarbage:
    """Mark what the operations of each member since its cutoff reach; nothing is decided yet.

    Raises:
        UnsafeToCollectError: when something that is needed cannot be read.
    """
    tended = {i: Tended(repo, survey(repo, cutoff=cutoffs[i], progress=progress)) for i, repo in members.items()}
    found = PoolGarbage(pool, tended)
    listing: dict[PackId, list[str]] = {}
    refs: dict[PackId, PackRef] = {}
    for member, one in tended.items():
        for ref in one.listed:
            refs[ref.id] = ref
            listing.setdefault(ref.id, []).append(member)
    for pack_id, names in listing.items():
        index = tended[names[0]].repo.store.packs.index(refs[pack_id])
        needs = PackNeeds(refs[pack_id], index, frozenset(names))
        needs.row = _row(found, needs, names)
        found.packs[pack_id] = needs
    return found


def _row(found: PoolGarbage, needs: PackNeeds, names: list[str]) -> array[int] | None:
    bits = [found.tended[name].garbage.marks.bits(needs.ref.id) for name in names]
    full = _all_ones(needs.index.count)
    if all(row == full for row in bits):
        return None
    row = array("H", bytes(2 * needs.index.count))
    known: dict[tuple[int, ...], int] = {}
    for position in range(needs.index.count):
        at, shift = position >> 3, position & 7
        who = tuple(marks[at] >> shift & 1 for marks in bits)
        number = known.get(who)
        if number is None:
            members = frozenset(name for name, has in zip(names, who, strict=True) if has)
            number = known[who] = found.number(members)
        row[position] = number
    return row


def _all_ones(count: int) -> bytes:
    whole, rest = divmod(count, 8)
    return b"\xff" * whole + (bytes([(1 << rest) - 1]) if rest else b"")


def choose(found: PoolGarbage, *, exact: Members) -> None:
    """Decide about each pack.

    It is written anew when much of it is needed by nobody, or is not needed by one of those that list it, or when
    somebody else than those needs a part of it; and when a member of `exact` lists it and does not need all of it.
    """
    for needs in found.packs.values():
        _judge(found, needs, exact)


def _judge(found: PoolGarbage, needs: PackNeeds, exact: Members) -> None:
    ref, row = needs.ref, needs.row
    if row is None:
        found.owners[ref.id] = needs.listing
        found.kept += needs.index.count
        return
    used, dead, total = needs.used(found.sets)
    removed = row.count(0)
    if not used:
        found.owners[ref.id] = NOBODY
        found.freed, found.removed = found.freed + ref.size, found.removed + removed
        return
    waste = total - min(used.values())
    foreign = any(weight < total for member, weight in used.items() if member not in needs.listing)
    inexact = any(used[member] < total for member in needs.listing & exact if member in used)
    if foreign or inexact or waste > WORTH * total or _holds_cut(found, needs):
        found.rewritten.append(needs)
        found.freed += ref.size * dead // total
        found.removed += removed
        found.kept += needs.index.count - removed
    else:
        found.owners[ref.id] = frozenset(used)
        found.kept += needs.index.count


def _holds_cut(found: PoolGarbage, needs: PackNeeds) -> bool:
    """Say whether a pack holds an operation that is cut off now: it must not be left, its view may name what goes."""
    dropped = [found.tended[member].garbage.dropped_operations for member in needs.listing]
    if not any(dropped):
        return False
    operations = [wanted for wanted, place in needs.index.objects() if place.kind == Kind.OPERATION]
    return any(operation in ids for operation in operations for ids in dropped)
