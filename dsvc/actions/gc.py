"""Remove what nothing refers to any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dsvc.errors import IntegrityError
from dsvc.objects.ids import Kind, OperationId, PackId
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.repack import choose_packs, rewrite_packs
from dsvc.objects.store import ObjectMissingError
from dsvc.progress import Progress, Silent
from dsvc.refs.log import Head
from dsvc.repo.gcrecord import change_record
from dsvc.repo.leftovers import (
    Leftovers,
    remove_dead_lists,
    remove_stale_files,
    remove_unlisted_packs,
    temporary_folders,
)
from dsvc.repo.maintenance import delete_packs, exchange, merge_packs
from dsvc.repo.reachable import Marks, Target, mark
from dsvc.repo.repository import Repository
from dsvc.storage.backend import BlobMissingError

GRACE = 30 * 24 * 3600  # seconds
_WORTH = 0.2  # a pack is rewritten when more than this part of its plain bytes is garbage
_ATTEMPTS = 6
_MERGED_BYTES = 1 << 30  # of one merge: gc may take its time


class UnsafeToCollectError(IntegrityError):
    """Something in the middle of the history is damaged, and what lies behind it would pass for garbage."""


@dataclass(frozen=True, slots=True)
class GcResult:
    """What gc removed, or with `dry_run` would: bytes of packs with garbage in plain form, objects, operations.

    `freed` counts bytes in the backend (an estimate in a dry run). `undo_reaches` is the time in microseconds of the
    oldest operation that is left. `packs_before` and `packs_after` are lengths of the pack list.
    """

    freed: int
    objects_kept: int
    objects_removed: int
    operations_kept: int
    operations_removed: int
    undo_reaches: int
    packs_before: int
    packs_after: int
    leftovers: Leftovers
    dry_run: bool


@dataclass(slots=True)
class _Plan:
    """What one attempt found: marks, which packs to rewrite or drop, and what that frees."""

    head: Head
    marks: Marks
    kept: list[OperationId]
    cut: frozenset[OperationId]
    reaches: int
    removed_operations: int
    rewritten: list[PackRef]
    dropped: list[PackRef]
    freed: int
    removed: int


def collect(
    repo: Repository,
    *,
    now: int,
    grace: int = GRACE,
    dry_run: bool = False,
    prune_all: bool = False,
    progress: Progress | None = None,
) -> GcResult:
    """Remove the objects that no ref, no operation of the last `grace` seconds and not the newest one reaches.

    `now` is in microseconds. Packs with little garbage stay as they are, unless `prune_all`, which also removes the
    unlisted packs of writers that may still run (they fail with a request to repeat, and lose nothing). Small packs
    are merged. Other processes may read and write meanwhile.

    Raises:
        UnsafeToCollectError: when something that is needed is damaged; nothing is removed then.
        BusyError: when others change the repository again and again.
    """
    watch = progress or Silent()
    for _ in range(_ATTEMPTS):
        repo.refresh()
        before = len(repo.head.packs.packs)
        try:
            plan = _plan(repo, cutoff=now - grace * 1_000_000, everything=prune_all, progress=watch)
            done = dry_run or _carry_out(repo, plan, progress=watch)
        except BlobMissingError:
            if not _has_moved(repo):
                raise
            continue  # another process exchanged packs while this one read them
        if done:
            break
    else:
        plan = replace_nothing(plan)
    left = _remove_leftovers(repo, now=now, at_once=prune_all, dry_run=dry_run)
    if not dry_run:
        for group in choose_packs(repo.head.packs.packs, slack=2, most=_MERGED_BYTES):
            repo.head = merge_packs(repo.store, repo.head, group)
    return GcResult(
        freed=plan.freed + left.size,
        objects_kept=plan.marks.count,
        objects_removed=plan.removed,
        operations_kept=len(plan.kept),
        operations_removed=plan.removed_operations,
        undo_reaches=plan.reaches,
        packs_before=before,
        packs_after=len(repo.head.packs.packs),
        leftovers=left,
        dry_run=dry_run,
    )
