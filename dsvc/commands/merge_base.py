"""The `dsvc merge-base` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.merge_base import contains, independent_commits, merge_base
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.errors import UsageError


def command(
    context: Context,
    revisions: Annotated[Sequence[str], typer.Argument(metavar="REV REV...", help="Commits.")],
    *,
    every: Annotated[bool, typer.Option("-a", "--all", help="Print all best common ancestors.")] = False,
    octopus: Annotated[bool, typer.Option("--octopus", help="Find what all of them have in common.")] = False,
    independent: Annotated[
        bool, typer.Option("--independent", help="Print those that no other of them contains.")
    ] = False,
    ancestor: Annotated[
        bool, typer.Option("--is-ancestor", help="Print nothing; exit with 0 if the second contains the first, else 1.")
    ] = False,
    json: Json = False,
) -> int | None:
    """Find the best common ancestor.

    That is a commit which both revisions contain, and which no other such commit contains; a history where branches
    were merged crosswise has several. Of three and more revisions the first is compared with a merge of the others.
    Exits with 1 where there is no common ancestor.
    """
    if sum((octopus, independent, ancestor)) > 1:
        raise UsageError("--octopus, --independent and --is-ancestor exclude each other")
    workspace = context.workspace()
    if ancestor:
        if len(revisions) != 2:
            raise UsageError("--is-ancestor takes two commits", hint="dsvc merge-base --is-ancestor OLD NEW")
        answer = contains(workspace, *revisions)
        if json:
            context.out.json("dsvc.merge-base.is-ancestor", {"is_ancestor": answer})
        return 0 if answer else 1
    if independent:
        found = independent_commits(workspace, revisions).commits
    else:
        found = merge_base(workspace, revisions, octopus=octopus).commits
        found = found if every or json else found[:1]
    if json:
        context.out.json("dsvc.merge-base", {"commits": [commit.hex() for commit in found]})
    else:
        for commit in found:
            context.out.line(commit.hex())
    return 0 if found else 1
