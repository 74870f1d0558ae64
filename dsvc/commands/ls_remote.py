"""The `dsvc ls-remote` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.ls_remote import ls_remote, ls_remote_at
from dsvc.actions.remote_access import choose_remote
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.errors import NotARepositoryError


def command(
    context: Context,
    remote: Annotated[str | None, typer.Argument(metavar="[REMOTE]", help="A remote's name, or an address.")] = None,
    patterns: Annotated[
        Sequence[str], typer.Argument(metavar="[PATTERN]...", help="Only refs of these names, as main or 'v*'.")
    ] = (),
    *,
    branches: Annotated[bool, typer.Option("-b", "--branches", "--heads", help="Only branches.")] = False,
    tags: Annotated[bool, typer.Option("-t", "--tags", help="Only tags.")] = False,
    json: Json = False,
) -> int | None:
    """List the branches and tags of a remote and what they point to; nothing is fetched.

    An address can be asked from any folder, also one without a repository. The exit code is 1 where patterns are given
    and nothing matches.
    """
    try:
        workspace = context.workspace()
    except NotARepositoryError:
        if remote is None:
            raise
        settings, found = ls_remote_at(
            remote,
            patterns,
            config=context.config(),
            surroundings=context.surroundings(),
            directory=context.directory,
            branches=branches,
            tags=tags,
        )
    else:
        settings = choose_remote(workspace, remote, directory=context.directory)
        found = ls_remote(workspace, settings, patterns, branches=branches, tags=tags)
    if json:
        refs = [{"name": r.name, "kind": r.kind.name.lower(), "id": r.id.hex(), "symbolic": r.symbolic} for r in found]
        context.out.json("dsvc.ls-remote", {"remote": settings.name, "url": settings.url, "refs": refs})
    else:
        for ref in found:
            context.out.line(f"{ref.id.hex()}\t{ref.name}")
    return 1 if patterns and not found else None
