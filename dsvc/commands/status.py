"""The `dsvc status` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dsvc.actions.state import way_on
from dsvc.actions.status import StatusResult, status
from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.commands.path_text import path_json, quote_path
from dsvc.history.treediff import Change
from dsvc.objects.tree import FILE_KINDS
from dsvc.refs.names import short_name

if TYPE_CHECKING:
    from dsvc.actions.distance import Distance


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATHS]...", help="Only these files and folders.")] = (),
    *,
    short: Annotated[bool, typer.Option("-s", "--short", help="One line a path.")] = False,
    branch: Annotated[bool, typer.Option("-b", "--branch", help="With -s: the branch as a first line.")] = False,
    porcelain: Annotated[bool, typer.Option("--porcelain", help="A form for scripts that stays the same.")] = False,
    zero: Annotated[bool, typer.Option("-z", help="End lines with NUL; names are not quoted.")] = False,
    untracked: Annotated[
        Literal["no", "normal", "all"],
        typer.Option("-u", "--untracked-files", help="New files: none, folders as one, or each."),
    ] = "normal",
    json: Json = False,
) -> None:
    """Show what a commit would take."""
    workspace = context.workspace()
    selected = [p for p in (workspace.repo_path(p, context.directory) for p in paths) if p]
    result = status(workspace, paths=selected, all_files=untracked == "all" or json)
    if json:
        _json(context, result)
    elif short or porcelain or zero:
        _short(context, result, branch=branch, zero=zero, untracked=untracked != "no")
    else:
        _long(context, result, untracked=untracked != "no")
    for skipped in result.skipped:
        context.out.warn(f"{quote_path(skipped.path)} cannot be versioned: {skipped.reason}")


def _letter(change: Change) -> str:
    if change.new is None:
        return "D"
    if change.old is None:
        return "A"
    both_files = change.old.kind in FILE_KINDS and change.new.kind in FILE_KINDS
    return "M" if both_files or change.old.kind == change.new.kind else "T"


def _rows(result: StatusResult, *, untracked: bool) -> list[tuple[str, bytes]]:
    conflicts = {c.path for c in result.state.conflicts} if result.state else set()
    rows = [("UU", path) for path in conflicts]
    rows += [(f" {_letter(c)}", c.path) for c in result.changes if c.path not in conflicts]
    rows += [("A ", c.path) for c in result.added if c.path not in conflicts]
    rows.sort(key=lambda row: row[1])
    if untracked:
        rows += [("??", path) for path in result.new if path not in conflicts]
    return rows


def _short(context: Context, result: StatusResult, *, branch: bool, zero: bool, untracked: bool) -> None:
    out = context.out
    lines: list[bytes] = []
    if branch:
        name = short_name(result.branch) if result.branch else "HEAD (no branch)"
        lines.append(f"## {name}{_short_distance(result)}".encode())
    for letters, path in _rows(result, untracked=untracked):
        shown = path if zero else quote_path(path).encode("utf-8", "surrogateescape")
        lines.append(letters.encode() + b" " + shown)
    end = b"\0" if zero else b"\n"
    if lines:
        out.raw(end.join(lines) + end)


def _short_distance(result: StatusResult) -> str:
    """What git's `## main...origin/main [ahead 1]` says behind the branch."""
    distance = result.distance
    if distance is None:
        return ""
    counts = [f"{word} {n}" for word, n in (("ahead", distance.ahead), ("behind", distance.behind)) if n]
    counts = ["gone"] if distance.gone else counts
    return f"...{distance.shown}" + (f" [{', '.join(counts)}]" if counts else "")


