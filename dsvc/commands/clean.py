"""The `dsvc clean` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.clean import clean
from dsvc.commands.context import Context
from dsvc.commands.options import DryRun, Json, Paths, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import UsageError


def command(
    context: Context,
    paths: Paths = (),
    *,
    force: Annotated[bool, typer.Option("-f", "--force", help="Remove them; without it they are only shown.")] = False,
    folders: Annotated[bool, typer.Option("-d", help="Folders that hold nothing versioned too.")] = False,
    ignored: Annotated[bool, typer.Option("-x", help="Ignored files too.")] = False,
    only_ignored: Annotated[bool, typer.Option("-X", help="Only ignored files.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show or remove files that are not versioned: neither in the last commit nor added.

    Nothing is removed without -f. What is removed is stored first, so that 'dsvc undo' brings it back until gc
    removes old operations; with -x that includes environments and caches. Other repositories are left alone.
    """
    if ignored and only_ignored:
        raise UsageError("-x and -X exclude each other")
    workspace = context.workspace()
    selected = [workspace.repo_path(p, context.directory) for p in paths]
    result = clean(
        workspace,
        paths=selected,
        folders=folders,
        ignored=ignored,
        only_ignored=only_ignored,
        dry_run=dry_run or not force,
    )
    for skipped in result.skipped:
        context.out.warn(f"{quote_path(skipped.path)} is left: {skipped.reason}")
    if json:
        context.out.json(
            "dsvc.clean",
            {
                "dry_run": result.dry_run,
                "files": [path_json(p) for p in result.files],
                "folders": [path_json(p) for p in result.folders],
                "bytes": result.size,
                "skipped": [{**path_json(s.path), "reason": s.reason} for s in result.skipped],
            },
        )
        return
    what = "Would remove" if result.dry_run else "Removed"
    names = [*result.files, *(folder + b"/" for folder in result.folders)]
    if not quiet or result.dry_run:
        for name in sorted(names):
            context.out.line(f"{what} {quote_path(name)}")
    if names and result.dry_run and not dry_run:
        context.out.note("Nothing was removed: 'dsvc clean -f' does it, and 'dsvc undo' brings the files back")
