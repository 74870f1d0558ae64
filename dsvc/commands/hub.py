"""The `dsvc hub` commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dsvc.actions.hub import far_path, serve_folder
from dsvc.commands.context import Context
from dsvc.errors import UsageError


def serve(
    context: Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A repository's folder, or a working copy.")],
    *,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse everything that changes something.")] = False,
    below: Annotated[
        str | None, typer.Option("--below", metavar="DIR", help="Serve only folders in DIR; a relative PATH is in it.")
    ] = None,
) -> None:
    """Serve a repository over standard input and output.

    Other machines run this through SSH when they push to or fetch from ssh://HOST/PATH; there is no need to run it
    by hand. It ends with the connection.
    """
    if os.isatty(0) or os.isatty(1):
        raise UsageError("'dsvc hub serve' talks to another dsvc, not to people", hint="dsvc clone ssh://HOST/PATH")
    from dsvc.remotes.byte_streams import FileStream

    home = context.environment.get("HOME")
    root = None if below is None else context.directory / below
    place = far_path(path, home=Path(home) if home else None, below=root)
    # Whatever prints to stdout by mistake must not get between the frames.
    stream = FileStream(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    now = int(context.now().timestamp() * 1_000_000)
    serve_folder(context.directory / place, stream, now=now, below=root, read_only=read_only)


SUBCOMMANDS = {"serve": serve}
