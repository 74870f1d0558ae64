"""The `dsvc pull` command."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dsvc.actions.merge import FastForward
from dsvc.actions.pull import PullResult, pull
from dsvc.commands.context import Context
from dsvc.commands.fetch import fetch_json, show_fetch
from dsvc.commands.merge import merge_json, show_merge
from dsvc.commands.options import Jobs, Json, LimitRate, Quiet
from dsvc.commands.rebase import rebase_json, show_rebase
from dsvc.commands.signature_text import NoVerifySignatures, VerifySignatures, chosen_verify
from dsvc.errors import ConflictError, UsageError
from dsvc.remotes.transfer.shallow import Wish


def command(
    context: Context,
    remote: Annotated[str | None, typer.Argument(metavar="[REMOTE]", help="A remote's name, or an address.")] = None,
    branch: Annotated[str | None, typer.Argument(metavar="[BRANCH]", help="Its branch to join.")] = None,
    *,
    with_rebase: Annotated[
        bool, typer.Option("-r", "--rebase", help="Put your commits on top instead of merging (pull.rebase).")
    ] = False,
    no_rebase: Annotated[bool, typer.Option("--no-rebase", help="Merge, whatever pull.rebase says.")] = False,
    ff_only: Annotated[bool, typer.Option("--ff-only", help="Refuse (12) unless nothing has to be merged.")] = False,
    no_ff: Annotated[bool, typer.Option("--no-ff", help="Make a merge commit in any case.")] = False,
    autostash: Annotated[bool, typer.Option("--autostash", help="With -r: put changes aside meanwhile.")] = False,
    verify_signatures: VerifySignatures = False,
    no_verify_signatures: NoVerifySignatures = False,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Fetch no tags.")] = False,
    prune: Annotated[bool, typer.Option("-p", "--prune", help="Drop what follows branches that are gone.")] = False,
    depth: Annotated[
        int | None,
        typer.Option("--depth", metavar="N", min=1, help="Only the newest N commits, or as many as reach yours."),
    ] = None,
    jobs: Jobs = 8,
    limit_rate: LimitRate = None,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Fetch from a remote and join what came into the current branch.

    Without arguments that is the branch which the current one follows, or the one of its name. With conflicts (exit
    code 13) see 'dsvc resolve'; 'dsvc merge --abort', or 'dsvc rebase --abort', takes it back.
    """
    if with_rebase and (no_rebase or no_ff):
        raise UsageError("--rebase excludes --no-rebase and --no-ff")
    context.limit_rate(limit_rate)
    workspace = context.workspace()
    rebasing = with_rebase or (context.config().get_bool("pull.rebase") and not (no_rebase or no_ff))
    mode: FastForward = "only" if ff_only else "never" if no_ff else "allow"
    result = pull(
        workspace,
        remote,
        branch,
        join="rebase" if rebasing and not ff_only else "merge",
        fast_forward=mode,
        autostash=autostash or context.config().get_bool("rebase.autoStash"),
        tags="none" if no_tags else "follow",
        prune=prune,
        wish=Wish(depth),
        directory=context.directory,
        verify=chosen_verify(verify_signatures, no_verify_signatures),
        jobs=jobs,
    )
    if json:
        context.out.json("dsvc.pull", _json(result))
        conflicts = result.merge.conflicts if result.merge is not None else ()
        picked = result.rebase.picks.conflicts if result.rebase is not None else ()
        return ConflictError.exit_code if conflicts or picked else None
    show_fetch(context, result.fetched)
    if result.merge is not None:
        return show_merge(context, result.merge)
    assert result.rebase is not None
    return show_rebase(context, result.rebase)


def _json(result: PullResult) -> dict[str, Any]:
    return {
        "fetched": fetch_json(result.fetched),
        "branch": result.branch,
        "merge": merge_json(result.merge) if result.merge is not None else None,
        "rebase": rebase_json(result.rebase) if result.rebase is not None else None,
    }
