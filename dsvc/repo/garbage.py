"""Find what no ref and no recent operation reaches, and write the packs without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from dsvc.errors import IntegrityError
from dsvc.objects.ahead import gather_history
from dsvc.objects.ids import Kind, OperationId
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.repack import rewrite_packs
from dsvc.objects.store import ObjectMissingError
from dsvc.progress import Progress
from dsvc.refs.log import Head
from dsvc.repo.cuts import left_out
from dsvc.repo.gcrecord import GcRecord, change_record
from dsvc.repo.maintenance import exchange, give_up
from dsvc.repo.reachable import Marks, Target, mark
from dsvc.repo.repository import Repository

WORTH = 0.2  # a pack is rewritten when more than this part of its plain bytes is garbage
Cutoff: TypeAlias = "int | OperationId"  # a time in microseconds, or the oldest operation that stays
_CONTENT = (Kind.CHUNK, Kind.FILE_MAP)


class UnsafeToCollectError(IntegrityError):
    """Something in the middle of the history is damaged, and what lies behind it would pass for garbage."""


@dataclass(slots=True)
class Garbage:
    """What is garbage at one head, and what to do about it.

    `reaches` is the time of the oldest operation that stays, `dropped_operations` are those that do not; `freed`
    estimates stored bytes, `removed` counts objects.
    """

    head: Head
    marks: Marks
    kept: list[OperationId]
    cut: frozenset[OperationId]
    reaches: int
    operations_removed: int = 0
    dropped_operations: frozenset[OperationId] = frozenset()
    rewritten: list[PackRef] = field(default_factory=list)
    dropped: list[PackRef] = field(default_factory=list)
    freed: int = 0
    removed: int = 0

    def obsolete(self, record: GcRecord) -> frozenset[OperationId]:
        """Return the operations that a record, read before the search, has as cut and that are behind the cut now.

        One that was still there is not among them: another process is about to cut the log in front of it.
        """
        return record.cut - self.cut - self.dropped_operations - frozenset(self.kept)


def find_garbage(repo: Repository, *, cutoff: Cutoff, everything: bool, progress: Progress) -> Garbage:
    """Mark what is needed (see `survey`), and choose the packs that should be rewritten.

    With `everything` each pack that holds garbage is chosen, else those with much of it.

    Raises:
        UnsafeToCollectError: when something that is needed cannot be read.
    """
    garbage = survey(repo, cutoff=cutoff, progress=progress)
    store, head, marks = repo.store, garbage.head, garbage.marks
    for ref in head.packs.packs:
        index = store.packs.index(ref)
        live = dead = removed = 0
        cut_here = False
        for position, (_, place) in enumerate(index.objects()):
            if marks.has(ref.id, position):
                live += place.length + 1
            else:
                dead += place.length + 1
                removed += 1
                # A cut operation must not be left: its view may name what goes now.
                cut_here = cut_here or place.kind == Kind.OPERATION
        if not live:
            garbage.dropped.append(ref)
            garbage.freed += ref.size
        elif removed and (everything or cut_here or dead > WORTH * (live + dead)):
            garbage.rewritten.append(ref)
            garbage.freed += ref.size * dead // (live + dead)
        else:
            continue
        garbage.removed += removed
    return garbage


def survey(repo: Repository, *, cutoff: Cutoff, progress: Progress) -> Garbage:
    """Mark what the operations since `cutoff` reach; no pack is chosen yet.

    Operations stay from the newest one back to the last that is not older than that time, or back to that one,
    if it is there.

    Raises:
        UnsafeToCollectError: when something that is needed cannot be read.
    """
    store, head = repo.store, repo.head
    gather_history(repo.backend, store.packs, head.packs.packs, progress=progress)
    walked = [(i, op.time, op.parents) for i, op in repo.log.walk(head.operation)]
    if isinstance(cutoff, int):
        last = max((n for n, (_, time, _) in enumerate(walked) if time >= cutoff), default=0)
    else:
        last = next((n for n, (i, _, _) in enumerate(walked) if i == cutoff), len(walked) - 1)
    kept = [operation_id for operation_id, _, _ in walked[: last + 1]]
    inside = set(kept)
    cut = frozenset(p for _, _, parents in walked[: last + 1] for p in parents if p not in inside)
    progress.start("Looking for what is needed", unit="objects")
    marks = Marks(store.packs, head.packs.packs)
    _mark(repo, marks, kept, progress)
    progress.finish()
    dropped = frozenset(operation_id for operation_id, _, _ in walked[last + 1 :])
    return Garbage(head, marks, kept, cut, walked[last][1], len(dropped), dropped)


def remove_garbage(repo: Repository, garbage: Garbage, *, progress: Progress) -> bool:
    """Put packs without the garbage in the place of those that hold it; return False when somebody got in between.

    Nothing is changed then, and the search must begin anew. A commit that was made meanwhile is marked before each
    swap, so that nothing which it revived is lost.
    """
    old = tuple(ref.id for ref in (*garbage.rewritten, *garbage.dropped))
    if not old:
        return True
    store, marks = repo.store, garbage.marks
    change_record(store.backend, lambda record: record.cutting(garbage.cut))
    made: list[PackRef] = []

    def deliver(ref: PackRef, path: Path) -> None:
        store.backend.put(ref.key, path)
        made.append(ref)

    used = {pack_id: marks.bits(pack_id) for pack_id in old}

    def still(newer: Head) -> bool:
        return mark_newer(repo, garbage, newer, progress=progress) and all(marks.bits(i) == used[i] for i in old)

    try:
        progress.start("Writing packs", total_bytes=sum(ref.size for ref in garbage.rewritten))
        for pack_class in PackClass:
            sources = [ref for ref in garbage.rewritten if ref.pack_class == pack_class]
            rewrite_packs(
                store.packs,
                sources,
                store.staging,
                deliver=deliver,
                keep=lambda ref, position: marks.has(ref.id, position),
                advance=lambda size: progress.advance(size=size),
                parts=True,
            )
        progress.finish()
    except BaseException:
        give_up(store, made)
        raise
    moved = exchange(
        store,
        garbage.head,
        lambda packs: packs.replacing(old, ()).adding(tuple(made)),  # no replacement: it does not hold everything
        old=old,
        new=made,
        still=still,
    )
    if moved is None:
        give_up(store, made)
        return False
    repo.head = moved
    return True


def mark_newer(repo: Repository, garbage: Garbage, newer: Head, *, progress: Progress) -> bool:
    """Mark what operations reach that were made since; False when another process collected meanwhile."""
    if not newer.packs.holds_all_of(garbage.head.packs):
        return False
    repo.store.show(newer.packs)
    for ref in newer.packs.packs:
        if ref.id not in garbage.marks.packs():
            garbage.marks.add_pack(ref)
    known = set(garbage.kept)
    fresh: list[OperationId] = []
    for operation_id, _ in repo.log.walk(newer.operation):
        if operation_id in known:
            break
        fresh.append(operation_id)
    _mark(repo, garbage.marks, fresh, progress)
    garbage.kept += fresh
    return True


def _mark(repo: Repository, marks: Marks, operations: list[OperationId], progress: Progress) -> None:
    def unsafe(error: IntegrityError) -> UnsafeToCollectError:
        return UnsafeToCollectError(f"gc stopped and removed nothing: {error}", hint="dsvc fsck", details=error.details)

    def failed(target: Target, error: IntegrityError) -> None:
        if target[0] in _CONTENT and isinstance(error, ObjectMissingError):
            return  # nothing lies behind it; purged, or for fsck to find
        raise unsafe(error) from error

    def visit(kind: Kind, object_id: bytes, payload: bytes) -> None:
        del kind, object_id
        progress.advance(items=1, size=len(payload))

    try:
        cut = left_out(repo.store, repo.log.view(operations[0])) if operations else frozenset()
    except IntegrityError as error:  # another process may have collected meanwhile, which the caller finds out
        raise unsafe(error) from error
    roots = [(Kind.OPERATION, bytes(i)) for i in operations]
    mark(repo.store, marks, roots, failed=failed, visit=visit, skip=lambda target: target[1] in cut)
