"""The `dsvc fork` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsvc.actions.fork import fork
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Jobs, Json, LimitRate, Quiet, Yes
from dsvc.errors import UsageError
from dsvc.refs.names import short_name
from dsvc.remotes.address import FolderAddress, parse_address
from dsvc.remotes.settings import read_remotes
from dsvc.worktree.places import find_private

_WORDS = {"hardlink": ("hard link", "hard links"), "reflink": ("reflink", "reflinks"), "copy": ("copy", "copies")}


def command(
    context: Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="The repository to go on from: a folder or an address.")],
    target: Annotated[
        str | None, typer.Argument(metavar="[DST]", help="The new folder or address; else SRC's name in this folder.")
    ] = None,
    *,
    copy: Annotated[bool, typer.Option("--copy", help="Copy what is stored, and share nothing.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the fork at the address SRC instead.")] = False,
    yes: Yes = False,
    jobs: Jobs = 8,
    limit_rate: LimitRate = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make a repository that goes on from another one and shares its stored objects.

    Of a working copy this makes another one: branches and tags come along, HEAD's branch is checked out, and both hold
    the same files, by hard links or reflinks where the disk can (store.link chooses).

    With addresses, or names of remotes, it makes a repository at the place DST of the one at SRC. On one SSH host, in
    one bucket, in folders of one disk, and on a hub, both use one pool of packs from then on, so this takes a moment
    and moves nothing. Between other places, or with --copy, everything is copied.

    --delete deletes such a fork: its branches and its history are gone, and what others need of its packs stays.

    Either one may run gc, or be deleted, without harm to the other. What is purged in one stays in the other. Who
    clones a fork has its parent as the remote 'upstream'.
    """
    if delete:
        if target is not None or copy:
            raise UsageError("--delete takes one address", hint=f"dsvc fork --delete {source}")
        _delete(context, source, yes=yes, json=json)
        return
    if not _is_local(context, source, target):
        _fork_remote(context, source, target, copy=copy, jobs=jobs, limit_rate=limit_rate, json=json)
        return
    origin = context.directory / source
    name = origin.resolve().name
    if target is None and (not name or origin.resolve() == context.directory.resolve()):
        raise UsageError(f"where to? {source} itself is no place for the fork", hint=f"dsvc fork {source} FOLDER")
    result = fork(
        origin,
        context.directory / (target or name),
        config=context.config(),
        surroundings=context.surroundings(),
        how="copy" if copy else None,
        progress=context.progress,
    )
    branch = short_name(result.branch) if result.branch else None
    if json:
        context.out.json(
            "dsvc.fork",
            {
                "path": str(result.path),
                "parent": str(result.parent),
                "branch": branch,
                "commit": result.commit_id.hex() if result.commit_id else None,
                "packs": dict(result.methods),
                "bytes_shared": result.shared,
                "bytes_copied": result.copied,
            },
        )
        return
    context.out.line(str(result.path))
    how = ", ".join(counted(count, *_WORDS[method]) for method, count in result.methods.items()) or "nothing stored yet"
    context.out.note(
        f"Forked {result.parent}: {how}; {human_size(result.shared)} shared, {human_size(result.copied)} copied"
    )


def _delete(context: Context, source: str, *, yes: bool, json: bool) -> None:
    from dsvc.actions.fork_delete import delete_fork

    if not yes and not context.ask(f"Delete the fork {source} and all of its history?"):
        raise UsageError(f"{source} was not deleted", hint="--yes deletes it without a question")
    result = delete_fork(
        source, config=context.config(), surroundings=context.surroundings(), directory=context.directory
    )
    if json:
        context.out.json("dsvc.fork.delete", {"address": result.address, "shared_with": result.shared_with})
        return
    others = counted(result.shared_with, "other repository uses", "others use")
    context.out.note(f"Deleted {result.address}; {others} its pool, and the next 'dsvc gc' there frees the rest")


def _is_local(context: Context, source: str, target: str | None) -> bool:
    """Say whether a working copy is to be forked to a folder."""

    def is_folder(text: str) -> bool:
        plain = "://" not in text and text not in read_remotes(context.config())
        return plain and isinstance(parse_address(text, directory=context.directory), FolderAddress)

    if not is_folder(source) or (target is not None and not is_folder(target)):
        return False
    bare = (context.directory / Path(source).expanduser() / "cells").is_dir()
    return not bare or find_private(context.directory / source) is not None


def _fork_remote(
    context: Context,
    source: str,
    target: str | None,
    *,
    copy: bool,
    jobs: int,
    limit_rate: str | None,
    json: bool,
) -> None:
    from dsvc.actions.fork_remote import fork_remote

    if target is None:
        raise UsageError("where to? a fork of a remote needs an address of its own", hint=f"dsvc fork {source} ADDRESS")
    context.limit_rate(limit_rate)
    result = fork_remote(
        source,
        target,
        config=context.config(),
        surroundings=context.surroundings(),
        directory=context.directory,
        copy=copy,
        jobs=jobs,
        progress=context.progress,
    )
    if json:
        context.out.json(
            "dsvc.fork.remote",
            {
                "address": result.address,
                "parent": result.parent,
                "shares": result.how != "copy",
                "branch": result.branch,
                "packs": result.packs,
                "bytes": result.size,
                "bytes_copied": result.copied,
            },
        )
        return
    context.out.line(result.address)
    stored = f"{counted(result.packs, 'pack')}, {human_size(result.size)}"
    if result.how == "copy":
        context.out.note(f"Forked {result.parent}: {stored}, of which {human_size(result.copied)} were copied")
    else:
        context.out.note(f"Forked {result.parent}: both use one pool of {stored}, and nothing was copied")
