"""The `dsvc stash` commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.stash import (
    Stash,
    StashApplyResult,
    stash_abort,
    stash_apply,
    stash_clear,
    stash_drop,
    stash_list,
    stash_push,
    stash_show,
)
from dsvc.commands.conflict_text import conflict_json, show_conflicts
from dsvc.commands.context import Context
from dsvc.commands.date_text import iso_text
from dsvc.commands.diff_options import DiffForm, Patch, Stat
from dsvc.commands.options import Json, Message, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import ConflictError
from dsvc.history.treediff import Change

Name = Annotated[str | None, typer.Argument(metavar="[STASH]", help="Such as stash@{1}; the newest if none.")]
Untracked = Annotated[bool, typer.Option("-u", "--include-untracked", help="Accepted: new files are taken anyway.")]


def command(
    context: Context,
    *,
    message: Message = (),
    untracked: Untracked = False,
    abort: Annotated[bool, typer.Option("--abort", help="Take back a stash applied with conflicts.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Put all changes aside, new files included, so that the files are as in the last commit."""
    if abort:
        stash_abort(context.workspace())
        if json:
            context.out.json("dsvc.stash", {"result": "aborted", "stash": None})
        else:
            context.out.note("Taken back; the stash is still there")
        return
    push(context, message=message, json=json)


def push(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATHS]...", help="Only these files and folders.")] = (),
    *,
    message: Message = (),
    untracked: Untracked = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Put changes aside, new files included."""
    workspace = context.workspace()
    selected = [p for p in (workspace.repo_path(p, context.directory) for p in paths) if p]
    stash = stash_push(workspace, message="\n\n".join(message) or None, paths=selected)
    if json:
        context.out.json("dsvc.stash", {"result": "stashed" if stash else "nothing", "stash": _json(stash)})
    elif stash is None:
        context.out.note("Nothing is changed, so nothing was stashed")
    else:
        context.out.note(f"Saved: {stash.commit.message.partition(chr(10))[0]}; 'dsvc stash pop' takes it up again")


def list_(context: Context, *, json: Json = False) -> None:
    """List the stashes, newest first."""
    found = stash_list(context.workspace())
    if json:
        context.out.json("dsvc.stash.list", {"stashes": [_json(stash) for stash in found]})
        return
    for stash in found:
        context.out.line(f"{context.out.paint(stash.name, 'yellow')}: {stash.commit.message.partition(chr(10))[0]}")


def show(
    context: Context, name: Name = None, *, patch: Patch = False, stat: Stat = False, json: Json = False
) -> None:
    """Show which files a stash changes."""
    workspace = context.workspace()
    stash, changes = stash_show(workspace, name)
    if json:
        rows = [{**path_json(c.path), "status": _letter(c)} for c in changes]
        context.out.json("dsvc.stash.show", {"stash": _json(stash), "changes": rows})
        return
    if patch or stat:
        from dsvc.actions.diff import diff
        from dsvc.commands.diff_text import print_diff

        made = diff(workspace, [stash.commit.parents[0].hex(), stash.commit_id.hex()])
        with context.paged():
            print_diff(context, made, DiffForm(patch=patch, stat=stat, text=patch))
        return
    for change in changes:
        context.out.line(f"{_letter(change)}\t{quote_path(change.path)}")


def apply(context: Context, name: Name = None, *, quiet: Quiet = False, json: Json = False) -> int | None:
    """Bring the changes of a stash into the working copy and keep the stash."""
    return _applied(context, stash_apply(context.workspace(), name), json=json)


def pop(context: Context, name: Name = None, *, quiet: Quiet = False, json: Json = False) -> int | None:
    """Bring the changes of a stash into the working copy and drop it, unless there are conflicts."""
    return _applied(context, stash_apply(context.workspace(), name, drop=True), json=json)


def drop(context: Context, name: Name = None, *, quiet: Quiet = False, json: Json = False) -> None:
    """Remove a stash; 'dsvc undo' brings it back."""
    stash = stash_drop(context.workspace(), name)
    if json:
        context.out.json("dsvc.stash.drop", {"stash": _json(stash)})
        return
    context.out.note(f"Dropped {stash.name} ({stash.commit_id.hex()[:10]})")


def clear(context: Context, *, quiet: Quiet = False, json: Json = False) -> None:
    """Remove all stashes; 'dsvc undo' brings them back."""
    count = stash_clear(context.workspace())
    if json:
        context.out.json("dsvc.stash.clear", {"dropped": count})
        return
    context.out.note(f"Dropped {count} stash{'' if count == 1 else 'es'}")


def _applied(context: Context, result: StashApplyResult, *, json: bool) -> int | None:
    code = ConflictError.exit_code if result.conflicts else None
    if json:
        payload = {"stash": _json(result.stash), "dropped": result.dropped, "notes": list(result.notes)}
        context.out.json("dsvc.stash.apply", {**payload, "conflicts": [conflict_json(c) for c in result.conflicts]})
        return code
    for note in result.notes:
        context.out.note(f"note: {note}")
    if result.conflicts:
        show_conflicts(context, result.conflicts)
        context.out.warn(
            f"{result.stash.name} was applied with conflicts and is kept",
            hint="edit and 'dsvc resolve PATH', then 'dsvc stash drop'; 'dsvc stash --abort' takes it back",
        )
        return code
    context.out.note(f"{'Dropped' if result.dropped else 'Applied'} {result.stash.name}")
    return None


def _letter(change: Change) -> str:
    return "A" if change.old is None else "D" if change.new is None else "M"


def _json(stash: Stash | None) -> dict[str, object] | None:
    if stash is None:
        return None
    return {
        "name": stash.name,
        "commit": stash.commit_id.hex(),
        "base": stash.commit.parents[0].hex(),
        "message": stash.commit.message,
        "time": iso_text(stash.commit.committer.time, stash.commit.committer.zone),
    }


SUBCOMMANDS = {
    "push": push,
    "list": list_,
    "show": show,
    "apply": apply,
    "pop": pop,
    "drop": drop,
    "clear": clear,
}
