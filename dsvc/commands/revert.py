"""The `dsvc revert` command."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from dsvc.actions.revert import revert
from dsvc.commands.context import Context
from dsvc.commands.options import Abort, Favor, GoOn, Json, Mainline, Quiet, Skip
from dsvc.commands.pick_text import run_pick
from dsvc.commands.signature_text import GpgSign, NoGpgSign, chosen_sign


def command(
    context: Context,
    revisions: Annotated[Sequence[str], typer.Argument(metavar="[REV]...", help="Commits, or ranges A..B.")] = (),
    *,
    no_commit: Annotated[bool, typer.Option("-n", "--no-commit", help="Change the files only.")] = False,
    mainline: Mainline = None,
    no_edit: Annotated[bool, typer.Option("--no-edit", help="Accepted: the message is not edited.")] = False,
    favor: Favor = None,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    go_on: GoOn = False,
    skip: Skip = False,
    abort: Abort = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Make commits that take the changes of others back.

    With conflicts (exit code 13) it stops; settle them with 'dsvc resolve', then go on with --continue. As far as it
    went without a stop it is one operation, which 'dsvc undo' takes back.
    """
    sign = chosen_sign(context, gpg_sign, no_sign=no_gpg_sign)
    start = None
    if revisions:
        start = partial(
            revert,
            context.workspace(),
            revisions,
            make_commits=not no_commit,
            mainline=mainline,
            favor=favor,
            sign=sign,
        )
    return run_pick(context, "revert", start, go_on=go_on, skip=skip, abort=abort, json=json)
