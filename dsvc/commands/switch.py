"""The `dsvc switch` command."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.switch import SwitchResult, switch
from dsvc.commands.context import Context
from dsvc.commands.options import Json, MapNames, Quiet
from dsvc.errors import UsageError
from dsvc.refs.names import short_name


def command(
    context: Context,
    target: Annotated[str | None, typer.Argument(metavar="BRANCH", help="A branch, or - for the one before.")] = None,
    start: Annotated[str | None, typer.Argument(metavar="[START]", help="With -c: where the branch begins.")] = None,
    *,
    create: Annotated[bool, typer.Option("-c", "--create", help="Make the branch first.")] = False,
    force_create: Annotated[bool, typer.Option("-C", "--force-create", help="Make it, or move it here.")] = False,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Stand at a commit without a branch.")] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", "--discard-changes", help="Overwrite changes (undo brings them back).")
    ] = False,
    map_names: MapNames = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Go to another branch; changes that are not committed come along where nothing else would touch them."""
    if target is None:
        if not detach:
            raise UsageError("which branch?", hint="dsvc branch lists them")
        target = "HEAD"
    workspace = context.workspace()
    result = switch(
        workspace,
        "@{-1}" if target == "-" else target,
        create=create,
        start=start,
        detach=detach,
        force=force,
        force_create=force_create,
        map_names=map_names,
    )
    show_switch(context, result, as_json=json)


def show_switch(context: Context, result: SwitchResult, *, as_json: bool) -> None:
    """Print where the worktree stands now."""
    commit = result.commit_id.hex() if result.commit_id else None
    if as_json:
        branch = short_name(result.branch) if result.branch else None
        context.out.json("dsvc.switch", {"branch": branch, "commit": commit, "created": result.created})
        return
    if result.branch is None:
        context.out.note(f"Detached at {(commit or '')[:10]}: commits made here belong to no branch")
    elif result.moved_from is not None:
        was = result.moved_from.hex()[:10]
        context.out.note(f"Moved branch {short_name(result.branch)} here (was {was}) and switched to it")
    elif result.created:
        context.out.note(f"Switched to the new branch {short_name(result.branch)}")
    elif result.branch == result.old_branch:
        context.out.note(f"Already on {short_name(result.branch)}")
    else:
        context.out.note(f"Switched to branch {short_name(result.branch)}")