def distance_text(distance: Distance) -> str:
    """How far a branch is from what it follows, as a sentence with the command to type next."""
    ahead, behind, name = distance.ahead, distance.behind, distance.shown
    if distance.gone:
        return f"It follows {name}, which is not there (any more): dsvc push, or dsvc fetch"
    if ahead and behind:
        return f"It has {_commits(ahead)} that {name} has not, and lacks {behind}: dsvc pull"
    if ahead:
        return f"It is {_commits(ahead)} ahead of {name}: dsvc push"
    if behind:
        return f"It is {_commits(behind)} behind {name}: dsvc pull"
    return f"It is up to date with {name}"


def _commits(count: int) -> str:
    return f"{count} commit{'s' if count != 1 else ''}"


def _json(context: Context, result: StatusResult) -> None:
    def row(change: Change) -> dict[str, object]:
        return {
            **path_json(change.path),
            "change": {"M": "modified", "D": "deleted", "A": "added", "T": "type"}[_letter(change)],
            "old": change.old.id.hex() if change.old else None,
            "new": change.new.id.hex() if change.new else None,
            "size": change.new.size if change.new else None,
        }

    state = result.state
    context.out.json(
        "dsvc.status",
        {
            "branch": short_name(result.branch) if result.branch else None,
            "commit": result.commit_id.hex() if result.commit_id else None,
            "upstream": _upstream_json(result),
            "clean": result.is_clean(),
            "changes": [row(c) for c in result.changes],
            "added": [row(c) for c in result.added],
            "new": [path_json(p) for p in result.new],
            "conflicts": [{**path_json(c.path), "kind": c.kind} for c in state.conflicts] if state else [],
            "under_way": state.verb if state else "bisect" if result.bisecting else None,
            "skipped": [{**path_json(s.path), "reason": s.reason} for s in result.skipped],
        },
    )


def _upstream_json(result: StatusResult) -> dict[str, object] | None:
    found = result.distance
    if found is None:
        return None
    return {"name": found.shown, "ahead": found.ahead, "behind": found.behind, "gone": found.gone}


def _long(context: Context, result: StatusResult, *, untracked: bool) -> None:
    out = context.out
    if result.branch:
        out.line(f"On branch {short_name(result.branch)}")
        if result.distance is not None:
            out.line(distance_text(result.distance))
    elif result.commit_id:
        out.line(out.paint("Detached", "red") + f" at {result.commit_id.hex()[:10]}")
    if result.commit_id is None:
        out.line("\nNo commits yet")
    if result.bisecting:
        out.line("\nA bisection is under way: 'dsvc bisect good' or 'bad' goes on, 'dsvc bisect reset' ends it")
    state = result.state
    if state is not None:
        on = way_on(state.verb)
        out.line(f"\nA {state.verb} is under way: 'dsvc {state.verb} --abort' takes it back")
        if not state.conflicts and on is not None:
            out.line(f"Nothing is in conflict any more: '{on}' goes on")
        if state.conflicts:
            out.line("\nIn conflict (edit, then 'dsvc resolve PATH'):")
            for conflict in state.conflicts:
                out.line("  " + out.paint(f"{conflict.kind + ':':<18}{quote_path(conflict.path)}", "red"))
    conflicts = {c.path for c in state.conflicts} if state else set()
    words = {"M": "modified:", "D": "deleted:", "A": "added:", "T": "other kind:"}
    changes = [c for c in (*result.changes, *result.added) if c.path not in conflicts]
    if changes:
        out.line("\nChanges that 'dsvc commit' takes (put back with 'dsvc restore PATH'):")
        for change in sorted(changes):
            letter = _letter(change)
            colour = "green" if letter == "A" else "red" if letter == "D" else "yellow"
            out.line("  " + out.paint(f"{words[letter]:<12}{quote_path(change.path)}", colour))
    new = [p for p in result.new if p not in conflicts]
    if new and untracked:
        out.line("\nNew files that 'dsvc commit' takes too (keep out with .dsvcignore):")
        for path in new:
            out.line("  " + out.paint(quote_path(path), "green"))
    if result.is_clean():
        out.line("Nothing to commit, working copy clean" if result.commit_id else "\nNothing to commit")
