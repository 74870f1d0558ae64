"""The `dsvc sync` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.sync import sync, sync_from
from dsvc.commands.context import Context
from dsvc.commands.fetch import fetch_json, show_fetch
from dsvc.commands.merge import merge_json, show_merge
from dsvc.commands.options import Jobs, Json, LimitRate, Quiet
from dsvc.commands.push import push_json, raise_rejected, relayed, show_push
from dsvc.errors import UsageError


def command(
    context: Context,
    remote: Annotated[str | None, typer.Argument(metavar="[REMOTE]", help="A remote's name.")] = None,
    *,
    source: Annotated[
        str | None, typer.Option("--from", metavar="REMOTE", help="Take over from another remote, such as upstream.")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="With --from: push the branch afterwards.")] = False,
    prune: Annotated[bool, typer.Option("-p", "--prune", help="Drop what follows branches that are gone.")] = False,
    jobs: Jobs = 8,
    limit_rate: LimitRate = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fetch, move the current branch forward, and push it.

    Nothing is merged: where both sides have new commits this ends with exit code 12, and 'dsvc pull' joins them.

    With --from the current branch takes over what the branch of its name has at another remote. 'upstream' is what the
    remote was forked from; a clone of a fork has it as a remote.
    """
    if push and source is None:
        raise UsageError("--push belongs to --from", hint="dsvc sync pushes anyway")
    if remote is not None and source is not None:
        raise UsageError("a remote and --from exclude each other", hint=f"dsvc sync --from {source}")
    context.limit_rate(limit_rate)
    with relayed(context):
        if source is not None:
            result = sync_from(context.workspace(), source, push_too=push, prune=prune, jobs=jobs)
        else:
            result = sync(context.workspace(), remote, prune=prune, directory=context.directory, jobs=jobs)
    if json:
        document = {
            "fetched": fetch_json(result.fetched),
            "merge": merge_json(result.merge) if result.merge is not None else None,
            "pushed": push_json(result.pushed) if result.pushed is not None else None,
        }
        context.out.json("dsvc.sync", document)
    else:
        show_fetch(context, result.fetched)
        if result.merge is not None:
            show_merge(context, result.merge)
        if result.pushed is not None:
            show_push(context, result.pushed)
        if result.merge is None and result.pushed is None:
            context.out.note("Both sides are the same")
    if result.pushed is not None:
        raise_rejected(result.pushed)
