"""The `dsvc status` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.commands.status_output import Form, show_status


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATHS]...", help="Only these files and folders.")] = (),
    *,
    short: Annotated[bool, typer.Option("-s", "--short", help="One line a path.")] = False,
    branch: Annotated[bool, typer.Option("-b", "--branch", help="With -s: the branch as a first line.")] = False,
    porcelain: Annotated[bool, typer.Option("--porcelain", help="A form for scripts that stays the same.")] = False,
    zero: Annotated[bool, typer.Option("-z", help="End lines with NUL; names are not quoted.")] = False,
    untracked: Annotated[
        Literal["no", "normal", "all"],
        typer.Option("-u", "--untracked-files", help="New files: none, folders as one, or each."),
    ] = "normal",
    json: Json = False,
) -> None:
    """Show what a commit would take."""
    form = Form(short=short, branch=branch, porcelain=porcelain, zero=zero, untracked=untracked, json=json)
    show_status(context, paths, form)
