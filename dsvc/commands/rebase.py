"""The `dsvc rebase` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.rebase import RebaseResult, rebase, rebase_abort, rebase_continue, rebase_skip
from dsvc.commands.context import Context
from dsvc.commands.options import Abort, Favor, GoOn, Json, Quiet, Skip
from dsvc.commands.pick_text import pick_json, show_pick
from dsvc.commands.signature_text import GpgSign, NoGpgSign, chosen_sign
from dsvc.errors import ConflictError, UsageError
from dsvc.refs.names import short_name

SHORT = 10


def command(
    context: Context,
    upstream: Annotated[str | None, typer.Argument(metavar="[UPSTREAM]", help="Commits it has stay out.")] = None,
    branch: Annotated[str | None, typer.Argument(metavar="[BRANCH]", help="Switch to this branch first.")] = None,
    *,
    onto: Annotated[str | None, typer.Option("--onto", metavar="REV", help="Put them here, not on UPSTREAM.")] = None,
    autostash: Annotated[bool, typer.Option("--autostash", help="Stash changes before, apply them after.")] = False,
    no_autostash: Annotated[bool, typer.Option("--no-autostash", help="Whatever rebase.autoStash says.")] = False,
    favor: Favor = None,
    gpg_sign: GpgSign = None,
    no_gpg_sign: NoGpgSign = False,
    go_on: GoOn = False,
    skip: Skip = False,
    abort: Abort = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Put the commits of this branch on top of another commit.

    They are made anew, without merges and without commits whose change the other side has already. With conflicts (exit
    code 13) it stops; settle them with 'dsvc resolve', then go on with --continue. 'ours' is the side that the commits
    are put on, 'theirs' the commit being made anew.
    """
    if sum((go_on, skip, abort, upstream is not None)) > 1:
        raise UsageError("--continue, --skip and --abort stand alone")
    sign = chosen_sign(context, gpg_sign, no_sign=no_gpg_sign)
    workspace = context.workspace()
    if abort:
        result = rebase_abort(workspace)
    elif go_on:
        result = rebase_continue(workspace)
    elif skip:
        result = rebase_skip(workspace)
    elif upstream is None:
        raise UsageError("on top of what?", hint="dsvc rebase BRANCH")
    else:
        if branch is not None:
            from dsvc.actions.switch import switch

            switch(workspace, branch)
        configured = context.config().get_bool("rebase.autoStash") and not no_autostash
        result = rebase(workspace, upstream, onto=onto, autostash=autostash or configured, favor=favor, sign=sign)
    if json:
        context.out.json("dsvc.rebase", rebase_json(result))
        return ConflictError.exit_code if result.picks.conflicts else None
    return show_rebase(context, result)


def rebase_json(result: RebaseResult) -> dict[str, object]:
    """What a rebase came to, as `--json` shows it."""
    branch = short_name(result.branch) if result.branch else None
    payload = {"branch": branch, "old_commit": result.old_commit.hex(), "stash": result.stash}
    upstream = [commit_id.hex() for commit_id in result.upstream_has]
    return {**payload, "upstream_has": upstream, **pick_json(result.picks)}


def show_rebase(context: Context, result: RebaseResult) -> int | None:
    """Tell people what a rebase came to; return the exit code."""
    branch = short_name(result.branch) if result.branch else None
    picks = result.picks
    for commit_id in result.upstream_has:
        context.out.note(f"Left out {commit_id.hex()[:SHORT]}: the other side has the same change")
    code = show_pick(context, picks, verb="rebase")
    if picks.kind == "up to date":
        context.out.note(f"{branch or 'HEAD'} is up to date")
    elif picks.kind == "aborted":
        context.out.note(f"The rebase was taken back: {branch or 'HEAD'} is at {picks.tip.hex()[:SHORT]}")
    elif picks.stopped is None:
        context.out.note(f"Rebased {branch or 'HEAD'}: now at {picks.tip.hex()[:SHORT]}")
    if result.stash == "applied":
        context.out.note("Applied the changes that were stashed")
    elif result.stash == "conflicts":
        context.out.warn("the stashed changes were applied with conflicts", hint="dsvc resolve; dsvc stash --abort")
    elif result.stash == "kept":
        context.out.warn("the stashed changes could not be applied and are kept", hint="dsvc stash pop")
    return code
