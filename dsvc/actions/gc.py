"""Remove what nothing refers to any more."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from dsvc.actions.collected import GcResult, Stock, added, stock
from dsvc.actions.hub_upkeep import GC, refuse_on_hub
from dsvc.actions.pool_gc import collect_pool
from dsvc.actions.remote_access import tended_remote
from dsvc.errors import BusyError
from dsvc.objects.ids import OperationId
from dsvc.objects.packlist import PackRef
from dsvc.objects.repack import LARGE_BYTES, choose_packs
from dsvc.progress import Progress, Silent
from dsvc.refs.log import read_head
from dsvc.remotes.settings import RemoteSettings
from dsvc.repo.family import read_family
from dsvc.repo.garbage import Cutoff, Garbage, UnsafeToCollectError, find_garbage, remove_garbage
from dsvc.repo.gcrecord import change_record, read_record
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
from dsvc.storage.backend import Backend, BlobMissingError
from dsvc.workspace import Workspace

GRACE = 30 * 24 * 3600  # seconds
_UPLOADS_STAY = 7 * 24 * 3600 * 1_000_000  # microseconds; a push that goes on later sends its parts anew
_ATTEMPTS = 8
_FAR_LARGE = 32 << 20  # of a pack on a remote: merging one of this size moves more than its request costs
_MERGED_BYTES = 1 << 30  # of one merge: gc may take its time


def collect(
    repo: Repository,
    *,
    now: int,
    grace: int = GRACE,
    since: OperationId | None = None,
    dry_run: bool = False,
    prune_all: bool = False,
    progress: Progress | None = None,
) -> GcResult:
    """Remove the objects that no ref, no operation of the last `grace` seconds and not the newest one reaches.

    `now` is in microseconds. Packs with little garbage stay as they are, unless `grace` is 0: whoever wants to keep
    nothing means all of it. So does `prune_all`, which also removes the unlisted packs of writers that may still run
    (they fail with a request to repeat, and lose nothing). Small packs are merged. Other processes may read and write
    meanwhile. Where forks share the packs, all of them are collected.

    With `since` nothing is kept that only operations before that one reach, whatever their time, and no garbage at
    all; others that share the packs keep what they have.

    Raises:
        FormatTooNewError: when this version may read the repository and not write to it.
        UnsafeToCollectError: when something that is needed is damaged; nothing is removed then.
        BusyError: when others change the repository again and again.
    """
    watch = progress or Silent()
    repo.require_writable()
    before = now - grace * 1_000_000
    cutoff = before if since is None else since
    everything, exact = prune_all or not grace, since is not None
    family = read_family(repo.backend)
    if family is not None:
        return collect_pool(
            repo,
            family,
            now=now,
            cutoff=cutoff,
            kin_cutoff=before if since is None else 0,
            dry_run=dry_run,
            everything=everything,
            exact=exact,
            at_once=prune_all,
            groups=lambda refs: _groups(repo, refs),
            progress=watch,
        )
    garbage = _collect(repo, cutoff=cutoff, everything=everything or exact, dry_run=dry_run, progress=watch)
    moved, packs = remove_unlisted_packs(repo.store, now=now, at_once=prune_all, dry_run=dry_run)
    repo.head = moved or repo.head
    lists = remove_dead_lists(repo.backend, dry_run=dry_run)
    repo.head, segments = remove_dead_segments(repo.store, repo.head, dry_run=dry_run)
    files = remove_stale_files(temporary_folders(repo.backend), now=now, at_once=prune_all, dry_run=dry_run)
    after = _expected(repo, garbage)
    if not dry_run:
        repo.refresh()
        for group in _groups(repo, repo.head.packs.packs):
            with contextlib.suppress(BlobMissingError, BusyError):  # somebody else was faster
                watch.start("Merging packs", total_bytes=sum(ref.size for ref in group), unit="packs")
                repo.head = merge_packs(
                    repo.store, repo.head, group, advance=lambda size: watch.advance(items=1, size=size)
                )
                watch.finish()
        repo.refold()
        after = stock(repo.head.packs.packs)
    return GcResult(
        freed=garbage.freed + packs.size + lists.size + segments.size + files.size,
        objects_kept=garbage.marks.count,
        objects_removed=garbage.removed,
        operations_kept=len(garbage.kept),
        operations_removed=garbage.operations_removed,
        undo_reaches=garbage.reaches,
        before=stock(garbage.head.packs.packs),
        after=after,
        leftovers=added([packs, lists, segments, files]),
        dry_run=dry_run,
    )


def collect_remote(
    workspace: Workspace,
    settings: RemoteSettings,
    *,
    grace: int = GRACE,
    dry_run: bool = False,
    prune_all: bool = False,
    jobs: int = 8,
) -> GcResult:
    """Remove what nothing reaches on a remote, merge its small packs and fold their indexes anew; see `collect`.

    In a bucket it ends the uploads that nobody went on with for a week. History is read from the remote, and content
    only of packs that are written anew. People may push and fetch meanwhile. What runs into an error or is killed
    leaves the remote whole, and some unlisted packs for the next gc.

    Raises:
        OwnUpkeepError: for the repository of a working copy. HubUpkeepError: for one on a hub, unless `dry_run` is
            set. RemoteError: when it cannot be reached. What `collect` raises.
    """
    with tended_remote(workspace, settings, jobs=jobs) as remote:
        if not dry_run:
            what = "remove or merge packs"
            refuse_on_hub(remote.publisher, remote.address, shown=settings.shown, what=what, command=GC)
        now, _ = workspace.time()
        result = collect(
            remote.repo, now=now, grace=grace, dry_run=dry_run, prune_all=prune_all, progress=workspace.progress
        )
        ended = _end_uploads(remote.place.backend, begun_before=now - _UPLOADS_STAY, dry_run=dry_run)
        return result._replace(uploads=ended)


def _end_uploads(backend: Backend, *, begun_before: int, dry_run: bool) -> int:
    """End the uploads to a bucket that were abandoned; how many these are, 0 where a place has no such thing."""
    innermost = backend
    while hasattr(innermost, "inner"):
        innermost = innermost.inner
    ends = getattr(innermost, "abandoned_uploads", None)
    return 0 if ends is None else int(ends(begun_before=begun_before, dry_run=dry_run))


def _groups(repo: Repository, packs: Sequence[PackRef]) -> list[list[PackRef]]:
    return choose_packs(packs, slack=2, most=_MERGED_BYTES, large=_FAR_LARGE if repo.is_far else LARGE_BYTES)


def _expected(repo: Repository, garbage: Garbage) -> Stock:
    """Return about what will be left."""
    gone = {ref.id for ref in (*garbage.rewritten, *garbage.dropped)}
    kept = [ref for ref in garbage.head.packs.packs if ref.id not in gone]
    merged = sum(len(group) - 1 for group in _groups(repo, kept))
    made = len({ref.pack_class for ref in garbage.rewritten})
    return Stock(len(kept) - merged + made, sum(ref.size for ref in garbage.head.packs.packs) - garbage.freed)


def _collect(
    repo: Repository, *, cutoff: Cutoff, everything: bool, dry_run: bool, progress: Progress
) -> Garbage:
    for _ in range(_ATTEMPTS):
        before = read_record(repo.backend)
        repo.refresh()
        started = repo.head.value
        try:
            garbage = find_garbage(repo, cutoff=cutoff, everything=everything, progress=progress)
            if dry_run:
                return garbage
            if remove_garbage(repo, garbage, progress=progress):
                break
        except (BlobMissingError, UnsafeToCollectError):
            head = read_head(repo.backend, repo.store.segments)
            if head is None or head.value == started:
                raise
            # Another process exchanged packs while this one read them, or collected what this one looked for.
    else:
        raise BusyError("the repository changes too often to collect its garbage", hint="run dsvc gc again later")
    obsolete = garbage.obsolete(before)
    change_record(repo.backend, lambda record: record.cut_at(garbage.cut, obsolete=obsolete))
    return garbage


def forget_arrivals(workspace: Workspace, result: GcResult, *, before: int) -> GcResult:
    """Remove what is left of imports that were killed and not gone on with since `before` (microseconds)."""
    from dsvc.worktree.arriving import ARRIVING, remove_old

    count, size = remove_old(workspace.local / ARRIVING, before=before, dry_run=result.dry_run)
    left = added([result.leftovers, Leftovers(files=count, size=size)])
    return result._replace(leftovers=left, freed=result.freed + size)
