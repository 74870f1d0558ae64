"""The `dsvc gc` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.collected import GcResult
from dsvc.actions.commit_graph import complete_graph
from dsvc.actions.gc import collect, collect_remote, forget_arrivals
from dsvc.actions.remote_access import choose_remote
from dsvc.actions.snapshot_gc import SnapshotGcResult, collect_snapshots
from dsvc.commands.bare import repository_here
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.date_text import iso_text
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import DryRun, Jobs, Json, Quiet, Remote
from dsvc.errors import UsageError
from dsvc.remotes.settings import RemoteSettings

_DAY = 24 * 3600


def command(
    context: Context,
    *,
    grace: Annotated[
        int | None, typer.Option("--grace", metavar="DAYS", min=0, help="Keep what undo reaches for so many days.")
    ] = None,
    prune: Annotated[
        str | None, typer.Option("--prune", metavar="now", help="Keep nothing for undo, and wait for nobody.")
    ] = None,
    remote: Remote = None,
    jobs: Jobs = 8,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove what nothing reaches, and merge small packs.

    Objects that no branch, tag or other ref and no operation of the last 30 days (gc.graceDays) reaches are removed;
    so 'dsvc undo' reaches back that far. Other commands may run meanwhile.

    Of folders that ZFS keeps, the snapshots that nothing reaches are destroyed, and datasets that dsvc made for them.

    In the folder of a repository without a working copy, such as a hub's, that one is meant. With --remote the
    same is done on a remote, while others push and fetch. Its history is read from there, and
    content only of packs that are written anew. In a bucket, uploads that nobody went on with for a week are ended.
    """
    if prune not in (None, "now"):
        raise UsageError(f"--prune={prune} is not known", hint="--prune=now, or --grace DAYS")
    if prune is not None and grace is not None:
        raise UsageError("--prune and --grace exclude each other")
    days = 0 if prune is not None else context.config().get_int("gc.graceDays") if grace is None else grace
    everything = prune is not None
    if remote is None:
        with repository_here(context) as repo:
            if repo is not None:
                moment = context.now()
                now = int(moment.timestamp() * 1_000_000)
                offset = moment.utcoffset()
                zone = int(offset.total_seconds()) // 60 if offset is not None else 0
                result = collect(
                    repo, now=now, grace=days * _DAY, dry_run=dry_run, prune_all=everything, progress=context.progress
                )
                _tell(context, result, None, zone=zone, json=json, far=True)
                return
    workspace = context.workspace()
    settings = None if remote is None else choose_remote(workspace, remote or None, directory=context.directory)
    now, zone = workspace.time()
    snapshots: SnapshotGcResult | None = None
    if settings is not None:
        result = collect_remote(
            workspace, settings, grace=days * _DAY, dry_run=dry_run, prune_all=everything, jobs=jobs
        )
    else:
        result = collect(
            workspace.repo,
            now=now,
            grace=days * _DAY,
            dry_run=dry_run,
            prune_all=everything,
            progress=context.progress,
        )
        result = forget_arrivals(workspace, result, before=now - days * _DAY * 1_000_000)
        if not dry_run:
            complete_graph(workspace)
        snapshots = collect_snapshots(workspace, grace=days * _DAY, dry_run=dry_run)
    _tell(context, result, settings, zone=zone, json=json, far=settings is not None, snapshots=snapshots)


def _tell(
    context: Context,
    result: GcResult,
    settings: RemoteSettings | None,
    *,
    zone: int,
    json: bool,
    far: bool,
    snapshots: SnapshotGcResult | None = None,
) -> None:
    if json:
        _json(context, result, settings, snapshots)
    else:
        _show(context, result, zone, far=far)
        if snapshots is not None and (snapshots.snapshots or snapshots.datasets):
            does = "Would destroy" if result.dry_run else "Destroyed"
            datasets = counted(len(snapshots.datasets), "dataset")
            context.out.line(f"{does} {counted(len(snapshots.snapshots), 'snapshot')} and {datasets} of ZFS")


def _json(
    context: Context, result: GcResult, settings: RemoteSettings | None, snapshots: SnapshotGcResult | None
) -> None:
    context.out.json(
        "dsvc.gc",
        {
            "remote": settings.shown if settings is not None else None,
            "dry_run": result.dry_run,
            "bytes_freed": result.freed,
            "objects_kept": result.objects_kept,
            "objects_removed": result.objects_removed,
            "operations_kept": result.operations_kept,
            "operations_removed": result.operations_removed,
            "undo_reaches": iso_text(result.undo_reaches, 0),
            "packs_before": result.before.packs,
            "packs_after": result.after.packs,
            "bytes_before": result.before.size,
            "bytes_after": result.after.size,
            "leftover_packs": result.leftovers.packs,
            "leftover_files": result.leftovers.files,
            "repositories": result.repositories,
            "uploads_ended": result.uploads,
            "snapshots_destroyed": list(snapshots.snapshots) if snapshots is not None else [],
            "datasets_destroyed": list(snapshots.datasets) if snapshots is not None else [],
        },
    )


def _show(context: Context, result: GcResult, zone: int, *, far: bool) -> None:
    from datetime import datetime, timedelta, timezone

    does, frees = ("Would remove", "free") if result.dry_run else ("Removed", "freed")
    context.out.line(f"{does} {result.objects_removed:,} objects and {frees} {human_size(result.freed)}")
    context.out.line(f"{result.objects_kept:,} objects in {counted(result.after.packs, 'pack')} are kept")
    if far:
        about = "about " if result.dry_run else ""
        context.out.line(
            f"before: {counted(result.before.packs, 'pack')}, {human_size(result.before.size)}; "
            f"after: {about}{counted(result.after.packs, 'pack')}, {human_size(result.after.size)}"
        )
    if result.repositories > 1:
        context.out.line(f"{result.repositories} repositories use this pool, and each keeps what it needs")
    if result.uploads:
        ends = "would be ended" if result.dry_run else "were ended"
        context.out.line(f"{counted(result.uploads, 'upload')} that nobody went on with for a week {ends}")
    moment = datetime.fromtimestamp(result.undo_reaches / 1_000_000, timezone(timedelta(minutes=zone)))
    what = "operations there reach" if far else "undo reaches"
    context.out.note(f"{what} back to {moment:%Y-%m-%d %H:%M}")
