"""The `dsvc monitor collect` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_text import visible

if TYPE_CHECKING:
    from dsvc.actions.monitor_collect import CollectResult


def collect(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model, as what it is served.")],
    folders: Annotated[
        Sequence[str], typer.Argument(metavar="[DIR]...", help="Folders that --log-dir named; else what is kept here.")
    ] = (),
    *,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the files from DIR when the branch has them.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Commit what a model was asked, and what it answered, on the branch feedback/NAME.

    These are the files that servers write with --log-predictions: 'dsvc serve' keeps them in the repository and
    collects them when it ends; 'dsvc deploy --to docker' keeps them in a volume, which is asked where no DIR is named;
    other servers write them into the folder that --log-dir names. The working copy stays as it is; 'dsvc merge
    feedback/NAME' brings the files into it. What was collected before is not taken twice.
    """
    from dsvc.actions.monitor_collect import collect as collect_files
    from dsvc.actions.monitor_collect import collect_all

    at = context.directory
    if folders:
        found = collect_files(context.workspace(), name, [at / folder for folder in folders], remove=remove)
    else:
        found = collect_all(context.workspace(), name)
    for each in found.unasked:
        context.out.warn(f"nothing is collected of {visible(each)}")
    tell_collected(context, found, name, quiet=quiet, json=json)


def tell_collected(context: Context, found: CollectResult, name: str, *, quiet: bool, json: bool = False) -> None:
    """Say what was collected."""
    for path in found.strange:
        context.out.warn(f"{visible(path)} is no file of {name}'s and is left alone")
    short = found.branch.removeprefix("heads/")
    if json:
        context.out.json(
            "dsvc.monitor.collect",
            {
                "branch": short,
                "commit": found.commit_id.hex() if found.commit_id is not None else None,
                "files": found.files,
                "rows": found.rows,
                "size": found.size,
            },
        )
    elif not quiet:
        context.out.line(f"{short}: {counted(found.rows, 'row')} in {counted(found.files, 'file')}")
        if not found.files and not found.unasked:
            ended = "after ten minutes or 20,000 rows, and when it stops"
            context.out.note(f"nothing new is finished: a server ends a file {ended}")
