"""What a repository of a pool takes back when its list lost a segment: what it needs, and not what others have.

Without the segment nobody knows which of the packs there were listed by it and which by other members of the family.
"""

from __future__ import annotations

from dataclasses import replace

from dsvc.errors import DsvcError, IntegrityError
from dsvc.objects.ids import Kind, PackId
from dsvc.objects.packlist import PackRef
from dsvc.refs.log import read_head
from dsvc.refs.salvage import Salvaged
from dsvc.repo.family import read_family
from dsvc.repo.member import FAMILY, member_of, pool_of
from dsvc.repo.reachable import Marks, Target, mark
from dsvc.repo.repository import Repository


def claimed(repo: Repository, salvaged: Salvaged) -> Salvaged:
    """Return a salvaged head of which the list names, beside what it named by itself, only packs that are needed.

    `repo` shows the salvaged head's packs. Where nothing is forked the head comes back as it is: what is too much is of
    no use to anybody. Of packs that hold the same those come first that no other member lists. Keeps the ids of all
    objects in memory.
    """
    if repo.backend.read_cell(FAMILY) is None or not salvaged.taken:
        return salvaged
    packs = salvaged.head.packs
    usable = [ref for ref in packs.packs if _is_usable(repo, ref)]
    marks = Marks(repo.store.packs, usable)
    roots: list[Target] = [(Kind.OPERATION, bytes(i)) for i, _ in repo.log.walk(salvaged.head.operation)]
    mark(repo.store, marks, roots, failed=_passes)  # what is lost besides is for fsck to say
    objects = {ref.id: [(Kind(p.kind), bytes(i)) for i, p in repo.store.packs.index(ref).objects()] for ref in usable}
    reached = {t for i, targets in objects.items() for position, t in enumerate(targets) if marks.has(i, position)}
    listed = _listed_by_others(repo)
    held: set[Target] = set()
    refused: set[PackId] = set()
    for ref in sorted(usable, key=lambda ref: (ref.id in salvaged.taken, ref.id in listed)):
        needed = reached.intersection(objects[ref.id])
        if ref.id in salvaged.taken and needed <= held:
            refused.add(ref.id)
        held |= needed
    kept = tuple(ref for ref in packs.packs if ref.id not in refused)
    return salvaged._replace(head=salvaged.head._replace(packs=replace(packs, packs=kept)))


def _is_usable(repo: Repository, ref: PackRef) -> bool:
    try:
        repo.store.packs.index(ref)
    except IntegrityError:
        return False
    return True


def _passes(target: Target, error: IntegrityError) -> None:
    del target, error


def _listed_by_others(repo: Repository) -> set[PackId]:
    pool, own = pool_of(repo.backend)
    family = read_family(pool)
    found: set[PackId] = set()
    for member in family.members if family is not None else ():
        if member != own:
            try:
                head = read_head(member_of(pool, member))
            except DsvcError:  # deleted, or damaged as well
                continue
            found |= {ref.id for ref in head.packs.packs} if head is not None else set()
    return found
