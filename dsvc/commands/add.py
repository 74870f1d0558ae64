"""The `dsvc add` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.add import AddResult, add
from dsvc.commands.context import Context
from dsvc.commands.copied_text import tell_copies
from dsvc.commands.options import DryRun, Json, Quiet, Verbose
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import UsageError
from dsvc.objects.reference import shown_id


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATHS]...", help="Files and folders to store.")] = (),
    *,
    everything: Annotated[bool, typer.Option("-A", "--all", help="The whole working copy.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Ignored files too.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Read unchanged files too, and store what the store has lost of them.")
    ] = False,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Store the content of files ahead of a commit.

    There is no staging area: a commit takes every change anyway, with the content of that moment. 'add' is for files
    that are ignored (-f), for new files that a commit would ask about, and to have content stored early.
    """
    if not paths and not everything:
        raise UsageError("which files?", hint="dsvc add PATH..., or 'dsvc add -A' for all; a commit takes all anyway")
    workspace = context.workspace()
    selected = [b""] if everything else [workspace.repo_path(p, context.directory) for p in paths]
    result = add(workspace, selected, force=force, repair=repair, dry_run=dry_run)
    tell_copies(context, workspace, 0 if dry_run else result.size)
    for skipped in result.skipped:
        context.out.warn(f"{quote_path(skipped.path)} cannot be versioned: {skipped.reason}")
    for number, (path, kind) in enumerate(result.keys, start=1):
        last = number == len(result.keys)
        hint = "'dsvc undo' takes this back, and a line in .dsvcignore keeps it out" if last else None
        context.out.warn(f"{quote_path(path)} looks like {kind}, and a commit takes it now", hint=hint)
    if json:
        _json(context, result, dry_run=dry_run)
        return
    if verbose or dry_run:
        for change in result.changes:
            context.out.line(f"{'remove' if change.new is None else 'add'} {quote_path(change.path)}")


def _json(context: Context, result: AddResult, *, dry_run: bool) -> None:
    context.out.json(
        "dsvc.add",
        {
            "dry_run": dry_run,
            "changes": [
                {
                    **path_json(c.path),
                    "change": "deleted" if c.new is None else "added" if c.old is None else "modified",
                    "id": shown_id(c.new).hex() if c.new else None,
                    "size": c.new.size if c.new else None,
                }
                for c in result.changes
            ],
            "files_stored": result.files,
            "bytes_stored": result.size,
            "skipped": [{**path_json(s.path), "reason": s.reason} for s in result.skipped],
        },
    )
