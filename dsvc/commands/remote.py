"""The `dsvc remote` commands."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.remote import (
    RemoteState,
    add_remote,
    list_remotes,
    prune_remote,
    remove_remote,
    rename_remote,
    set_url,
    show_remote,
)
from dsvc.actions.remote_access import choose_remote
from dsvc.actions.remote_keys import key_file
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import DryRun, Json, Quiet, Verbose
from dsvc.commands.ref_text import SHORT
from dsvc.commands.remote_keys import Encrypt, KeyFilePath, keys, sealed_options
from dsvc.commands.single_writer import SingleWriter, single_writer_options
from dsvc.refs.names import short_name
from dsvc.remotes.settings import RemoteSettings

Name = Annotated[str, typer.Argument(metavar="NAME", help="The remote's name.")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="A folder, ssh://, user@host:folder or s3://.")]


def command(context: Context, *, verbose: Verbose = False, quiet: Quiet = False, json: Json = False) -> None:
    """List the remotes of this repository.

    A remote is another repository that this one fetches from and pushes to: a folder, a folder of an SSH host, or a
    prefix in an S3 bucket.
    """
    remotes = list_remotes(context.workspace())
    if json:
        context.out.json("dsvc.remote", {"remotes": [_json(remote) for remote in remotes]})
        return
    for remote in remotes:
        if not verbose:
            context.out.line(remote.name or "")
            continue
        context.out.line(f"{remote.name}\t{remote.url} (fetch)")
        context.out.line(f"{remote.name}\t{remote.push_url or remote.url} (push)")


def listed(context: Context, *, verbose: Verbose = False, quiet: Quiet = False, json: Json = False) -> None:
    """List the remotes of this repository, as `dsvc remote` alone does."""
    command(context, verbose=verbose, quiet=quiet, json=json)


def add(
    context: Context,
    name: Name,
    address: Address,
    *,
    fetch_now: Annotated[bool, typer.Option("-f", "--fetch", help="Fetch from it at once.")] = False,
    encrypt: Encrypt = False,
    file: KeyFilePath = None,
    single_writer: SingleWriter = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Add a remote; nothing is connected to, and an empty place becomes a repository with the first push.

    An encrypted remote can be kept where nobody is trusted: see the guide on encryption. A key file that is not there
    is written. A store that ignores conditions on writes is refused, since two who write at once would overwrite each
    other; --single-writer is your word that nobody else writes there.
    """
    workspace = context.workspace()
    options = sealed_options(context, encrypt=encrypt, file=file)
    options |= single_writer_options(context, address, single_writer=single_writer)
    settings = add_remote(workspace, name, address, directory=context.directory, options=options)
    if file is not None and key_file(context.directory / file)[1]:
        context.out.note(f"Wrote a new key to {file}: keep a copy of it, for without it nothing can be read")
    if json:
        context.out.json("dsvc.remote.changed", {"action": "added", "name": name, "url": settings.url, "refs": 0})
    else:
        context.out.note(f"Added remote {name}: {settings.url}")
    if fetch_now:
        from dsvc.actions.fetch import fetch
        from dsvc.commands.fetch import show_fetch

        show_fetch(context, fetch(workspace, settings))


def remove(context: Context, name: Name, *, quiet: Quiet = False, json: Json = False) -> None:
    """Remove a remote and the branches that follow it here; the other repository is not touched."""
    count = remove_remote(context.workspace(), name)
    if json:
        context.out.json("dsvc.remote.changed", {"action": "removed", "name": name, "url": None, "refs": count})
        return
    followed = f" and {counted(count, 'ref')} that followed it" if count else ""
    context.out.note(f"Removed remote {name}{followed}")


