"""The `dsvc hub` commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dsvc.actions.hub import far_path, serve_folder
from dsvc.commands import hub_attic, hub_user
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.date_text import date_text, iso_text
from dsvc.commands.entry_text import human_size
from dsvc.commands.hub_user import Directory
from dsvc.commands.json_stream import stream_json
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError


def serve(
    context: Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A repository's folder, or a working copy.")],
    *,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse everything that changes something.")] = False,
    below: Annotated[
        str | None, typer.Option("--below", metavar="DIR", help="Serve only folders in DIR; a relative PATH is in it.")
    ] = None,
) -> None:
    """Serve a repository over standard input and output.

    Other machines run this through SSH when they push to or fetch from ssh://HOST/PATH; there is no need to run it
    by hand. It ends with the connection.
    """
    if os.isatty(0) or os.isatty(1):
        raise UsageError("'dsvc hub serve' talks to another dsvc, not to people", hint="dsvc clone ssh://HOST/PATH")
    from dsvc.remotes.ssh.byte_streams import standard_stream

    home = context.environment.get("HOME")
    root = None if below is None else context.directory / below
    place = far_path(path, home=Path(home) if home else None, below=root)
    stream = standard_stream()
    now = int(context.now().timestamp() * 1_000_000)
    serve_folder(context.directory / place, stream, now=now, below=root, read_only=read_only)


def init(context: Context, directory: Directory, *, quiet: Quiet = False, json: Json = False) -> None:
    """Make a hub in a folder: repositories that accounts reach over SSH, each within its role.

    Then 'dsvc hub user add' lets people in. What they may do beyond their roles stands in rules.toml there.
    """
    from dsvc.actions.hub_accounts import create_hub

    root = create_hub(context.directory / directory)
    if json:
        context.out.json("dsvc.hub.init", {"path": str(root)})
    else:
        context.out.note(f"Made a hub at {root}; 'dsvc hub user add {directory} NAME --key FILE --role owner' is next")


def shell(
    context: Context,
    *,
    hub: Annotated[Path, typer.Option("--hub", metavar="DIR", help="The hub's folder.")],
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="The account.")],
    key: Annotated[str, typer.Option("--key", metavar="FINGERPRINT", help="The key that it came with.")] = "",
) -> None:
    """Serve an account of a hub; sshd runs this for the keys that 'dsvc hub user add' wrote down.

    What was asked for stands in SSH_ORIGINAL_COMMAND and must be 'dsvc hub serve REPOSITORY'. Nothing of it is run.
    """
    from dsvc.commands.hub_door import open_door

    open_door(context.directory / hub, user=user, key=key, environment=context.environment, moment=context.now)


def repos(context: Context, directory: Directory, *, quiet: Quiet = False, json: Json = False) -> None:
    """List the repositories of a hub."""
    from dsvc.actions.hub_accounts import hub_repositories

    found = hub_repositories(context.directory / directory)
    if json:
        rows = [
            {"name": r.name, "branches": r.branches, "bytes": r.size, "changed": iso_text(r.time, r.zone)}
            for r in found
        ]
        context.out.json("dsvc.hub.repos", {"repositories": rows})
        return
    now = context.now()
    context.out.table(
        [
            (
                r.name,
                counted(r.branches, "branch", "branches"),
                human_size(r.size),
                date_text(r.time, r.zone, style="relative", now=now),
            )
            for r in found
        ],
        right={2},
    )


def forks(
    context: Context,
    where: Annotated[str, typer.Argument(metavar="WHERE", help="The hub's folder, or a repository's address.")],
    repository: Annotated[str | None, typer.Argument(metavar="[REPO]", help="The repository, on the hub.")] = None,
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """List the repositories that share their packs with one: its forks, its parent, and theirs.

    On the hub's host that is 'dsvc hub forks DIR REPO'; from elsewhere an address or the name of a remote says which
    one is meant, and an account is told of those that it has a role for.
    """
    from dsvc.actions.hub_forks import hub_forks, place_forks

    if repository is not None:
        found = hub_forks(context.directory / where, repository)
    else:
        found = place_forks(
            where, config=context.config(), surroundings=context.surroundings(), directory=context.directory
        )
    if json:
        rows = [
            {"name": r.name, "parent": r.parent, "orphaned": r.orphaned, "bytes": r.size, "bytes_own": r.own}
            for r in found.repositories
        ]
        context.out.json("dsvc.hub.forks", {"repository": found.asked, "bytes": found.size, "repositories": rows})
        return
    table = []
    for r in found.repositories:
        origin = f"fork of {r.parent}" if r.parent is not None else "fork of a deleted one" if r.orphaned else ""
        origin += " (deleted)" if r.parent is not None and r.orphaned else ""
        sizes = (human_size(r.size), f"{human_size(r.own or 0)} of its own") if r.size is not None else ()
        table.append((r.name, origin, *sizes))
    context.out.table(table, right={2, 3})
    if found.size is not None and len(table) > 1:
        context.out.note(f"{len(table)} repositories use one pool of {human_size(found.size)}")


def delete(
    context: Context,
    directory: Directory,
    repository: Annotated[str, typer.Argument(metavar="REPO", help="The repository.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Delete a repository of a hub, with its history.

    Forks of it, and what it was forked from, keep all that they have. What no other repository needs is gone at once,
    or, when it shared packs with others, with the next 'dsvc gc' of one of them.
    """
    from dsvc.actions.hub_forks import delete_from_hub

    if not yes and not context.ask(f"Delete {repository} and all of its history?"):
        raise UsageError(f"{repository} was not deleted", hint="--yes deletes it without a question")
    now = context.now()
    offset = now.utcoffset()
    result = delete_from_hub(
        context.directory / directory,
        repository,
        time=int(now.timestamp() * 1_000_000),
        zone=int(offset.total_seconds() // 60) if offset is not None else 0,
    )
    if json:
        context.out.json("dsvc.hub.delete", {"repository": result.name, "shared_with": result.shared_with})
    elif result.shared_with:
        others = counted(result.shared_with, "other repository uses", "others use")
        context.out.note(f"Deleted {result.name}; {others} its pool, and the next 'dsvc gc' there frees the rest")
    else:
        context.out.note(f"Deleted {result.name}")


def log(
    context: Context,
    directory: Directory,
    repository: Annotated[str | None, typer.Argument(metavar="[REPO]", help="Only this repository.")] = None,
    *,
    count: Annotated[int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="Show N only.")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    json: Json = False,
) -> None:
    """Show who pushed what when, and what was refused, newest first."""
    from itertools import islice

    from dsvc.actions.hub_accounts import hub_log

    entries = hub_log(context.directory / directory, repository)
    chosen = islice((entry for entry in entries if not refused or entry.what == "refused"), count)
    if json:
        items = (
            {
                "time": iso_text(e.time, e.zone),
                "account": e.account or None,
                "key": e.key or None,
                "repository": e.repository or None,
                "what": e.what,
                "text": e.text,
                "operation": e.operation,
            }
            for e in chosen
        )
        stream_json(context.out, "dsvc.hub.log", {}, key="entries", items=items)
        return
    now = context.now()
    with context.paged():
        for entry in chosen:
            when = date_text(entry.time, entry.zone, style="iso", now=now)
            what = context.out.paint("refused: ", "red") if entry.what == "refused" else ""
            text = "".join(c if c.isprintable() else "?" for c in f"{entry.text}")
            context.out.line(f"{when}  {entry.account or '-'}  {entry.repository or '-'}  {what}{text}")


SUBCOMMANDS = {
    "init": init,
    "user": hub_user.SUBCOMMANDS,
    "repos": repos,
    "forks": forks,
    "delete": delete,
    "log": log,
    "attic": hub_attic.attic,
    "put-away": hub_attic.put_away,
    "serve": serve,
    "shell": shell,
}
