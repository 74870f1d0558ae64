"""The `dsvc cat` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.cat import CatResult, cat
from dsvc.actions.revision import revision_context
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.commands.path_text import path_json
from dsvc.errors import DsvcError
from dsvc.workspace import Workspace


def command(
    context: Context,
    names: Annotated[Sequence[str], typer.Argument(metavar="REV:PATH|PATH...", help="Files of commits.")],
    *,
    json: Json = False,
) -> None:
    """Print a file of a commit.

    PATH alone is the file in HEAD's commit, REV:PATH the one in another, and a file's id works too. The bytes are
    written unchanged, several files one after the other. --json tells the ids and sizes and leaves the content out.
    """
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    files = [cat(workspace, name, path=_path(context, workspace, name), context=revisions) for name in names]
    if json:
        context.out.json("dsvc.cat", {"files": [_described(file) for file in files]})
        return
    for file in files:
        for chunk in file.chunks:
            context.out.raw(chunk)


def _path(context: Context, workspace: Workspace, name: str) -> bytes | None:
    try:
        return workspace.repo_path(name, context.directory)
    except DsvcError:
        return None


def _described(file: CatResult) -> dict[str, object]:
    path = path_json(file.path) if file.path is not None else {}
    return {**path, "id": file.file_id.hex(), "size": file.size}
