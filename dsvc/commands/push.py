"""The `dsvc push` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.push import Lease, PushRejectedError, PushResult, push
from dsvc.actions.remote_access import choose_remote
from dsvc.commands.context import Context
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import DryRun, Jobs, Json, Quiet
from dsvc.commands.ref_update_text import show_updates, update_json
from dsvc.refs.names import short_name


def command(
    context: Context,
    remote: Annotated[str | None, typer.Argument(metavar="[REMOTE]", help="A remote's name, or an address.")] = None,
    refspecs: Annotated[
        Sequence[str], typer.Argument(metavar="[BRANCH]...", help="What to push, as BRANCH or HERE:THERE.")
    ] = (),
    *,
    set_upstream: Annotated[
        bool, typer.Option("-u", "--set-upstream", help="Let the branches follow what they are pushed to.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="All branches.")] = False,
    tags: Annotated[bool, typer.Option("--tags", help="All tags too.")] = False,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="Delete the named branches there.")] = False,
    with_lease: Annotated[
        bool,
        typer.Option("--force-with-lease", help="Overwrite branches that are there as they were last fetched."),
    ] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Overwrite them in any case.", hidden=True)] = False,
    jobs: Jobs = 4,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Send branches to a remote, with everything they reach that it lacks.

    Without arguments the current branch goes to the branch it follows, or to one of its own name, which it follows
    from then on. A branch there only moves forward (exit code 12 otherwise): 'dsvc pull' first, or overwrite what you
    have seen with --force-with-lease. A push that is broken off goes on where it was when it is called again.
    """
    workspace = context.workspace()
    settings = choose_remote(workspace, remote)
    result = push(
        workspace,
        settings,
        refspecs,
        every=every,
        tags=tags,
        delete=delete,
        force=force,
        leases=(Lease(),) if with_lease else (),
        set_up=set_upstream,
        dry_run=dry_run,
        jobs=jobs,
    )
    rejected = result.rejected()
    if json:
        _json(context, result)
    else:
        _show(context, result)
    if rejected:
        first = rejected[0]
        raise PushRejectedError(
            f"{short_name(first.theirs)} of {settings.shown} was not pushed: {first.reason}",
            hint=f"dsvc pull {settings.typed} joins what is there, then push again",
            details={"rejected": [update.theirs for update in rejected]},
        )


def _show(context: Context, result: PushResult) -> None:
    if all(update.outcome == "same" for update in result.updates):
        context.out.note("Everything is there already" if result.updates else "There is nothing to push")
    else:
        context.out.note(f"To {result.address}")
        show_updates(context, result.updates, pushed=True)
    if result.sent.objects:
        context.out.note(f"{result.sent.objects} objects, {human_size(result.sent.size)} sent")
    if result.upstream is not None:
        branch, there = map(short_name, result.upstream)
        context.out.note(f"{branch} follows {result.remote.name}/{there}")


def _json(context: Context, result: PushResult) -> None:
    context.out.json(
        "dsvc.push",
        {
            "remote": result.remote.name,
            "address": result.address,
            "updates": [update_json(update) for update in result.updates],
            "objects": result.sent.objects,
            "packs": result.sent.packs,
            "bytes": result.sent.size,
            "upstream": short_name(result.upstream[1]) if result.upstream else None,
        },
    )
