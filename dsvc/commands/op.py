"""The `dsvc op` commands."""

from __future__ import annotations

import shlex
from itertools import islice
from typing import Annotated

import typer

from dsvc.actions.op import op_log, op_restore, op_show
from dsvc.commands.context import Context
from dsvc.commands.date_text import date_text
from dsvc.commands.json_stream import stream_json
from dsvc.commands.operation_text import SHORT, is_internal, move_json, operation_json, show_moves
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import plain_text
from dsvc.refs.names import short_name

Operation = Annotated[
    str, typer.Argument(metavar="[OPERATION]", help="The begin of an id, @ for the newest, @~2 for two before.")
]


def log(
    context: Context,
    *,
    count: Annotated[int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="Show N only.")] = None,
    all_worktrees: Annotated[bool, typer.Option("--all", help="Those of all working copies.")] = False,
    json: Json = False,
) -> None:
    """List what was done in this working copy, newest first."""
    found = islice(op_log(context.workspace(), all_worktrees=all_worktrees), count)
    if json:
        items = (operation_json(operation_id, operation) for operation_id, operation in found)
        stream_json(context.out, "dsvc.op.log", {}, key="operations", items=items)
        return
    now = context.now()
    with context.paged():
        for operation_id, operation in found:
            age = date_text(operation.time, operation.zone, style="relative", now=now)
            where = f" [{operation.worktree}]" if all_worktrees else ""
            first = f"{context.out.paint(operation_id.hex()[:SHORT], 'yellow')} {age}, {operation.user}{where}"
            context.out.line(first)
            context.out.line(f"    {plain_text(operation.description or operation.verb)}")
            if operation.command:
                context.out.line(context.out.paint(f"    $ {plain_text(shlex.join(operation.command))}", "dim"))


def show(context: Context, operation: Operation = "@", *, json: Json = False) -> None:
    """Show one operation and the refs that it moved."""
    row = op_show(context.workspace(), operation)
    found = row.operation
    if json:
        moves = None if row.moves is None else [move_json(move) for move in row.moves]
        context.out.json("dsvc.op.show", {**operation_json(row.operation_id, found), "moves": moves})
        return
    out = context.out
    out.line(f"operation {out.paint(row.operation_id.hex(), 'yellow')}")
    out.line(f"when      {date_text(found.time, found.zone, style='iso', now=context.now())}")
    out.line(f"who       {found.user} on {found.host}")
    out.line(f"worktree  {found.worktree}")
    if found.command:
        out.line(f"command   {plain_text(shlex.join(found.command))}")
    if found.reverts is not None:
        out.line(f"reverts   {found.reverts.hex()[:SHORT]}")
    out.line(f"what      {plain_text(found.description or found.verb)}")
    if row.moves is None:
        context.out.note("Which refs it moved is not known any more: gc removed the operation before it")
    elif row.moves:
        out.line("\nrefs")
        show_moves(context, row.moves)


def restore(
    context: Context,
    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="As 'dsvc op log' shows it.")],
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Set all refs as they were after an operation, and move the files of this working copy along.

    Branches, tags and stashes made since are gone afterwards, but for branches on which other working copies stand;
    'dsvc undo' takes the restore back.
    """
    result = op_restore(context.workspace(), operation)
    if json:
        made = result.operation_id
        payload = {"operation": made.hex() if made is not None else None, "restored": result.restored.hex()}
        moves = [move_json(move) for move in result.moves]
        context.out.json("dsvc.op.restore", {**payload, "moves": moves, "left": list(result.left)})
        return
    for name in result.left:
        context.out.note(f"{short_name(name)} is left as it is: another working copy stands on it")
    if result.operation_id is None:
        context.out.note(f"Nothing to restore: all is as it was after {result.restored.hex()[:SHORT]}")
        return
    context.out.note(f"Restored the state after {result.restored.hex()[:SHORT]}; 'dsvc undo' takes this back")
    show_moves(context, [move for move in result.moves if not is_internal(move.name)], notes=True)


SUBCOMMANDS = {"log": log, "show": show, "restore": restore}
