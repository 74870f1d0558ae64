"""The commands `dsvc hub attic` and `dsvc hub put-away`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.date_text import date_text, iso_text
from dsvc.commands.entry_text import human_size
from dsvc.commands.hub_user import Directory
from dsvc.commands.options import Json, Quiet
from dsvc.refs.names import short_name


def attic(
    context: Context,
    directory: Directory,
    repository: Annotated[str | None, typer.Argument(metavar="[REPO]", help="Only this repository.")] = None,
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """List the branches and tags that were deleted or given another history, and that can be brought back.

    No account can read them. Each is a bundle: 'dsvc fetch FILE NAME:NAME' in a clone takes it in, and a push brings
    it back to the hub. They go some time after the days that rules.toml says, 30 without it.
    """
    from dsvc.actions.hub_attic import attic as list_attic

    found = list_attic(context.directory / directory, repository)
    if json:
        rows = [
            {
                "repository": one.repository,
                "ref": one.ref,
                "target": one.target,
                "time": iso_text(one.time, 0),
                "path": str(one.path),
                "bytes": one.size,
            }
            for one in found
        ]
        context.out.json("dsvc.hub.attic", {"bundles": rows})
        return
    now = context.now()
    context.out.table(
        [
            (
                date_text(one.time, 0, style="relative", now=now),
                one.repository,
                short_name(one.ref),
                one.target[:10],
                human_size(one.size),
                os.path.relpath(one.path, context.directory),
            )
            for one in found
        ],
        right={4},
    )


def put_away(
    context: Context,
    directory: Directory,
    repository: Annotated[str, typer.Argument(metavar="REPO", help="The repository.")],
    *,
    always: Annotated[bool, typer.Option("--always", help="Also where no branch or tag was removed.")] = False,
    behind: Annotated[bool, typer.Option("--behind", help="Leave the processor to others.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Take off a repository's packs what its branches and tags do not reach any more, into the attic.

    The hub does so by itself after a push that deletes a branch or a tag, or gives it another history, unless
    rules.toml has put_away = false.
    """
    from dsvc.actions.hub_attic import put_away as put

    if behind:
        os.nice(10)
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    result = put(context.directory / directory, repository, now=now, always=always, progress=context.progress)
    if json:
        rows = [{"ref": one.ref, "path": str(one.path), "bytes": one.size} for one in result.bundles]
        context.out.json(
            "dsvc.hub.put-away", {"bundles": rows, "freed": result.freed, "left_to_others": result.left_to_others}
        )
    elif result.left_to_others:
        context.out.note("Others wait already to do this")
    elif result.bundles:
        what = counted(len(result.bundles), "branch or tag", "branches and tags")
        context.out.note(f"Put {what} away; 'dsvc hub attic {directory} {repository}' lists them")
    else:
        context.out.note("There is nothing to put away")
