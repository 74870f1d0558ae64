"""The `dsvc fork` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.fork import fork
from dsvc.commands.context import Context
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError
from dsvc.refs.names import short_name

_WORDS = {"hardlink": "hard links", "reflink": "reflinks", "copy": "copies"}


def command(
    context: Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="The repository to go on from.")],
    target: Annotated[
        str | None, typer.Argument(metavar="[DST]", help="The new folder; else SRC's name in the current one.")
    ] = None,
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make a repository that shares stored objects with another one on this machine.

    Branches and tags come along, and HEAD's branch is checked out. Stored objects are not copied: both repositories
    hold the same files, by hard links or reflinks where the disk can (store.link chooses). Either one may run gc, or
    be deleted, without harm to the other. What is purged in one stays in the other.
    """
    origin = context.directory / source
    name = origin.resolve().name
    if target is None and (not name or origin.resolve() == context.directory.resolve()):
        raise UsageError(f"where to? {source} itself is no place for the fork", hint=f"dsvc fork {source} FOLDER")
    result = fork(
        origin,
        context.directory / (target or name),
        config=context.config(),
        surroundings=context.surroundings(),
        progress=context.progress,
    )
    branch = short_name(result.branch) if result.branch else None
    if json:
        context.out.json(
            "dsvc.fork",
            {
                "path": str(result.path),
                "parent": str(result.parent),
                "branch": branch,
                "commit": result.commit_id.hex() if result.commit_id else None,
                "packs": dict(result.methods),
                "bytes_shared": result.shared,
                "bytes_copied": result.copied,
            },
        )
        return
    context.out.line(str(result.path))
    how = ", ".join(f"{count} {_WORDS[method]}" for method, count in result.methods.items()) or "nothing stored yet"
    context.out.note(
        f"Forked {result.parent}: {how}; {human_size(result.shared)} shared, {human_size(result.copied)} copied"
    )
