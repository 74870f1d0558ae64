"""The `dsvc reflog` command."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from dsvc.actions.reflog import reflog
from dsvc.commands.context import Context
from dsvc.commands.date_text import date_text, iso_text
from dsvc.commands.json_stream import stream_json
from dsvc.commands.options import Json
from dsvc.history.reflog import RefChange

_SHORT = 10


def command(
    context: Context,
    ref: Annotated[str, typer.Argument(metavar="[REF]", help="A branch, a tag or HEAD.")] = "HEAD",
    *,
    count: Annotated[int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="Show N entries.")] = None,
    date: Annotated[str | None, typer.Option("--date", metavar="STYLE", help="Show dates, in this style.")] = None,
    json: Json = False,
) -> None:
    """Show where a branch has pointed.

    Each line is an earlier value: its commit, the name to use for it (such as main@{1}), and the operation that set it.
    The entries come from the operation log (dsvc op log), so those of deleted branches are there too, until gc removes
    old operations.
    """
    result = reflog(context.workspace(), ref)
    # A branch that was named and has no commit yet is no value that one could go back to.
    numbered = ((n, c) for n, c in enumerate(result.changes) if c.new_target or c.old_target)
    changes = islice(numbered, count)
    if json:
        items = ({"selector": f"{result.name}@{{{n}}}", **_described(change)} for n, change in changes)
        stream_json(context.out, "dsvc.reflog", {"ref": result.ref}, key="entries", items=items)
        return
    now = context.now()
    with context.paged():
        for number, change in changes:
            operation = change.operation
            target = change.new_target.id.hex()[:_SHORT] if change.new_target is not None else "-" * _SHORT
            when = date_text(operation.time, operation.zone, style=date, now=now) if date is not None else str(number)
            selector = context.out.paint(f"{result.name}@{{{when}}}", "blue")
            text = operation.description or operation.verb
            context.out.line(f"{context.out.paint(target, 'yellow')} {selector}: {text}")


def _described(change: RefChange) -> dict[str, object]:
    operation = change.operation
    return {
        "id": change.new_target.id.hex() if change.new_target is not None else None,
        "before": change.old_target.id.hex() if change.old_target is not None else None,
        "operation": change.operation_id.hex(),
        "verb": operation.verb,
        "description": operation.description,
        "user": operation.user,
        "time": iso_text(operation.time, operation.zone),
    }
