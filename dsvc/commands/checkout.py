"""The `dsvc checkout` command: git's old verb for what `switch` and `restore` do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.restore import restore
from dsvc.actions.revision import commit_of
from dsvc.actions.switch import switch
from dsvc.commands.context import Context
from dsvc.commands.options import Json, MapNames, Quiet
from dsvc.commands.path_text import path_json
from dsvc.commands.restore import restored_text
from dsvc.commands.switch import show_switch
from dsvc.errors import DsvcError, RequestError, UsageError
from dsvc.refs.names import HEADS
from dsvc.workspace import Workspace


def command(
    context: Context,
    arguments: Annotated[
        Sequence[str], typer.Argument(metavar="[BRANCH|REV] [-- PATHS...]", help="Where to go, or files to put back.")
    ] = (),
    *,
    create: Annotated[str | None, typer.Option("-b", metavar="NAME", help="Make this branch first.")] = None,
    force_create: Annotated[str | None, typer.Option("-B", metavar="NAME", help="Make it, or move it here.")] = None,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Stand at a commit without a branch.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Overwrite changes (undo brings them back).")] = False,
    map_names: MapNames = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Go to a branch or commit, or give files the content of a commit.

    For those who know it from git: 'dsvc switch' and 'dsvc restore' say which of the two is meant. Unlike in git,
    files that are overwritten are stored first, and 'dsvc undo' brings them back.
    """
    before, paths = context.split_dashes(arguments)
    workspace = context.workspace()
    new = create or force_create
    if new is not None:
        if create and force_create:
            raise UsageError("-b and -B exclude each other")
        if paths is not None or len(before) > 1:
            raise UsageError("a new branch takes one starting point and no paths", hint="dsvc checkout -b NAME [REV]")
        start = before[0] if before else None
        made = switch(
            workspace,
            new,
            create=create is not None,
            force_create=force_create is not None,
            start=start,
            force=force,
            map_names=map_names,
        )
        show_switch(context, made, as_json=json)
        return
    if detach and not before and paths is None:
        before = ("HEAD",)
    if paths is None:
        before, paths = _guess(context, workspace, before)
    if paths is not None:
        if len(before) > 1:
            raise UsageError("only one revision can be given before --", hint="dsvc checkout [REV] -- PATHS...")
        if not paths:
            raise UsageError("which files?", hint="dsvc checkout [REV] -- PATHS...")
        selected = [workspace.repo_path(p, context.directory) for p in paths]
        done = restore(workspace, selected, source=before[0] if before else None, map_names=map_names)
        if json:
            context.out.json("dsvc.checkout", {"paths": [path_json(p) for p in done.paths], "tree": done.tree.hex()})
        else:
            context.out.note(restored_text(done, before[0] if before else None))
        return
    target = "@{-1}" if before[0] == "-" else before[0]
    is_branch = target.startswith("@{-") or _is_branch(workspace, target)
    made = switch(workspace, target, detach=detach or not is_branch, force=force, map_names=map_names)
    show_switch(context, made, as_json=json)


def _guess(
    context: Context, workspace: Workspace, words: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Tell a revision from paths where no -- does; return the revision, and the paths or None."""
    if not words:
        raise UsageError("where to?", hint="dsvc switch BRANCH, or dsvc restore PATHS...")
    first, rest = words[0], words[1:]
    is_revision = first == "-" or _is_branch(workspace, first) or _is_commit(workspace, first)
    is_path = os.path.lexists(context.directory / first)
    if is_revision and is_path and not rest:
        raise UsageError(
            f"{first!r} is a revision and a file", hint=f"dsvc switch {first}, or dsvc restore {first}"
        )
    if is_revision:
        return (first,), rest or None
    if is_path or rest:
        return (), words
    raise RequestError(
        f"{first!r} is no branch, no commit and no file", hint="dsvc branch -a lists branches; dsvc log --all commits"
    )


def _is_branch(workspace: Workspace, name: str) -> bool:
    return workspace.view().get(HEADS + name) is not None or workspace.head().branch == HEADS + name


def _is_commit(workspace: Workspace, text: str) -> bool:
    try:
        commit_of(workspace, text)
    except DsvcError:
        return False
    return True
