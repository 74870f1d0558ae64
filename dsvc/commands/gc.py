"""The `dsvc gc` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.commit_graph import complete_graph
from dsvc.actions.gc import GcResult, collect
from dsvc.commands.context import Context
from dsvc.commands.date_text import iso_text
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import DryRun, Json, Quiet
from dsvc.errors import UsageError

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
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove what nothing reaches, and merge small packs.

    Objects that no branch, tag or other ref and no operation of the last 30 days (gc.graceDays) reaches are removed;
    so 'dsvc undo' reaches back that far. Other commands may run meanwhile.
    """
    if prune not in (None, "now"):
        raise UsageError(f"--prune={prune} is not known", hint="--prune=now, or --grace DAYS")
    if prune is not None and grace is not None:
        raise UsageError("--prune and --grace exclude each other")
    workspace = context.workspace()
    days = 0 if prune is not None else context.config().get_int("gc.graceDays") if grace is None else grace
    now, zone = workspace.time()
    result = collect(
        workspace.repo,
        now=now,
        grace=days * _DAY,
        dry_run=dry_run,
        prune_all=prune is not None,
        progress=context.progress,
    )
    if not dry_run:
        complete_graph(workspace)
    if json:
        _json(context, result)
    else:
        _show(context, result, zone)


def _json(context: Context, result: GcResult) -> None:
    context.out.json(
        "dsvc.gc",
        {
            "dry_run": result.dry_run,
            "bytes_freed": result.freed,
            "objects_kept": result.objects_kept,
            "objects_removed": result.objects_removed,
            "operations_kept": result.operations_kept,
            "operations_removed": result.operations_removed,
            "undo_reaches": iso_text(result.undo_reaches, 0),
            "packs_before": result.packs_before,
            "packs_after": result.packs_after,
            "leftover_packs": result.leftovers.packs,
            "leftover_files": result.leftovers.files,
        },
    )


def _show(context: Context, result: GcResult, zone: int) -> None:
    from datetime import datetime, timedelta, timezone

    does, frees = ("Would remove", "free") if result.dry_run else ("Removed", "freed")
    context.out.line(f"{does} {result.objects_removed:,} objects and {frees} {human_size(result.freed)}")
    context.out.line(f"{result.objects_kept:,} objects in {result.packs_after:,} packs are kept")
    moment = datetime.fromtimestamp(result.undo_reaches / 1_000_000, timezone(timedelta(minutes=zone)))
    context.out.note(f"undo reaches back to {moment:%Y-%m-%d %H:%M}")
