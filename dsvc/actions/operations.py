"""Operations as a worktree sees them: what each changed, and which one an undo or redo is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsvc.actions.checkout import FILES
from dsvc.actions.sparse import sparse_change
from dsvc.errors import RequestError
from dsvc.objects.codec import Value
from dsvc.objects.ids import ID_LENGTH, ObjectId, OperationId, TreeId
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.values import Operation
from dsvc.refs.log import OperationLog
from dsvc.refs.names import SEEN, added_of, head_of, moving_of, saved_of
from dsvc.refs.view import Ref, View
from dsvc.workspace import Workspace

RUN = "run"  # the verb of operations that record runs; runs are removed by 'runs rm', not by going back
FROM = "from"  # the key of the metadata of a new working copy with the one in which it was asked for
BEGIN = "begin"  # the verb of operations that only keep what a checkout is about to move; nobody needs to see them


SINCE = "since"  # the key of an operation's metadata with the first of those that are taken back together with it
_WITHOUT_TRACE = frozenset({RUN, BEGIN, "undo", "redo"})


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


def steps_of(log: OperationLog, operation_id: OperationId, operation: Operation) -> tuple[Operation, ...]:
    """Return the operations that are taken back with this one, the newest first: itself, and those of its command.

    Raises:
        UnknownOperationError: when one of them was removed by gc.
    """
    first = since_of(operation)
    if first is None:
        return (operation,)
    found: list[Operation] = []
    for at, step in log.walk(operation_id):
        if step.worktree == operation.worktree:
            found.append(step)
        if at == first:
            return tuple(found)
    raise UnknownOperationError(
        "what was before that operation is not kept any more: gc removes old operations", hint="dsvc op log"
    )


def since_of(operation: Operation) -> OperationId | None:
    """Return the first of the operations that are taken back together with this one, None where it stands alone."""
    first = operation.metadata.get(SINCE)
    return OperationId(ObjectId(first)) if isinstance(first, bytes) and len(first) == ID_LENGTH else None


def together(since: OperationId | None) -> dict[str, Value]:
    """Return the metadata that lets an operation be taken back with those since this one, which began its command."""
    return {SINCE: bytes(since)} if since is not None else {}


def moves_of_steps(log: OperationLog, steps: Sequence[Operation]) -> tuple[RefMove, ...]:
    """Return the refs that operations moved together, in order of names; `steps` has the newest first."""
    if len(steps) == 1:
        return ref_moves(log, steps[0])
    moved: dict[str, RefMove] = {}
    for step in reversed(steps):
        for name, old, new in ref_moves(log, step):
            moved[name] = RefMove(name, moved[name].old if name in moved else old, new)
    return tuple(move for _, move in sorted(moved.items()) if move.old != move.new)


def files_of_steps(steps: Sequence[Operation]) -> tuple[TreeId, TreeId] | None:
    """Return from which tree to which operations moved files together; `steps` has the newest first."""
    moved = [files for step in steps if (files := moved_files(step)) is not None]
    return (moved[-1][0], moved[0][1]) if moved else None


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
    passing: OperationId | None = None
    for operation_id, operation in log.walk(workspace.repo.head.operation):
        if operation.worktree != workspace.worktree_id:
            continue
        if passing is not None:
            passing = None if operation_id == passing else passing
        elif (first := since_of(operation)) is not None and _came_to_nothing(log, operation_id, operation):
            passing = first
        elif _has_effect(log, operation):
            yield operation_id, operation


def passed_over(workspace: Workspace, until: OperationId) -> list[Operation]:
    """Return what an undo of the operation `until` leaves as it is, newest first, though it was done later.

    That are operations of this worktree that only its index or its datasets need, and new working copies.
    """
    log, view = workspace.repo.log, workspace.view()
    found: list[Operation] = []
    skip: OperationId | None = None
    for operation_id, operation in log.walk(workspace.repo.head.operation):
        if operation_id == until:
            break
        if operation.worktree != workspace.worktree_id:
            if operation.metadata.get(FROM) == workspace.worktree_id and view.get(head_of(operation.worktree)):
                found.append(operation)
        elif skip is not None:
            skip = since_of(operation) if operation_id == skip else skip
        elif operation.verb == "undo":
            skip = operation.reverts
        elif operation.verb not in _WITHOUT_TRACE and not _is_seen_alone(log, operation):
            found.append(operation)
    return found


def _came_to_nothing(log: OperationLog, operation_id: OperationId, operation: Operation) -> bool:
    """Say whether the operations of a command took each other back."""
    try:
        steps = steps_of(log, operation_id, operation)
        moved = {move.name for move in moves_of_steps(log, steps)}
    except UnknownOperationError:
        return False
    files = files_of_steps(steps)
    return (files is None or files[0] == files[1]) and moved <= _of_index(operation.worktree)


def _of_index(worktree: str) -> set[str]:
    return {added_of(worktree), saved_of(worktree), *moving_of(worktree)}


def _is_seen_alone(log: OperationLog, operation: Operation) -> bool:
    return all(move.name.startswith(SEEN) for move in ref_moves(log, operation))


def _has_effect(log: OperationLog, operation: Operation) -> bool:
    """Say whether taking an operation back would change anything.

    What only the index needs does not count, unless it was asked for, nor what was seen of a remote's requests.
    """
    if moved_files(operation) is not None or sparse_change(operation) is not None or not operation.parents:
        return True
    if operation.verb in {"undo", "redo"}:
        return True  # of one that had
    try:
        before = log.view(operation.parents[0])
    except ObjectMissingError:
        return True
    here = _of_index(operation.worktree) - ({added_of(operation.worktree)} if operation.verb == "add" else set())
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
            skip = since_of(operation) if operation_id == skip else skip
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

