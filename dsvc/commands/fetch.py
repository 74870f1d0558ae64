"""The `dsvc fetch` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.fetch import FetchResult, Tags, fetch
from dsvc.actions.remote import list_remotes
from dsvc.actions.remote_access import choose_remote
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import DryRun, Jobs, Json, LimitRate, NoRuns, Quiet, Runs, runs_wanted
from dsvc.commands.ref_text import SHORT
from dsvc.commands.ref_update_text import show_runs, show_updates, update_json
from dsvc.errors import UsageError
from dsvc.refs.names import short_name
from dsvc.remotes.transfer.shallow import Wish


def command(
    context: Context,
    remote: Annotated[str | None, typer.Argument(metavar="[REMOTE]", help="A remote's name, or an address.")] = None,
    refspecs: Annotated[
        Sequence[str], typer.Argument(metavar="[BRANCH]...", help="Only these, as BRANCH or THERE:HERE.")
    ] = (),
    *,
    every: Annotated[bool, typer.Option("--all", help="From all remotes.")] = False,
    tags: Annotated[bool, typer.Option("-t", "--tags", help="All tags too, when branches are named.")] = False,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="No tags.")] = False,
    prune: Annotated[bool, typer.Option("-p", "--prune", help="Drop what follows branches that are gone.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Move tags of this repository too.")] = False,
    depth: Annotated[
        int | None, typer.Option("--depth", metavar="N", min=1, help="Only the newest N commits of each branch.")
    ] = None,
    deepen: Annotated[
        int | None, typer.Option("--deepen", metavar="N", min=1, help="N more commits where history was cut.")
    ] = None,
    unshallow: Annotated[bool, typer.Option("--unshallow", help="All commits that were left out.")] = False,
    runs: Runs = False,
    no_runs: NoRuns = False,
    jobs: Jobs = 8,
    limit_rate: LimitRate = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Bring branches and tags from a remote.

    Its branches become REMOTE/BRANCH here; your own branches and files stay as they are: 'dsvc merge origin/main' or
    'dsvc pull' joins them. What is asked for by name is FETCH_HEAD too. A fetch that is broken off goes on where it was
    when it is called again.

    Where no branches are named, the remote's runs come along, and models that were changed there.
    """
    context.limit_rate(limit_rate)
    workspace = context.workspace()
    if every and (remote is not None or refspecs):
        raise UsageError("--all takes no remote")
    if tags and no_tags:
        raise UsageError("--tags and --no-tags exclude each other")
    if (depth is not None) + (deepen is not None) + unshallow > 1:
        raise UsageError("--depth, --deepen and --unshallow exclude each other")
    policy: Tags = "none" if no_tags else "all" if tags else "follow"
    chosen = list_remotes(workspace) if every else [choose_remote(workspace, remote, directory=context.directory)]
    if not refspecs and any(settings.name is None for settings in chosen):
        refspecs = ("HEAD",)  # nothing follows an address
    results = [
        fetch(
            workspace,
            settings,
            refspecs,
            tags=policy,
            prune=prune,
            force=force,
            wish=Wish(depth, deepen, unshallow),
            runs=runs_wanted(runs=runs, no_runs=no_runs),
            dry_run=dry_run,
            jobs=jobs,
        )
        for settings in chosen
    ]
    if json:
        context.out.json("dsvc.fetch", {"fetched": [fetch_json(result) for result in results]})
    else:
        for result in results:
            show_fetch(context, result)
    return 1 if any(update.outcome == "rejected" for result in results for update in result.updates) else None


def show_fetch(context: Context, result: FetchResult) -> None:
    """Tell people what a fetch brought."""
    if result.runs or result.changed():
        context.out.note(f"From {result.address}")
        show_updates(context, result.updates, pushed=False)
        show_runs(context, result.runs)
    if result.erased:
        count = counted(len(result.erased), "file")
        context.out.note(f"{count} purged there; reading what is not here any more says by whom and why")
    if result.received.objects:
        size = human_size(result.received.size)
        context.out.note(f"{counted(result.received.objects, 'object')}, {size} received")
    if result.remote.name is None:
        for name, commit_id in result.fetch_heads:
            context.out.note(f"{short_name(name)} is {commit_id.hex()[:SHORT]} there (FETCH_HEAD)")


def fetch_json(result: FetchResult) -> dict[str, Any]:
    """What a fetch brought, as `--json` shows it."""
    return {
        "remote": result.remote.name,
        "address": result.address,
        "updates": [update_json(update) for update in result.updates],
        "fetch_heads": [{"name": name, "commit": commit_id.hex()} for name, commit_id in result.fetch_heads],
        "runs": list(result.runs),
        "purged": [file_id.hex() for file_id in result.erased],
        "objects": result.received.objects,
        "packs": result.received.packs,
        "bytes": result.received.size,
    }
