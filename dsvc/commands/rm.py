"""The `dsvc rm` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.rm import rm
from dsvc.commands.context import Context
from dsvc.commands.options import DryRun, Json, NoStaging, Quiet
from dsvc.commands.path_text import path_json, quote_path


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="PATHS...", help="Files and folders to remove.")],
    *,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Folders too.")] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Files with changes too (undo brings them back).")
    ] = False,
    ignore_unmatched: Annotated[
        bool, typer.Option("--ignore-unmatch", help="No error for paths that are not versioned.")
    ] = False,
    staged: NoStaging = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove files from the working copy; the next commit is without them.

    New files in a removed folder stay. To stop versioning a file and keep it, name it in .dsvcignore, remove it and
    put it back. 'dsvc undo' brings removed files back.
    """
    workspace = context.workspace()
    selected = [workspace.repo_path(p, context.directory) for p in paths]
    result = rm(
        workspace, selected, recursive=recursive, force=force, dry_run=dry_run, ignore_unmatched=ignore_unmatched
    )
    if json:
        context.out.json("dsvc.rm", {"dry_run": dry_run, "removed": [path_json(p) for p in result.removed]})
        return
    if not quiet:
        for path in result.removed:
            context.out.line(f"rm {quote_path(path)}")
