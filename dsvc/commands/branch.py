"""The `dsvc branch` command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from dsvc.actions.branch import (
    BranchesResult,
    BranchResult,
    copy_branch,
    create_branch,
    delete_branches,
    list_branches,
    rename_branch,
)
from dsvc.actions.refs import RefFilter, RefInfo, matching, sorted_refs
from dsvc.actions.revision import revision_context
from dsvc.commands.context import Context
from dsvc.commands.distance_text import distance_counts
from dsvc.commands.options import Json, Quiet
from dsvc.commands.ref_text import SHORT, format_ref, ref_json, subject
from dsvc.errors import UsageError
from dsvc.history.revisions import resolve_commit
from dsvc.refs.names import HEADS, REMOTES, short_name
from dsvc.workspace import Workspace


def command(
    context: Context,
    names: Annotated[
        Sequence[str], typer.Argument(metavar="[NAME [START]]", help="A new branch, and where it begins (HEAD).")
    ] = (),
    *,
    every: Annotated[bool, typer.Option("-a", "--all", help="List branches of remotes too.")] = False,
    remotes: Annotated[bool, typer.Option("-r", "--remotes", help="List, or delete, branches of remotes.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show commits and their subjects.")] = False,
    listing: Annotated[bool, typer.Option("-l", "--list", help="List; NAME is a pattern, as 'feature/*'.")] = False,
    merged: Annotated[bool, typer.Option("--merged", help="List those that NAME, or HEAD, contains.")] = False,
    no_merged: Annotated[bool, typer.Option("--no-merged", help="List those that it does not contain.")] = False,
    contains: Annotated[bool, typer.Option("--contains", help="List those that contain NAME, or HEAD.")] = False,
    no_contains: Annotated[bool, typer.Option("--no-contains", help="List those that do not.")] = False,
    points_at: Annotated[str | None, typer.Option("--points-at", metavar="REV", help="List those at REV.")] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="KEY", help="Such as -committerdate.")] = "refname",
    template: Annotated[
        str | None, typer.Option("--format", metavar="TEXT", help="Such as '%(refname:short) %(subject)'.")
    ] = None,
    show_current: Annotated[bool, typer.Option("--show-current", help="Print the current branch.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Move, overwrite or delete all the same.")] = False,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="Delete branches that HEAD contains.")] = False,
    delete_all: Annotated[bool, typer.Option("-D", help="Delete branches.")] = False,
    move: Annotated[bool, typer.Option("-m", "--move", help="Rename a branch: [OLD] NEW.")] = False,
    move_all: Annotated[bool, typer.Option("-M", help="Rename over another branch.")] = False,
    copy: Annotated[bool, typer.Option("-c", "--copy", help="Copy a branch: [OLD] NEW.")] = False,
    copy_all: Annotated[bool, typer.Option("-C", help="Copy over another branch.")] = False,
    upstream: Annotated[
        str | None, typer.Option("-u", "--set-upstream-to", metavar="REMOTE/BRANCH", help="Let a branch follow it.")
    ] = None,
    no_upstream: Annotated[bool, typer.Option("--unset-upstream", help="Let a branch follow nothing.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """List, create, rename or delete branches.

    Without arguments, and with the options that choose, lists: the current branch has a * before it, one on which
    another working copy stands a +. With a NAME makes a branch; 'dsvc switch -c NAME' makes one and goes to it.
    -d refuses branches with commits that HEAD does not contain, and all changes can be taken back with 'dsvc undo'.
    """
    del quiet
    delete, force = delete or delete_all, force or delete_all or move_all or copy_all
    move, copy = move or move_all, copy or copy_all
    filters = (merged, no_merged, contains, no_contains)
    lists = listing or any(filters) or points_at is not None or not names
    if sum((delete, move, copy, lists and (listing or any(filters)))) > 1:
        raise UsageError("listing, deleting, renaming and copying exclude each other")
    if sum(filters) > 1:
        raise UsageError("--merged, --no-merged, --contains and --no-contains exclude each other")
    workspace = context.workspace()
    if upstream is not None or no_upstream:
        if len(names) > 1 or (upstream is not None and no_upstream):
            raise UsageError("one branch follows one other", hint="dsvc branch -u origin/main [BRANCH]")
        _follow(context, workspace, names[0] if names else None, upstream, json=json)
    elif show_current:
        _show_current(context, workspace, json=json)
    elif delete:
        if not names:
            raise UsageError("the branch to delete is missing", hint="dsvc branch -d NAME")
        _tell(context, delete_branches(workspace, names, force=force, remote=remotes), "Deleted", json=json)
    elif move or copy:
        if not 1 <= len(names) <= 2:
            raise UsageError(f"{'-m' if move else '-c'} takes [OLD] NEW", hint="dsvc branch -m NEW")
        act = rename_branch if move else copy_branch
        result = act(workspace, names[0] if len(names) == 2 else None, names[-1], force=force)
        _tell(context, [result], "Renamed" if move else "Copied", json=json)
    elif lists:
        commit, globs = (names[0], names[1:]) if any(filters) and names else ("HEAD", names)
        wanted = _filter(workspace, filters, commit=commit, globs=globs, points_at=points_at)
        found = list_branches(workspace, local=every or not remotes, remote=every or remotes)
        revisions = revision_context(workspace)
        listed = sorted_refs(matching(iter(found.branches), wanted, revisions.ancestry()), sort)
        found = found._replace(branches=tuple(listed))
        short = remotes and not every
        _list(context, workspace, found, verbose=verbose, template=template, short_remotes=short, json=json)
    else:
        if len(names) > 2:
            raise UsageError("too many arguments", hint="dsvc branch NAME [START]")
        result = create_branch(workspace, names[0], start=names[1] if len(names) == 2 else "HEAD", force=force)
        _tell(context, [result], "Created" if result.old_commit is None else "Moved", json=json)


def _follow(
    context: Context, workspace: Workspace, name: str | None, upstream: str | None, *, json: bool
) -> None:
    from dsvc.actions.upstream import change_upstream

    branch, followed = change_upstream(workspace, name, upstream)
    if json:
        context.out.json("dsvc.branch.upstream", {"name": short_name(branch), "upstream": followed})
        return
    context.out.note(f"{short_name(branch)} follows {followed or 'nothing'}")


def _filter(
    workspace: Workspace, filters: Sequence[bool], *, commit: str, globs: Sequence[str], points_at: str | None
) -> RefFilter:
    revisions = revision_context(workspace)
    target = resolve_commit(revisions, commit) if any(filters) else None
    merged, no_merged, contains, no_contains = (target if wanted else None for wanted in filters)
    at = resolve_commit(revisions, points_at) if points_at is not None else None
    return RefFilter(globs, merged, no_merged, contains, no_contains, at)


def _show_current(context: Context, workspace: Workspace, *, json: bool) -> None:
    branch = workspace.head().branch
    if json:
        context.out.json("dsvc.branch.current", {"name": short_name(branch) if branch else None})
    elif branch is not None:
        context.out.line(short_name(branch))


def _tell(context: Context, results: Sequence[BranchResult], what: str, *, json: bool) -> None:
    if json:
        documents = [
            {
                "name": short_name(result.name),
                "commit": result.commit_id.hex() if result.commit_id else None,
                "old_name": short_name(result.old_name) if result.old_name else None,
                "old_commit": result.old_commit.hex() if result.old_commit else None,
            }
            for result in results
        ]
        context.out.json("dsvc.branch.changed", {"action": what.lower(), "branches": documents})
        return
    for result in results:
        name = short_name(result.name)
        if what == "Deleted":
            was = f" (was {result.old_commit.hex()[:SHORT]})" if result.old_commit else ""
            context.out.note(f"Deleted branch {name}{was}")
        elif result.old_name is not None:
            context.out.note(f"{what} branch {short_name(result.old_name)} to {name}")
        else:
            at = f" {'to' if what == 'Moved' else 'at'} {result.commit_id.hex()[:SHORT]}" if result.commit_id else ""
            was = f" (was {result.old_commit.hex()[:SHORT]})" if result.old_commit else ""
            context.out.note(f"{what} branch {name}{at}{was}")


def _list(
    context: Context,
    workspace: Workspace,
    found: BranchesResult,
    *,
    verbose: bool,
    template: str | None,
    short_remotes: bool,
    json: bool,
) -> None:
    current = found.head.branch
    if json:
        documents = [
            {**ref_json(ref), "current": ref.name == current, "worktree": found.elsewhere.get(ref.name)}
            for ref in found.branches
        ]
        head = {
            "branch": short_name(current) if current else None,
            "commit": found.head.commit_id.hex() if found.head.commit_id else None,
        }
        context.out.json("dsvc.branch", {"head": head, "branches": documents})
        return
    now = context.now()
    if template is not None:
        for ref in found.branches:
            context.out.line(format_ref(ref, template, head=ref.name == current, now=now))
        return
    rows: list[tuple[str, str, RefInfo | None]] = []
    if current is None and found.head.commit_id is not None and not short_remotes:
        detached = f"(HEAD detached at {found.head.commit_id.hex()[:SHORT]})"
        rows.append((context.out.paint("*", "green"), context.out.paint(detached, "green"), None))
    rows += [_row(context, ref, found, short_remotes=short_remotes) for ref in found.branches]
    follows = workspace.config.section("branch") if verbose else {}
    with context.paged():
        _print(context, rows, verbose=verbose, said=lambda ref: _distance(context, workspace, ref) if follows else "")


def _row(
    context: Context, ref: RefInfo, found: BranchesResult, *, short_remotes: bool
) -> tuple[str, str, RefInfo | None]:
    remote = ref.name.startswith(REMOTES)
    name = ref.name if remote and not short_remotes else ref.short
    if ref.symbolic is not None:
        name += f" -> {short_name(ref.symbolic)}"
    if ref.name == found.head.branch:
        return context.out.paint("*", "green"), context.out.paint(name, "green"), ref
    if ref.name in found.elsewhere:
        return context.out.paint("+", "cyan"), context.out.paint(name, "cyan"), ref
    return " ", context.out.paint(name, "red") if remote else name, ref


def _distance(context: Context, workspace: Workspace, ref: RefInfo) -> str:
    """What git's `[origin/main: ahead 1]` says before the subject."""
    from dsvc.actions.distance import distance

    found = distance(workspace, ref.name) if ref.name.startswith(HEADS) else None
    if found is None:
        return ""
    counts = distance_counts(found)
    return f"[{context.out.paint(found.shown, 'blue')}{': ' if counts else ''}{counts}] "


def _print(
    context: Context,
    rows: Sequence[tuple[str, str, RefInfo | None]],
    *,
    verbose: bool,
    said: Callable[[RefInfo], str],
) -> None:
    from dsvc.commands.width import display_width

    width = max((display_width(name) for _, name, _ in rows), default=0)
    for mark, name, ref in rows:
        line = f"{mark} {name}"
        if verbose and ref is not None and ref.commit is not None and ref.commit_id is not None:
            space = " " * (width - display_width(name))
            shown = context.out.paint(ref.commit_id.hex()[:SHORT], "yellow")
            line += f"{space} {shown} {said(ref)}{subject(ref.commit.message)}"
        context.out.line(line)
