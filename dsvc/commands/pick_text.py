"""What cherry-pick, revert and rebase came to, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from dsvc.actions.picking import PickResult, pick_abort, pick_continue, pick_skip
from dsvc.commands.conflict_text import conflict_json, show_conflicts
from dsvc.commands.context import Context
from dsvc.errors import ConflictError, UsageError

SHORT = 10


def run_pick(
    context: Context,
    verb: Literal["cherry-pick", "revert"],
    start: Callable[[], PickResult] | None,
    *,
    go_on: bool,
    skip: bool,
    abort: bool,
    json: bool,
) -> int | None:
    """Begin, continue, skip or abort, as the options say, and print what came of it; return the exit code."""
    if sum((go_on, skip, abort, start is not None)) > 1:
        raise UsageError("--continue, --skip and --abort stand alone")
    workspace = context.workspace()
    if abort:
        commit_id = pick_abort(workspace, verb)
        if json:
            nothing: dict[str, Any] = {"done": [], "left_out": [], "stopped": None, "left": 0}
            nothing |= {"conflicts": [], "notes": []}
            commit = commit_id.hex() if commit_id else None
            context.out.json(f"dsvc.{verb}", {"result": "aborted", "commit": commit, **nothing})
        else:
            context.out.note(f"The {verb} was taken back")
        return None
    if go_on:
        result = pick_continue(workspace, verb)
    elif skip:
        result = pick_skip(workspace, verb)
    elif start is not None:
        result = start()
    else:
        raise UsageError("which commits?", hint="dsvc log lists them")
    if json:
        context.out.json(f"dsvc.{verb}", pick_json(result))
        return ConflictError.exit_code if result.conflicts else None
    return show_pick(context, result, verb=verb)


def pick_json(result: PickResult) -> dict[str, Any]:
    """The result as fields of a JSON document."""
    return {
        "result": result.kind,
        "commit": result.tip.hex(),
        "done": [{"from": old.hex(), "to": new.hex()} for old, new in result.done],
        "left_out": [commit_id.hex() for commit_id in result.empty],
        "stopped": result.stopped.hex() if result.stopped is not None else None,
        "left": result.left,
        "conflicts": [conflict_json(conflict) for conflict in result.conflicts],
        "notes": list(result.notes),
    }


def show_pick(context: Context, result: PickResult, *, verb: str) -> int | None:
    """Print the result; return the exit code."""
    out, repo = context.out, context.workspace().repo
    for note in result.notes:
        out.note(f"note: {note}")
    for commit_id in result.empty:
        out.note(f"Left out {commit_id.hex()[:SHORT]}: its change is here already")
    for _, new in result.done:
        out.note(f"[{new.hex()[:SHORT]}] {repo.commit(new).message.partition(chr(10))[0]}")
    if result.stopped is None:
        return None
    show_conflicts(context, result.conflicts)
    stopped = repo.commit(result.stopped)
    behind = f", {result.left} more wait" if result.left else ""
    ways = f"'dsvc {verb} --continue' (or --skip, or --abort)"
    out.warn(
        f"{result.stopped.hex()[:SHORT]} ({stopped.message.partition(chr(10))[0]}) has conflicts{behind}",
        hint=f"edit and 'dsvc resolve PATH' (or --ours, --theirs), then {ways}",
    )
    return ConflictError.exit_code
