"""The `dsvc push` command."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.outgoing import Lease
from dsvc.actions.push import PushRejectedError, PushResult, push
from dsvc.actions.remote_access import choose_remote
from dsvc.actions.revision import revision_context
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import DryRun, Jobs, Json, LimitRate, NoRules, NoRuns, Quiet, Runs, runs_wanted
from dsvc.commands.ref_update_text import show_runs, show_updates, update_json
from dsvc.history.revisions import resolve
from dsvc.objects.ids import ObjectId
from dsvc.refs.names import short_name
from dsvc.remotes.refspec import parse_refspec
from dsvc.remotes.wire.errors import RemoteDeniedError
from dsvc.workspace import Workspace


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
    every: Annotated[bool, typer.Option("--all", "--branches", help="All branches.")] = False,
    tags: Annotated[bool, typer.Option("--tags", help="All tags too.")] = False,
    follow_tags: Annotated[
        bool, typer.Option("--follow-tags", help="Tags with a message too that belong to what is pushed.")
    ] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Make all branches and tags there what they are here; others go.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="With --all, --tags or a pattern: delete there what is not here.")
    ] = False,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="Delete the named branches there.")] = False,
    with_lease: Annotated[
        Sequence[str],
        typer.Option(
            "--force-with-lease",
            metavar="[REF[:COMMIT]]",
            help="Overwrite what is there as it was last fetched; with =REF only that, and only if it is COMMIT.",
        ),
    ] = (),
    force: Annotated[bool, typer.Option("-f", "--force", help="Overwrite them in any case.", hidden=True)] = False,
    runs: Runs = False,
    no_runs: NoRuns = False,
    no_rules: NoRules = False,
    jobs: Jobs = 4,
    limit_rate: LimitRate = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Send branches to a remote, with everything they reach that it lacks.

    Without arguments the current branch goes to the branch of its name there, which it follows from then on. A branch
    there only moves forward (exit code 12 otherwise): 'dsvc pull' first, or overwrite what you have seen with
    --force-with-lease. A push that is broken off goes on where it was when it is called again.

    Where no branches are named, runs that the remote lacks go along, and models that were changed here.
    """
    context.limit_rate(limit_rate)
    workspace = context.workspace()
    settings = choose_remote(workspace, remote, directory=context.directory)
    with relayed(context):
        result = push(
            workspace,
            settings,
            refspecs,
            every=every,
            tags=tags,
            follow_tags=follow_tags,
            mirror=mirror,
            delete=delete,
            prune=prune,
            force=force,
            leases=[_lease(workspace, text) for text in with_lease],
            set_up=set_upstream,
            runs=runs_wanted(runs=runs, no_runs=no_runs),
            dry_run=dry_run,
            rules=not no_rules,
            jobs=jobs,
        )
    if json:
        context.out.json("dsvc.push", push_json(result))
    else:
        show_push(context, result)
    raise_rejected(result)


def _lease(workspace: Workspace, text: str) -> Lease:
    """What `--force-with-lease=REF:COMMIT` says; an empty commit means that the ref must not be there."""
    name, colon, commit = text.partition(":")
    if not name:
        return Lease()
    full = parse_refspec(name).source
    if not colon:
        return Lease(full)
    if not commit:
        return Lease(full, absent=True)
    if re.fullmatch("[0-9a-f]{64}", commit):  # it may be something that only the remote has
        return Lease(full, ObjectId(bytes.fromhex(commit)))
    return Lease(full, ObjectId(resolve(revision_context(workspace), commit).id))


def raise_rejected(result: PushResult) -> None:
    """Raise PushRejectedError when a ref was refused."""
    rejected = result.rejected()
    if rejected:
        first, more = rejected[0], len(rejected) - 1
        raise PushRejectedError(
            f"{short_name(first.theirs)} was not pushed to {result.remote.shown}: {first.reason}"
            + (f"; nor {counted(more, 'other ref')}" if more else ""),
            hint=first.hint,
            details={"rejected": [update.theirs for update in rejected]},
        )


@contextlib.contextmanager
def relayed(context: Context) -> Iterator[None]:
    """Show what the hook of a hub printed that refused what is done in the block."""
    try:
        yield
    except RemoteDeniedError as error:
        show_said(context, error.output)
        raise


def show_said(context: Context, text: str) -> None:
    """Show what hooks of a hub printed, as git does, without what could play with a terminal."""
    for line in text.splitlines():
        context.out.note("remote: " + "".join(c if c.isprintable() or c == "\t" else "?" for c in line))


def show_push(context: Context, result: PushResult) -> None:
    """Tell people what a push did."""
    show_said(context, result.said)
    if result.created:
        context.out.note(f"Made a repository at {result.address}")
    if result.runs or any(update.outcome != "same" for update in result.updates):
        context.out.note(f"To {result.address}")
        show_updates(context, result.updates, pushed=True)
        show_runs(context, result.runs)
    else:
        context.out.note("Everything is there already" if result.updates else "There is nothing to push")
    if result.sent.objects:
        context.out.note(f"{counted(result.sent.objects, 'object')}, {human_size(result.sent.size)} sent")
    for branch, there in result.upstreams:
        context.out.note(f"{short_name(branch)} follows {result.remote.name}/{short_name(there)}")


def push_json(result: PushResult) -> dict[str, Any]:
    """What a push did, as `--json` shows it."""
    return {
        "remote": result.remote.name,
        "address": result.address,
        "created": result.created,
        "updates": [update_json(update) for update in result.updates],
        "objects": result.sent.objects,
        "packs": result.sent.packs,
        "bytes": result.sent.size,
        "output": result.said,
        "runs": list(result.runs),
        "upstreams": [
            {"branch": short_name(branch), "follows": short_name(there)} for branch, there in result.upstreams
        ],
    }
