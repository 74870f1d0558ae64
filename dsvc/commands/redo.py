"""The `dsvc redo` command."""

from __future__ import annotations

from dsvc.actions.redo import redo
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.commands.undo import show_undo


def command(context: Context, *, quiet: Quiet = False, json: Json = False) -> None:
    """Take the last undo back; again, the one before it, as long as nothing else was done since."""
    show_undo(context, redo(context.workspace()), schema="dsvc.redo", word="Redid", as_json=json)
