"""The `dsvc mount` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dsvc.actions.mount import Mount, mount, mounts
from dsvc.actions.revision import revision_context
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.errors import DsvcError, UsageError


def command(
    context: Context,
    revision: Annotated[str | None, typer.Argument(metavar="[REV]", help="What to show.")] = None,
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="An empty folder to show it in.")] = None,
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show a commit as a folder, without a checkout.

    Files are read from the store as programs read them; nothing can be written. In a partial clone content is fetched
    when it is read. Ends with Ctrl-C, or with 'dsvc umount DIR' from elsewhere. Without arguments, what is mounted of
    this repository is listed. Needs FUSE, and pip install 'dsvc[mount]'.
    """
    workspace = context.workspace()
    if revision is None:
        found = mounts(workspace)
        if json:
            _json(context, found)
            return
        for made in found:
            context.out.line(f"{made.tree}  {made.path}{'  (its process is gone)' if made.stale else ''}")
        return
    if folder is None:
        raise UsageError("mount it where?", hint=f"dsvc mount {revision} DIR")

    def ready(made: Mount) -> None:
        if json:
            _json(context, [made])
        else:
            context.out.note(f"{revision} is at {made.path}; Ctrl-C or 'dsvc umount {folder}' ends it")
        context.out.flush()

    def failed(error: DsvcError) -> None:
        context.out.warn(error.message, hint=error.hint)
        context.out.flush()

    mount(
        workspace,
        revision,
        context.directory / folder,
        ready=ready,
        failed=failed,
        context=revision_context(workspace, directory=context.directory),
    )


def _json(context: Context, found: list[Mount]) -> None:
    rows: list[dict[str, Any]] = [{"path": str(m.path), "tree": m.tree, "stale": m.stale} for m in found]
    context.out.json("dsvc.mount", {"mounts": rows})
