"""Give back snapshots of datasets that no ref and no recent operation reaches, and datasets that dsvc made for them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dsvc.objects.ids import Kind
from dsvc.objects.snapshot import decode_snapshot
from dsvc.repo.garbage import survey
from dsvc.storage.snapshots import Kept
from dsvc.workspace import PRIVATE, Workspace
from dsvc.worktree.datasets import Place, read_datasets
from dsvc.worktree.places import worktree_paths
from dsvc.zfs.provider import ZfsProvider, open_zfs
from dsvc.zfs.taken import foreign, held, looks

_DAY = 24 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class SnapshotGcResult:
    """The snapshots and datasets that were destroyed, or would be, by their names, and the snapshots that stay."""

    snapshots: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    kept: int = 0


def collect_snapshots(workspace: Workspace, *, grace: int, dry_run: bool = False) -> SnapshotGcResult:
    """Destroy this repository's snapshots that no ref and no operation of the last `grace` seconds reaches.

    Datasets that dsvc made go when they serve no folder of a worktree, all their snapshots go, and nothing was written
    to them since. So does what a killed process left: clones that it read, and, after a day, snapshots that it compared
    with. Those of another repository that this one held are let go. Snapshots of others, those that somebody else
    holds, and those with clones stay. Safe to call again.

    Raises:
        BusyError: while another process takes snapshots. UnsafeToCollectError: when the history cannot be read. What
        ZFS says, such as which permission is missing.
    """
    datasets = workspace.datasets()
    if datasets is None:
        return SnapshotGcResult()
    datasets.keep_off_gc(exclusive=True)
    workspace.repo.refresh()
    roots = [workspace.common.parent, *worktree_paths(workspace.common).values()]
    files = [root / PRIVATE / "worktree" / "datasets" for root in roots]
    places = [place for file in files for place in read_datasets(file).values()]
    near = list(dict.fromkeys(name for place in places for name in place.known()))
    if not near:
        return SnapshotGcResult()
    zfs = open_zfs(workspace.surroundings.environment, workspace.config)
    now, _ = workspace.time()
    needed = _reached(workspace, cutoff=now - grace * 1_000_000)
    ours = held(zfs, datasets.mark, near)
    left = _left(zfs, datasets.mark, near, roots)
    idle = [*left, *_idle(zfs, datasets.mark, near, places, needed)]
    going = [*(kept for kept in ours if kept.guid not in needed), *looks(zfs, near, before=now // 1_000_000 - _DAY)]
    lent = [kept for kept in foreign(zfs, datasets.mark, near) if kept.guid not in needed]
    if not dry_run:
        going += [kept for kept in lent if zfs.release(kept.name, datasets.tag)]  # the last who held it destroys it
        for name in left:
            zfs.unmount(name)
        for kept in going:
            zfs.release(kept.name, datasets.tag)
        going, idle = _destroy(zfs, going, idle)
    names = tuple(kept.name for kept in going)
    gone = {kept.name for kept in going}
    return SnapshotGcResult(names, tuple(idle), sum(kept.name not in gone for kept in ours))


def _reached(workspace: Workspace, *, cutoff: int) -> set[str]:
    """Return the guids of the snapshots that are needed."""
    store = workspace.repo.store
    marks = survey(workspace.repo, cutoff=cutoff, progress=workspace.progress).marks
    found: set[str] = set()
    for ref in workspace.repo.head.packs.packs:
        for position, (object_id, place) in enumerate(store.packs.index(ref).objects()):
            if place.kind == Kind.SNAPSHOT and marks.has(ref.id, position):
                found.add(decode_snapshot(store.get(object_id, Kind.SNAPSHOT)).guid)
    return found


def _left(zfs: ZfsProvider, mark: str, near: list[str], roots: Iterable[Path]) -> list[str]:
    """Return the clones that processes read from and did not live to destroy: they are mounted inside of `.dsvc`."""
    inside = [Path(os.path.realpath(root / PRIVATE)) for root in roots]
    found = ((name, zfs.dataset(name)) for name in zfs.made(mark, near))
    return [
        name
        for name, dataset in found
        if dataset is not None
        and dataset.mounted_at is not None
        and any(folder in dataset.mounted_at.parents for folder in inside)
    ]


def _idle(zfs: ZfsProvider, mark: str, near: list[str], places: Iterable[Place], needed: set[str]) -> list[str]:
    """Return the datasets that dsvc made and that nobody needs."""
    serving = {place.dataset for place in places if place.active}
    found: list[str] = []
    for name in zfs.made(mark, near):
        dataset = zfs.dataset(name)
        if dataset is None or dataset.mounted_at is not None or name in serving:
            continue
        inside = zfs.snapshots(name)
        if any(kept.guid in needed or not kept.name.partition("@")[2].startswith("dsvc-") for kept in inside):
            continue
        last = inside[-1].name if inside else dataset.origin
        if last and not zfs.written(name, last):
            found.append(name)
    return found


def _destroy(zfs: ZfsProvider, going: list[Kept], idle: list[str]) -> tuple[list[Kept], list[str]]:
    """Destroy what can be; again after each round, because a clone must go before what it was made of."""
    snapshots, datasets = list(going), list(idle)
    gone: tuple[list[Kept], list[str]] = [], []
    progress = True
    while progress:
        progress = False
        for kept in list(snapshots):
            if zfs.destroy(kept.name):
                snapshots.remove(kept)
                gone[0].append(kept)
                progress = True
        for name in list(datasets):
            if not any(kept.dataset == name for kept in snapshots) and zfs.destroy(name):
                datasets.remove(name)
                gone[1].append(name)
                progress = True
    return gone
