"""Remove what nothing refers to any more."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from dsvc.errors import BusyError
from dsvc.objects.repack import choose_packs
from dsvc.progress import Progress, Silent
from dsvc.refs.log import read_head
from dsvc.repo.garbage import Garbage, find_garbage, remove_garbage
from dsvc.repo.gcrecord import change_record
from dsvc.repo.leftovers import (
    Leftovers,
    remove_dead_lists,
    remove_dead_segments,
    remove_stale_files,
    remove_unlisted_packs,
    temporary_folders,
)
from dsvc.repo.maintenance import merge_packs
from dsvc.repo.repository import Repository
from dsvc.storage.backend import BlobMissingError

GRACE = 30 * 24 * 3600  # seconds
_ATTEMPTS = 8
_MERGED_BYTES = 1 << 30  # of one merge: gc may take its time


@dataclass(frozen=True, slots=True)
class GcResult:
    """What gc removed, or with `dry_run` would.

    `freed` counts bytes in the backend, roughly; `undo_reaches` is the time (microseconds) of the oldest operation
    that is left; `packs_before` and `packs_after` are lengths of the pack list.
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
        FormatTooNewError: when this version may read the repository and not write to it.
        UnsafeToCollectError: when something that is needed is damaged; nothing is removed then.
        BusyError: when others change the repository again and again.
    """
    watch = progress or Silent()
    repo.require_writable()
    garbage = _collect(repo, cutoff=now - grace * 1_000_000, everything=prune_all, dry_run=dry_run, progress=watch)
    moved, packs = remove_unlisted_packs(repo.store, now=now, at_once=prune_all, dry_run=dry_run)
    repo.head = moved or repo.head
    lists = remove_dead_lists(repo.backend, dry_run=dry_run)
    repo.head, segments = remove_dead_segments(repo.store, repo.head, dry_run=dry_run)
    files = remove_stale_files(temporary_folders(repo.backend), now=now, at_once=prune_all, dry_run=dry_run)
    if not dry_run:
        repo.refresh()
        for group in choose_packs(repo.head.packs.packs, slack=2, most=_MERGED_BYTES):
            with contextlib.suppress(BlobMissingError, BusyError):  # somebody else was faster
                repo.head = merge_packs(repo.store, repo.head, group)
    return GcResult(
        freed=garbage.freed + packs.size + lists.size + segments.size + files.size,
        objects_kept=garbage.marks.count,
        objects_removed=garbage.removed,
        operations_kept=len(garbage.kept),
        operations_removed=garbage.operations_removed,
        undo_reaches=garbage.reaches,
        packs_before=len(garbage.head.packs.packs),
        packs_after=len(repo.head.packs.packs),
        leftovers=Leftovers(
            packs.packs,
            lists.lists + segments.lists,
            files.files,
            packs.size + lists.size + segments.size + files.size,
        ),
        dry_run=dry_run,
    )


def _collect(
    repo: Repository, *, cutoff: int, everything: bool, dry_run: bool, progress: Progress
) -> Garbage:
    for _ in range(_ATTEMPTS):
        repo.refresh()
        started = repo.head.value
        try:
            garbage = find_garbage(repo, cutoff=cutoff, everything=everything, progress=progress)
            if dry_run:
                return garbage
            if remove_garbage(repo, garbage, progress=progress):
                break
        except BlobMissingError:
            head = read_head(repo.backend, repo.store.segments)
            if head is None or head.value == started:
                raise
            # Another process exchanged packs while this one read them.
    else:
        raise BusyError("the repository changes too often to collect its garbage", hint="run dsvc gc again later")
    change_record(repo.backend, lambda record: replace(record, cut=garbage.cut))
    return garbage
