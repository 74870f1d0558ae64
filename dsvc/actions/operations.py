"""Operations as a worktree sees them: what each changed, and which one an undo or redo is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dsvc.actions.checkout import FILES
from dsvc.errors import RequestError
from dsvc.objects.ids import ID_LENGTH, ObjectId, OperationId, TreeId
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.values import Operation
from dsvc.refs.log import OperationLog
from dsvc.refs.names import SEEN, added_of, moving_of, saved_of
from dsvc.refs.view import Ref, View
from dsvc.workspace import Workspace

RUN = "run"  # the verb of operations that record runs; runs are removed by 'runs rm', not by going back
BEGIN = "begin"  # the verb of operations that only keep what a checkout is about to move; nobody needs to see them


class UnknownOperationError(RequestError):
    """There is no such operation, or it was removed by gc."""


class RefMove(NamedTuple):
    """A ref's full name and its value before and after an operation (None: not there)."""

    name: str
    old: Ref | None
    new: Ref | None


class OperationRow(NamedTuple):
    """An operation, its id, and the refs that it moved; None where gc removed what was before it."""

    operation_id: OperationId
    operation: Operation
    moves: tuple[RefMove, ...] | None


def moved_files(operation: Operation) -> tuple[TreeId, TreeId] | None:
    """Return from which tree to which an operation moved files, None when it left them alone."""
    match operation.metadata.get(FILES):
        case (bytes(old), bytes(new)) if len(old) == len(new) == ID_LENGTH:
            return TreeId(ObjectId(old)), TreeId(ObjectId(new))
    return None


def view_before(log: OperationLog, operation: Operation) -> View:
    """Return all refs as they were before an operation.

    Raises:
        UnknownOperationError: when the operation before it was removed by gc.
    """
    if not operation.parents:
        return View.empty(log.store)
    try:
        return log.view(operation.parents[0])
    except ObjectMissingError as error:
        raise UnknownOperationError(
            "what was before that operation is not kept any more: gc removes old operations", hint="dsvc op log"
        ) from error


def ref_moves(log: OperationLog, operation: Operation) -> tuple[RefMove, ...]:
    """Return the refs that an operation moved, in order of names."""
    before, after = view_before(log, operation), View(log.store, operation.view)
    return tuple(RefMove(name, old, new) for name, old, new in before.differences(after))


def describe(workspace: Workspace, operation_id: OperationId) -> OperationRow:
    """Return an operation with the refs that it moved."""
    operation = workspace.repo.log.get(operation_id)
    try:
        moves = ref_moves(workspace.repo.log, operation)
    except UnknownOperationError:
        return OperationRow(operation_id, operation, None)
    return OperationRow(operation_id, operation, moves)


def own_operations(workspace: Workspace) -> Iterator[tuple[OperationId, Operation]]:
    """Yield the operations of this worktree that changed something, newest first."""
    log = workspace.repo.log
    for operation_id, operation in log.walk(workspace.repo.head.operation):
        if operation.worktree == workspace.worktree_id and _has_effect(log, operation):
            yield operation_id, operation


def _has_effect(log: OperationLog, operation: Operation) -> bool:
    """Say whether taking an operation back would change anything.

    What only the index needs does not count, nor what was seen of a remote's requests.
    """
    if moved_files(operation) is not None or not operation.parents:
        return True
    try:
        before = log.view(operation.parents[0])
    except ObjectMissingError:
        return True
    here = (added_of(operation.worktree), saved_of(operation.worktree), *moving_of(operation.worktree))
    if operation.verb == RUN:
        return False  # what was run was run
    moved = (name for name, _, _ in before.differences(View(log.store, operation.view)))
    return any(name not in here and not name.startswith(SEEN) for name in moved)


def next_to_undo(workspace: Workspace) -> tuple[OperationId, Operation] | None:
    """Return the newest operation of this worktree that stands: one that was undone does not, one redone does.

    An undo points to what it took back, so the search goes on behind that; a redo brought back what its undo had
    taken, so that is the next one. Further work after an undo is simply the newest.
    """
    log = workspace.repo.log
    skip: OperationId | None = None
    for operation_id, operation in own_operations(workspace):
        if skip is not None:
            skip = None if operation_id == skip else skip
        elif operation.verb == "undo" and operation.reverts is not None:
            skip = operation.reverts
        elif operation.verb == "redo" and operation.reverts is not None:
            try:
                undone = log.get(operation.reverts).reverts
                return (undone, log.get(undone)) if undone is not None else None
            except ObjectMissingError:
                return None  # removed by gc
        else:
            return operation_id, operation
    return None


def next_to_redo(workspace: Workspace) -> tuple[OperationId, Operation] | None:
    """Return the undo that a redo takes back: the newest that was not redone, when nothing else was done since."""
    skip: OperationId | None = None
    for operation_id, operation in own_operations(workspace):
        if skip is not None:
            skip = None if operation_id == skip else skip
        elif operation.verb == "redo" and operation.reverts is not None:
            skip = operation.reverts
        else:
            return (operation_id, operation) if operation.verb == "undo" else None
    return None


def find_operation(workspace: Workspace, text: str) -> OperationId:
    """Return the operation that `text` names: `@` the newest, `@~2` the second before it, or the begin of an id.

    Raises:
        UnknownOperationError: when there is none or more than one.
    """
    repo = workspace.repo
    name, _, back = text.partition("~")
    if name == "@":
        steps = int(back) if back.isdigit() else 1 if text.endswith("~") else 0
        shown = (oid for oid, operation in repo.log.walk(repo.head.operation) if operation.verb != BEGIN)
        for number, operation_id in enumerate(shown):
            if number == steps:
                return operation_id
        raise UnknownOperationError(f"{text!r} goes past the oldest operation that is kept", hint="dsvc op log")
    wanted = text.lower()
    if len(wanted) < 4 or set(wanted) - set("0123456789abcdef"):
        raise UnknownOperationError(f"{text!r} is not the id of an operation", hint="dsvc op log lists them")
    found = [oid for oid, _ in repo.log.walk(repo.head.operation) if oid.hex().startswith(wanted)]
    if not found:
        raise UnknownOperationError(f"there is no operation {text}", hint="dsvc op log lists them")
    if len(found) > 1:
        candidates = ", ".join(oid.hex()[:16] for oid in found[:5])
        raise UnknownOperationError(f"{text!r} could be any of {candidates}", hint="write more digits")
    return found[0]

