"""Bring back what the last undo took back."""

from __future__ import annotations

from dsvc.actions.operations import next_to_redo
from dsvc.actions.undo import UndoResult, take_back
from dsvc.errors import RequestError
from dsvc.objects.store import ObjectMissingError
from dsvc.workspace import Workspace


class NothingToRedoError(RequestError):
    """Nothing was undone, or something else was done since."""


def redo(workspace: Workspace) -> UndoResult:
    """Take back the newest undo of this worktree that was not redone yet; called again, the one before it.

    The result's `undone` is the operation that was brought back.

    Raises:
        NothingToRedoError: when there is none, or when something else was done after it. And what `undo` raises.
    """
    found = next_to_redo(workspace)
    if found is None or found[1].reverts is None:
        raise NothingToRedoError(
            "there is nothing to redo: the last operation here was no undo",
            hint="dsvc op log; 'dsvc op restore' goes to any state in it",
        )
    operation_id, operation = found
    assert operation.reverts is not None
    try:
        original = workspace.repo.log.get(operation.reverts)
    except ObjectMissingError as error:
        raise NothingToRedoError(
            "what was undone is not kept any more: gc removes old operations", hint="dsvc op log"
        ) from error
    result = take_back(workspace, operation_id, operation, verb="redo", description=f"redo: {original.description}")
    return UndoResult(result.operation_id, operation.reverts, original, result.moves, result.moved_files)
