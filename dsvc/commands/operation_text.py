"""Operations and moves of refs as lines and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsvc.actions.operations import RefMove
from dsvc.commands.context import Context
from dsvc.commands.date_text import iso_text
from dsvc.objects.ids import OperationId
from dsvc.objects.values import Operation
from dsvc.refs.names import WORKTREES, short_name
from dsvc.refs.view import Ref, Symbolic

SHORT = 12
_COMMIT = 10
_KEEPING = ("/saved", "/state", "/moving/from", "/moving/to")


def operation_json(operation_id: OperationId, operation: Operation) -> dict[str, Any]:
    """An operation as an object of a JSON document."""
    return {
        "id": operation_id.hex(),
        "verb": operation.verb,
        "description": operation.description,
        "time": iso_text(operation.time, operation.zone),
        "user": operation.user,
        "host": operation.host,
        "worktree": operation.worktree,
        "command": list(operation.command),
        "reverts": operation.reverts.hex() if operation.reverts is not None else None,
        "parents": [parent.hex() for parent in operation.parents],
    }


def move_json(move: RefMove) -> dict[str, Any]:
    """A moved ref as an object of a JSON document."""
    return {"ref": move.name, "old": _ref_json(move.old), "new": _ref_json(move.new)}


def is_internal(name: str) -> bool:
    """Say whether a ref is none that people know: it keeps what an index, a checkout or a state refers to."""
    return name.startswith("added/") or (name.startswith(WORKTREES) and name.endswith(_KEEPING))


def show_moves(context: Context, moves: Sequence[RefMove], *, indent: str = "  ", notes: bool = False) -> None:
    """Print what refs moved, one a line; to stderr with `notes`."""
    for move in moves:
        text = indent + move_text(move)
        if notes:
            context.out.note(text)
        else:
            context.out.line(text)


def move_text(move: RefMove) -> str:
    """A moved ref in one line."""
    name = move.name
    if name.startswith(WORKTREES):
        _, worktree, what = name.split("/", 2)
        name = what if worktree == "main" else f"{what} of worktree {worktree}"
    else:
        name = short_name(name)
    if move.old is None:
        return f"{name}: new, {_ref_text(move.new)}"
    if move.new is None:
        return f"{name}: gone, was {_ref_text(move.old)}"
    return f"{name}: {_ref_text(move.old)} -> {_ref_text(move.new)}"


def _ref_text(ref: Ref | None) -> str:
    if ref is None:
        return "nothing"
    return short_name(ref.target) if isinstance(ref, Symbolic) else ref.id.hex()[:_COMMIT]


def _ref_json(ref: Ref | None) -> dict[str, str] | None:
    if ref is None:
        return None
    if isinstance(ref, Symbolic):
        return {"symbolic": ref.target}
    return {"kind": ref.kind.name.lower(), "id": ref.id.hex()}
