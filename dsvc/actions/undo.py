"""Take the last operation of this worktree back."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.actions.checkout import checkout, keep_index_tree
from dsvc.actions.moved import bring_along, is_move
from dsvc.actions.operations import (
    FROM,
    RefMove,
    files_of_steps,
    moves_of_steps,
    next_to_undo,
    passed_over,
    steps_of,
    view_before,
)
from dsvc.actions.sparse import SPARSE, bring_in_line, sparse_change
from dsvc.actions.state import read_state
from dsvc.actions.untrack import known_again, new_since
from dsvc.errors import RequestError
from dsvc.history.reflog import ref_changes
from dsvc.objects.ids import OperationId
from dsvc.objects.values import Operation
from dsvc.refs.names import CUT, HEADS, WORKTREES, added_of, moving_of, saved_of, short_name
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Symbolic, View
from dsvc.workspace import Workspace
from dsvc.worktree.plan import InTheWayError

_FINAL = {
    "purge": "what it removed is gone for good",
    "worktree": "the folder of a working copy cannot be brought back",
    "fork": "the repository begins here; remove its folder instead",
}


class NothingToUndoError(RequestError):
    """No operation of this worktree is left to take back."""


class LaterOperationError(RequestError):
    """A later operation moved a ref that would have to go back."""

    def __init__(self, name: str, operation_id: OperationId, operation: Operation) -> None:
        where = "" if operation.worktree == "main" else f" in worktree {operation.worktree}"
        super().__init__(
            f"{short_name(name)} was moved again by a later operation, {operation_id.hex()[:12]}{where}: "
            f"{operation.description}",
            hint=f"dsvc op show {operation_id.hex()[:12]}; "
            f"'dsvc op restore' goes back to a whole earlier state, that operation included",
            details={"ref": name, "operation": operation_id.hex()},
        )


class UndoResult(NamedTuple):
    """The operation that did it, the one that was taken back, and how the refs moved by that.

    `left` are operations that were done after that one and stay as they are, newest first.
    """

    operation_id: OperationId
    undone_id: OperationId
    undone: Operation
    moves: tuple[RefMove, ...]
    moved_files: bool
    left: tuple[Operation, ...] = ()


def undo(workspace: Workspace) -> UndoResult:
    """Take back the newest operation of this worktree that stands; called again, the one before it.

    Refs get the values they had before. Files that the operation moved go back, and what it overwrote comes back;
    where it left the files alone (a commit, a soft reset) they stay as they are.

    Raises:
        NothingToUndoError: when there is none. LaterOperationError: when another operation moved one of the refs since.
        InTheWayError: when files that would go back were changed since; nothing is changed then.
    """
    found = next_to_undo(workspace)
    if found is None or not found[1].parents:
        raise NothingToUndoError("there is nothing to undo: the repository begins here", hint="dsvc op log")
    operation_id, operation = found
    left = tuple(passed_over(workspace, operation_id))
    try:
        result = take_back(
            workspace, operation_id, operation, verb="undo", description=f"undo: {operation.description}"
        )
        return result._replace(left=left)
    except InTheWayError as error:
        state = read_state(workspace)
        if state is not None:
            error.hint = f"dsvc {state.verb} --abort goes back and stores what these files hold"
        raise


def take_back(
    workspace: Workspace, operation_id: OperationId, operation: Operation, *, verb: str, description: str
) -> UndoResult:
    """Publish an operation that puts back what `operation` and those that belong to it changed.

    Raises what `undo` raises.
    """
    if operation.metadata.get(FROM) is not None:
        raise RequestError(
            f"this working copy begins with '{operation.description}'",
            hint=f"in the one it was made from: dsvc worktree remove {operation.worktree}",
        )
    if operation.verb in _FINAL:
        raise RequestError(f"'{operation.description}' cannot be undone: {_FINAL[operation.verb]}", hint="dsvc op log")
    log = workspace.repo.log
    steps = steps_of(log, operation_id, operation)
    moves = moves_of_steps(log, steps)
    transaction = workspace.transaction()
    own = f"{WORKTREES}{workspace.worktree_id}/"
    for move in moves:
        if move.name == CUT:
            continue  # what is not here does not come by an undo
        if move.name in (added_of(workspace.worktree_id), *moving_of(workspace.worktree_id)):
            continue  # follows from the index and the checkout
        if move.name.startswith(WORKTREES) and not move.name.startswith(own):
            raise RequestError(
                f"'{operation.description}' concerns another working copy", hint="dsvc worktree list shows them"
            )
        if move.name != saved_of(workspace.worktree_id):
            _check(workspace, transaction, move)
        if move.old is None:
            transaction.delete(move.name)
        else:
            transaction.set(move.name, move.old)
    files = files_of_steps(steps)
    earlier = view_before(log, steps[-1])
    patterns = sparse_change(operation)
    if patterns is not None:
        before_it, after_it = patterns
        bring_in_line(workspace, before_it)
        act = workspace.act(verb, description, reverts=operation_id, metadata={SPARSE: (after_it, before_it)})
        made = workspace.publish(transaction, act)
    elif files is not None:
        before, after = files
        made = checkout(
            workspace,
            after,
            before,
            transaction=transaction,
            verb=verb,
            description=description,
            reverts=operation_id,
            untracked=new_since(workspace, earlier, before),
        )
        if is_move(log, operation):
            bring_along(workspace, after, before)
    else:
        index = workspace.index()
        later = View(workspace.repo.store, operation.view)
        keep_index_tree(workspace, transaction, known_again(workspace, index.tree, earlier, later))
        made = workspace.publish(transaction, workspace.act(verb, description, reverts=operation_id))
        workspace.write_index(index)
    back = tuple(RefMove(move.name, move.new, move.old) for move in moves)
    return UndoResult(made, operation_id, operation, back, files is not None or patterns is not None)


def _check(workspace: Workspace, transaction: Transaction, move: RefMove) -> None:
    """Refuse where a ref has moved on, or where another worktree stands on a branch that would move."""
    view = transaction.view
    if view.get(move.name) != move.new:
        repo = workspace.repo
        change = next(ref_changes(repo.log, repo.head.operation, move.name))
        raise LaterOperationError(move.name, change.operation_id, change.operation)
    if move.name.startswith(HEADS):
        own = f"{WORKTREES}{workspace.worktree_id}/"
        for name, ref in view.items(WORKTREES):
            if ref == Symbolic(move.name) and not name.startswith(own):
                raise RequestError(
                    f"branch {short_name(move.name)} is checked out in worktree {name.split('/')[1]}",
                    hint="switch that worktree to another branch first",
                )
