"""The `dsvc undo` command."""

from __future__ import annotations

from dsvc.actions.undo import UndoResult, undo
from dsvc.commands.context import Context
from dsvc.commands.operation_text import SHORT, is_internal, move_json, operation_json, show_moves
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import plain_text


def command(context: Context, *, quiet: Quiet = False, json: Json = False) -> None:
    """Take the last operation of this working copy back; again, the one before it.

    Undoing a switch or a merge moves the files back, undoing restore or reset --hard brings back what they
    overwrote, undoing a commit leaves the files alone. What an undo passes over, such as a new working copy, it
    names. 'dsvc redo' takes an undo back.
    """
    show_undo(context, undo(context.workspace()), schema="dsvc.undo", word="Undid", as_json=json)


def show_undo(context: Context, result: UndoResult, *, schema: str, word: str, as_json: bool) -> None:
    """Print what was undone or redone."""
    if as_json:
        context.out.json(
            schema,
            {
                "operation": result.operation_id.hex(),
                "undone": operation_json(result.undone_id, result.undone),
                "moves": [move_json(move) for move in result.moves],
                "files_moved": result.moved_files,
                **({"left": [operation.description for operation in result.left]} if schema == "dsvc.undo" else {}),
            },
        )
        return
    context.out.note(f"{word} {result.undone_id.hex()[:SHORT]}: {plain_text(result.undone.description)}")
    for operation in result.left:
        context.out.note(f"Left as it is, though done later: {plain_text(operation.description)}")
    show_moves(context, [move for move in result.moves if not is_internal(move.name)], notes=True)