def rename(
    context: Context,
    old: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Rename a remote and the branches that follow it here."""
    count = rename_remote(context.workspace(), old, new)
    if json:
        context.out.json("dsvc.remote.changed", {"action": "renamed", "name": new, "url": None, "refs": count})
        return
    context.out.note(f"Renamed remote {old} to {new}")


def change_url(
    context: Context,
    name: Name,
    address: Address,
    *,
    push: Annotated[bool, typer.Option("--push", help="The address for pushes alone.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Give a remote another address."""
    settings = set_url(context.workspace(), name, address, directory=context.directory, push=push)
    if json:
        context.out.json("dsvc.remote.changed", {"action": "changed", "name": name, "url": settings.url, "refs": 0})
        return
    context.out.note(f"{name} is at {settings.url}")


def get_url(context: Context, name: Name, *, json: Json = False) -> None:
    """Print a remote's address."""
    settings = choose_remote(context.workspace(), name)
    if json:
        context.out.json("dsvc.remote.url", _json(settings))
        return
    context.out.line(settings.url)


def show(
    context: Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The remote's name, or an address.")] = None,
    *,
    json: Json = False,
) -> None:
    """Show what a remote holds: its branches, what follows them here, and what is stored."""
    workspace = context.workspace()
    state = show_remote(workspace, choose_remote(workspace, name, directory=context.directory))
    if json:
        context.out.json("dsvc.remote.show", _state_json(state))
        return
    out = context.out
    out.line(out.paint(state.settings.shown, "bold"))
    out.line(f"  address: {state.address}")
    out.line(f"  default branch: {state.default_branch or '(none)'}")
    out.line(f"  stored: {counted(state.packs, 'pack')}, {human_size(state.size)}")
    out.line(f"  last changed by: {state.operations_by}")
    out.line(f"  branches: {len(state.branches)}, tags: {len(state.tags)}")
    width = max((len(branch) for branch in state.branches), default=0)
    for branch, commit_id in state.branches.items():
        tracked = state.tracked.get(branch)
        here = short_name(tracked) if tracked else "not fetched yet"
        out.line(f"    {branch:<{width}}  {out.paint(commit_id.hex()[:SHORT], 'yellow')}  {here}")
    for stale in state.stale:
        out.line(f"    {out.paint('gone', 'red')}: {short_name(stale)} follows nothing any more ('dsvc remote prune')")


def prune(
    context: Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The remote's name.")] = None,
    *,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Drop what follows branches here that are gone on the remote."""
    workspace = context.workspace()
    gone = prune_remote(workspace, choose_remote(workspace, name, directory=context.directory), dry_run=dry_run)
    if json:
        context.out.json("dsvc.remote.prune", {"pruned": gone, "dry_run": dry_run})
        return
    for ref in gone:
        context.out.note(f"{'Would prune' if dry_run else 'Pruned'} {short_name(ref)}")


def check(
    context: Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|ADDRESS]", help="The remote's name, or an address.")
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Measure for a few seconds only.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Find out whether a place does what a repository needs, and how fast it is.

    Everything that dsvc relies on is tried there, under names that begin with 'check-' and are removed again; the
    repository that is there, if any, is not touched. Then the times of small requests and the throughput both ways
    are measured. The exit code is 1 when a check fails, and 14 when the place cannot be reached.
    """
    from dsvc.actions.remote_check import check_remote, remote_to_check
    from dsvc.commands.remote_check import check_json, show_check

    result = check_remote(
        remote_to_check(context.config(), name),
        directory=context.directory,
        environment=context.environment,
        progress=context.progress,
        quick=quick,
    )
    if json:
        context.out.json("dsvc.remote.check", check_json(result))
    else:
        show_check(context, result)
    if not result.report.removed:
        context.out.warn(
            "not all that was written for the check could be removed", hint="its names begin with 'check-'"
        )
    return None if result.report.passed else 1


def _json(settings: RemoteSettings) -> dict[str, object]:
    return {
        "name": settings.name,
        "url": settings.url,
        "push_url": settings.push_url,
        "fetch": [str(spec) for spec in settings.fetch],
    }


def _state_json(state: RemoteState) -> dict[str, object]:
    return {
        "remote": state.settings.name,
        "address": state.address,
        "default_branch": state.default_branch,
        "branches": [
            {"name": name, "commit": commit_id.hex(), "tracked": state.tracked.get(name)}
            for name, commit_id in state.branches.items()
        ],
        "tags": list(state.tags),
        "stale": list(state.stale),
        "packs": state.packs,
        "bytes": state.size,
        "last_changed_by": state.operations_by,
    }


SUBCOMMANDS = {
    "list": listed,
    "add": add,
    "remove": remove,
    "rename": rename,
    "set-url": change_url,
    "get-url": get_url,
    "show": show,
    "keys": keys,
    "prune": prune,
    "check": check,
}
