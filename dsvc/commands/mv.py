"""The `dsvc mv` command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.mv import mv
from dsvc.commands.context import Context
from dsvc.commands.options import DryRun, Json, Quiet, Verbose
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import RequestError, UsageError


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="SOURCE... TARGET", help="What goes, and where to.")],
    *,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Replace a file that is there (undo brings it back).")
    ] = False,
    skip_errors: Annotated[bool, typer.Option("-k", "--skip-errors", help="Leave out what cannot be moved.")] = False,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Move or rename versioned files and folders.

    TARGET is a new name, or a folder into which the sources go. A plain 'mv' does as well: a commit sees what moved.
    """
    if len(paths) < 2:
        raise UsageError("where to?", hint="dsvc mv SOURCE... TARGET")
    workspace = context.workspace()
    if paths[-1].endswith("/") and not (context.directory / paths[-1]).is_dir():
        files = [p for p in paths[:-1] if not (context.directory / p).is_dir()]
        if files:
            raise RequestError(f"there is no folder {paths[-1]}", hint=f"mkdir -p {shlex.quote(paths[-1])}")
    *sources, target = [workspace.repo_path(p, context.directory) for p in paths]
    result = mv(workspace, sources, target, force=force, skip_errors=skip_errors, dry_run=dry_run)
    for path, reason in result.left_out:
        context.out.warn(f"{quote_path(path)} was left out: {reason}")
    if json:
        moved = [{"from": path_json(a), "to": path_json(b)} for a, b in result.moved]
        left_out = [{**path_json(p), "reason": reason} for p, reason in result.left_out]
        context.out.json("dsvc.mv", {"dry_run": dry_run, "moved": moved, "left_out": left_out})
    elif verbose or dry_run:
        for source, goal in result.moved:
            context.out.line(f"{quote_path(source)} -> {quote_path(goal)}")
