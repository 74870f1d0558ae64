"""The `dsvc worktree` commands."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.worktree import Worktree, add_worktree, list_worktrees, prune_worktrees, remove_worktree
from dsvc.commands.context import Context
from dsvc.commands.options import DryRun, Json, Quiet
from dsvc.errors import UsageError
from dsvc.refs.names import short_name


def add(
    context: Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Folder of the new working copy.")],
    target: Annotated[
        str | None, typer.Argument(metavar="[BRANCH]", help="A branch; with -b or --detach any commit.")
    ] = None,
    *,
    branch: Annotated[str | None, typer.Option("-b", metavar="NAME", help="Make this branch for it.")] = None,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Stand at a commit without a branch.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make another working copy of this repository.

    It shares the store, the branches and the settings, and has a HEAD of its own. Where only a remote has BRANCH, one
    that follows it is made; without BRANCH it gets a branch named as the folder. Two working copies cannot stand on one
    branch.
    """
    if branch is not None and detach:
        raise UsageError("-b and --detach exclude each other")
    workspace = context.workspace()
    result = add_worktree(workspace, context.directory / path, target, new_branch=branch, detach=detach)
    if json:
        payload = {**_json(result.worktree), "created_branch": result.created_branch}
        context.out.json("dsvc.worktree.add", payload)
        return
    made = result.worktree
    where = _where(made)
    new = "the new branch " if result.created_branch else "branch " if made.branch else ""
    context.out.note(f"Made the worktree {made.path} on {new}{where}")


def list_(context: Context, *, quiet: Quiet = False, json: Json = False) -> None:
    """List the working copies of this repository."""
    worktrees = list_worktrees(context.workspace())
    if json:
        context.out.json("dsvc.worktree.list", {"worktrees": [_json(w) for w in worktrees]})
        return
    context.out.table(
        [
            (
                str(w.path) if w.path is not None else f"({w.id})",
                w.commit_id.hex()[:10] if w.commit_id else "no commit",
                f"[{_where(w)}]" if w.branch else "(detached)",
                "" if w.present else context.out.paint("gone: dsvc worktree prune", "yellow"),
            )
            for w in worktrees
        ]
    )


def remove(
    context: Context,
    target: Annotated[str, typer.Argument(metavar="PATH", help="The working copy's folder, or its id.")],
    *,
    force: Annotated[bool, typer.Option("-f", "--force", help="With changes too; they are stored before.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove a working copy with its folder; its branch and its commits stay.

    Ignored files in it are removed too. One with changes is refused unless forced: then they are stored first, as a
    tree that 'dsvc export' and 'dsvc restore --source' take files from, until gc removes old operations.
    """
    result = remove_worktree(context.workspace(), target, directory=context.directory, force=force)
    if json:
        context.out.json(
            "dsvc.worktree.remove",
            {
                "removed": [_json(w) for w in result.removed],
                "stored": result.stored is not None,
                "tree": result.stored.hex() if result.stored is not None else None,
            },
        )
        return
    for worktree in result.removed:
        context.out.note(f"Removed the worktree {worktree.path or worktree.id}")
    if result.stored is not None:
        tree = result.stored.hex()[:12]
        context.out.note(f"Its files are stored as {tree}: 'dsvc export {tree} FOLDER' writes them")


def prune(context: Context, *, dry_run: DryRun = False, quiet: Quiet = False, json: Json = False) -> None:
    """Forget working copies whose folders are gone; their branches and commits stay."""
    result = prune_worktrees(context.workspace(), dry_run=dry_run)
    if json:
        removed = [_json(w) for w in result.removed]
        context.out.json("dsvc.worktree.prune", {"dry_run": dry_run, "removed": removed})
        return
    for worktree in result.removed:
        context.out.line(f"{'Would forget' if dry_run else 'Forgot'} {worktree.path or worktree.id}")


def _where(worktree: Worktree) -> str:
    if worktree.branch:
        return short_name(worktree.branch)
    return worktree.commit_id.hex()[:10] if worktree.commit_id else "nothing"


def _json(worktree: Worktree) -> dict[str, object]:
    return {
        "id": worktree.id,
        "path": str(worktree.path) if worktree.path is not None else None,
        "branch": short_name(worktree.branch) if worktree.branch else None,
        "commit": worktree.commit_id.hex() if worktree.commit_id else None,
        "present": worktree.present,
    }


SUBCOMMANDS = {"add": add, "list": list_, "remove": remove, "prune": prune}
