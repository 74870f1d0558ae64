"""The `dsvc umount` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dsvc.actions.mount import mounts, unmount
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError


def command(
    context: Context,
    folders: Annotated[Sequence[Path], typer.Argument(metavar="DIR...", help="Where commits are mounted.")] = (),
    *,
    everything: Annotated[bool, typer.Option("-a", "--all", help="All mounts of this repository.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """End mounts of commits.

    One whose process is gone, so that its folder answers nothing any more, is cleared away too.
    """
    if not folders and not everything:
        raise UsageError("unmount what?", hint="dsvc umount DIR, or --all")
    places = [context.directory / folder for folder in folders]
    if everything:
        places += [found.path for found in mounts(context.workspace())]
    done = [unmount(place) for place in places]
    if json:
        context.out.json("dsvc.umount", {"unmounted": [str(found.path) for found in done]})
        return
    for found in done:
        context.out.note(f"{found.path} is unmounted")
