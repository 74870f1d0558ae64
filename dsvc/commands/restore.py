"""The `dsvc restore` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.restore import RestoreResult, restore
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.options import Json, MapNames, NoStaging, Quiet
from dsvc.commands.path_text import path_json


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="PATHS...", help="Files and folders to put back.")],
    *,
    source: Annotated[
        str | None, typer.Option("-s", "--source", metavar="REV", help="Take them from here instead of HEAD.")
    ] = None,
    staged: NoStaging = False,
    map_names: MapNames = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Put files back as a commit has them.

    What they hold now is stored first: 'dsvc undo' brings it back.
    """
    workspace = context.workspace()
    selected = [workspace.repo_path(p, context.directory) for p in paths]
    result = restore(workspace, selected, source=source, map_names=map_names)
    if json:
        context.out.json("dsvc.restore", {"paths": [path_json(p) for p in result.paths], "tree": result.tree.hex()})
        return
    context.out.note(restored_text(result, source))


def restored_text(result: RestoreResult, source: str | None) -> str:
    """Say how many files were put back."""
    if not result.changed:
        return f"Nothing to restore: all is as in {source or 'HEAD'}"
    return f"Restored {counted(result.changed, 'file')}; 'dsvc undo' takes it back"
