"""Remove what no repository of a pool refers to any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dsvc.actions.collected import GcResult, added, stock
from dsvc.errors import BusyError
from dsvc.objects.packlist import PackRef
from dsvc.progress import Progress
from dsvc.refs.log import RepositoryDeletedError
from dsvc.repo.family import Family
from dsvc.repo.garbage import Cutoff, UnsafeToCollectError
from dsvc.repo.gcrecord import change_record, read_record
from dsvc.repo.leftovers import (
    Leftovers,
    remove_dead_lists,
    remove_dead_segments,
    remove_stale_files,
    temporary_folders,
)
from dsvc.repo.member import member_of, pool_of
from dsvc.repo.pooldivide import divide, merge_pool
from dsvc.repo.poolneeds import Members, PoolGarbage, choose, survey_pool
from dsvc.repo.pooltwins import unite
from dsvc.repo.repository import Repository
from dsvc.repo.sweeping import sweep
from dsvc.storage.backend import BlobMissingError

_ATTEMPTS = 8
Choose = Callable[[Sequence[PackRef]], list[list[PackRef]]]


def collect_pool(
    repo: Repository,
    family: Family,
    *,
    now: int,
    cutoff: Cutoff,
    kin_cutoff: Cutoff,
    dry_run: bool,
    everything: bool,
    exact: bool,
    at_once: bool,
    groups: Choose,
    progress: Progress,
) -> GcResult:
    """Do what `dsvc.actions.gc.collect` does, for all repositories that share packs with `repo`.

    Operations before `cutoff` go from `repo`, and from the others those before `kin_cutoff`. With `everything` no pack
    keeps garbage, with `exact` none that `repo` lists; `at_once` waits for no writer. `groups` says which packs should
    become one. Raises as `collect`.
    """
    pool, asked = pool_of(repo.backend)
    members = _members(repo, family)
    cutoffs = {i: cutoff if i == asked else kin_cutoff for i in members}
    tidy = frozenset(members if everything else (asked,) if exact else ())
    found = _divided(
        members, repo, cutoffs=cutoffs, everything=everything, exact=tidy, dry_run=dry_run, progress=progress
    )
    before = stock(needs.ref for needs in found.packs.values())
    reaches = found.tended[asked if asked in found.tended else next(iter(found.tended))].garbage.reaches
    own = list(members.values())
    gone = set(found.packs)
    if not dry_run:
        gone |= merge_pool(pool, members, groups, staging=repo.store.staging, progress=progress)
    swept = sweep(pool, now=now, at_once=at_once, dry_run=dry_run, counted=gone)
    tidied = [_tidied(member, dry_run=dry_run) for member in own]
    files = remove_stale_files(temporary_folders(pool), now=now, at_once=at_once, dry_run=dry_run)
    after = before._replace(size=before.size - found.freed)
    if not dry_run:
        for member in own:
            member.refresh()
        after = stock({ref.id: ref for member in own for ref in member.head.packs.packs}.values())
        repo.refresh()
    left = added([swept, *tidied, files])
    return GcResult(
        freed=found.freed + left.size,
        objects_kept=found.kept,
        objects_removed=found.removed,
        operations_kept=sum(len(one.garbage.kept) for one in found.tended.values()),
        operations_removed=sum(one.garbage.operations_removed for one in found.tended.values()),
        undo_reaches=reaches,
        before=before,
        after=after,
        leftovers=left,
        dry_run=dry_run,
        repositories=len(members),
    )


def _members(repo: Repository, family: Family) -> dict[str, Repository]:
    """Open the repositories of a pool; those that were deleted are not there."""
    pool, asked = pool_of(repo.backend)
    found = {}
    for member in family.ready():
        if member == asked:
            found[member] = repo
            continue
        try:
            found[member] = Repository.open(member_of(pool, member), repo.store.staging, far=True)
        except RepositoryDeletedError:
            continue
    return found


def _divided(
    members: dict[str, Repository],
    repo: Repository,
    *,
    cutoffs: Mapping[str, Cutoff],
    everything: bool,
    exact: Members,
    dry_run: bool,
    progress: Progress,
) -> PoolGarbage:
    pool, _ = pool_of(repo.backend)
    for _ in range(_ATTEMPTS):
        before = {i: read_record(member.backend) for i, member in members.items()}
        for member in members.values():
            member.refresh()
        started = [member.head.value for member in members.values()]
        try:
            found = survey_pool(pool, members, cutoffs=cutoffs, progress=progress)
            unite(found, everything=everything)
            choose(found, exact=exact)
            if dry_run or divide(found, staging=repo.store.staging, progress=progress):
                break
        except (BlobMissingError, UnsafeToCollectError):
            for member in members.values():
                member.refresh()
            if started == [member.head.value for member in members.values()]:
                raise
            # Another process exchanged packs while this one read them, or collected what this one looked for.
    else:
        raise BusyError("the repositories change too often to collect their garbage", hint="run dsvc gc again later")
    if not dry_run:
        for i, one in found.tended.items():
            cut, obsolete = one.garbage.cut, one.garbage.obsolete(before[i])
            change_record(one.repo.backend, lambda record, c=cut, o=obsolete: record.cut_at(c, obsolete=o))  # type: ignore[misc]
    return found


def _tidied(member: Repository, *, dry_run: bool) -> Leftovers:
    """Remove what a member has no use for beside packs."""
    lists = remove_dead_lists(member.backend, dry_run=dry_run)
    member.refresh()
    member.head, segments = remove_dead_segments(member.store, member.head, dry_run=dry_run)
    if not dry_run:
        member.refold()
    return Leftovers(lists=lists.lists + segments.lists, size=lists.size + segments.size)
