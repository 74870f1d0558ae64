"""Put sound copies of objects from another store in the place of damaged ones.

What is needed is found by following references from what is damaged or missing, through the other store: behind a
missing directory nobody sees what else is missing. The copies go into new packs, which are read back and compared
before one swap lists them and condemns the damaged packs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.ahead import gather_history, in_groups
from dsvc.objects.ids import Kind, PackId
from dsvc.objects.packlist import PackClass, PackList, PackRef
from dsvc.objects.repack import rewrite_packs
from dsvc.objects.sound import UnsoundError
from dsvc.objects.store import ObjectStore
from dsvc.objects.values import decode_operation
from dsvc.objects.verify import verify_objects
from dsvc.progress import Progress
from dsvc.repo.maintenance import exchange, give_up
from dsvc.repo.reachable import Marks, Target, references
from dsvc.repo.repository import Repository

_OWN = (Kind.OPERATION, Kind.VIEW)  # what no other repository has: see dsvc.repo.mendlog
_CONTENT = {Kind.CHUNK: Kind.FILE_MAP, Kind.FILE_MAP: Kind.CHUNK}


class BadSourceError(IntegrityError):
    """The copies with which something was to be mended are damaged themselves."""


class Harm(NamedTuple):
    """What is wrong: packs that cannot be used, damaged copies as (pack, id), and what is needed and cannot be read."""

    unusable: frozenset[PackId]
    damaged: frozenset[tuple[PackId, bytes]]
    needed: tuple[Target, ...]


class Mended(NamedTuple):
    """How many objects were put in place, their bytes as stored, how many packs went, and what nobody has."""

    objects: int = 0
    size: int = 0
    packs: int = 0
    unfound: tuple[Target, ...] = ()


def mend(repo: Repository, harm: Harm, source: ObjectStore, refs: Iterable[PackRef], *, progress: Progress) -> Mended:
    """Bring what is needed from the packs `refs` of `source`, and take damaged copies out, in one swap.

    A damaged pack stays listed as long as something that was needed of it was not found. Safe beside other processes,
    and to call again.

    Raises:
        BadSourceError: when the copies do not match their ids; nothing is changed then.
    """
    listed = [ref for ref in refs if _is_usable(source, ref)]
    gather_history(source.backend, source.packs, listed, progress=progress)
    marks = Marks(source.packs, listed)
    unfound = _mark(_Sound(repo, harm), source, marks, harm.needed)
    made: list[PackRef] = []

    def deliver(ref: PackRef, path: Path) -> None:
        repo.backend.put(ref.key, path)
        made.append(ref)

    try:
        _copy(source, listed, marks, staging=repo.store.staging, deliver=deliver, progress=progress)
        copied = list(made)
        _compare(repo, copied, progress)
        gone = _gone(repo, harm, {wanted for kind, wanted in unfound if kind not in _OWN})
        _rewrite(repo, harm, gone, deliver)
    except BaseException:
        give_up(repo.store, made)
        raise
    if not made and not gone:
        return Mended(unfound=tuple(unfound))
    old = tuple(ref.id for ref in gone)
    moved = exchange(
        repo.store, repo.head, lambda packs: packs.replacing(old, ()).adding(tuple(made)), old=old, new=made
    )
    if moved is None:  # somebody exchanged one of them: what was found may be otherwise now
        give_up(repo.store, made)
        repo.refresh()
        return Mended(unfound=tuple(harm.needed))
    repo.head = moved
    repo.refold()
    return Mended(marks.count, sum(ref.size for ref in copied), len(old), tuple(unfound))


class _Sound:
    """Says whether a repository has a good copy of an object."""

    def __init__(self, repo: Repository, harm: Harm) -> None:
        self._damaged = harm.damaged
        packs = repo.head.packs
        self._store = ObjectStore(repo.backend, repo.store.staging)
        usable = tuple(ref for ref in packs.packs if ref.id not in harm.unusable)
        self._store.show(PackList(usable, segments=packs.segments))

    def has(self, kind: Kind, wanted: bytes) -> bool:
        """Say whether there is one; nobody knows where an index cannot be read, so not then."""
        try:
            places = self._store.packs.find_every(wanted, kind)
            return any((ref.id, wanted) not in self._damaged for ref, _ in places)
        except IntegrityError:
            return False


def _mark(sound: _Sound, source: ObjectStore, marks: Marks, needed: Iterable[Target]) -> list[Target]:
    """Mark in the source what is needed, with everything below it that is not sound; return what it has not."""
    unfound: list[Target] = []
    seen: set[Target] = set()
    stack = list(needed)
    while stack:
        target = stack.pop()
        kind, wanted = target
        if target in seen or sound.has(kind, wanted):
            continue
        seen.add(target)
        other = _CONTENT.get(kind)
        if other is not None and sound.has(other, wanted):
            continue
        if marks.mark(target) is None:
            if other is None or marks.mark((other, wanted)) is None:
                unfound.append(target)
                continue
            kind = other
        if kind == Kind.CHUNK:
            continue
        try:
            payloads = source.file_maps(wanted) if kind == Kind.FILE_MAP else [source.get(wanted, kind)]
            for payload in payloads:
                stack += references(kind, payload)
                if kind == Kind.OPERATION:
                    stack += ((kind, parent) for parent in decode_operation(payload).parents)
        except IntegrityError:
            unfound.append(target)
    return unfound


def _copy(
    source: ObjectStore,
    refs: Iterable[PackRef],
    marks: Marks,
    *,
    staging: Callable[[], Path],
    deliver: Callable[[PackRef, Path], None],
    progress: Progress,
) -> None:
    chosen = [ref for ref in refs if marks.marked_in(ref.id)]
    progress.start("Copying sound objects", total_bytes=sum(ref.size for ref in chosen))
    try:
        for pack_class in PackClass:
            rewrite_packs(
                source.packs,
                [ref for ref in chosen if ref.pack_class == pack_class],
                staging,
                deliver=deliver,
                keep=lambda ref, position: marks.has(ref.id, position),
                advance=lambda size: progress.advance(size=size),
            )
    except UnsoundError as error:
        raise _bad_source(error.message) from error
    progress.finish()


def _compare(repo: Repository, made: list[PackRef], progress: Progress) -> None:
    """Read new packs back from their place and compare every object with its id."""
    store = ObjectStore(repo.backend, repo.store.staging)
    progress.start("Comparing", total_bytes=sum(ref.size for ref in made))
    for group in in_groups(store.backend, store.packs, made, None):
        for fault in verify_objects(
            store.packs, group, check=_well_formed, advance=lambda _count, size: progress.advance(size=size)
        ):
            raise _bad_source(fault.message)
    progress.finish()


def _bad_source(message: str) -> BadSourceError:
    return BadSourceError(
        f"the copy to mend with is damaged too: {message}", hint="take the copies from somewhere else"
    )


def _is_usable(source: ObjectStore, ref: PackRef) -> bool:
    try:
        source.packs.index(ref)
    except IntegrityError:
        return False
    return True


def _well_formed(kind: Kind, payload: bytes) -> None:
    for _ in references(kind, payload):
        pass


def _gone(repo: Repository, harm: Harm, unfound: Collection[bytes]) -> list[PackRef]:
    """Return the packs that leave the list: everything that was needed of them is elsewhere now."""
    lacking = {pack_id for pack_id, wanted in harm.damaged if wanted in unfound}
    broken = {pack_id for pack_id, _ in harm.damaged} - lacking
    if not unfound:
        broken |= harm.unusable
    return [ref for ref in repo.head.packs.packs if ref.id in broken]


def _rewrite(repo: Repository, harm: Harm, gone: Iterable[PackRef], deliver: Callable[[PackRef, Path], None]) -> None:
    """Write what is sound in packs that go into new ones."""
    packs = repo.store.packs
    partly = [ref for ref in gone if ref.id not in harm.unusable]

    def keep(ref: PackRef, position: int) -> bool:
        return (ref.id, packs.index(ref).id_at(position)) not in harm.damaged

    for pack_class in PackClass:
        group = [ref for ref in partly if ref.pack_class == pack_class]
        rewrite_packs(packs, group, repo.store.staging, deliver=deliver, keep=keep, parts=True)
