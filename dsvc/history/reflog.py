"""What a ref was before: its values, read from the operation log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dsvc.objects.ids import OperationId, ViewId
from dsvc.objects.values import Operation
from dsvc.refs.log import OperationLog
from dsvc.refs.names import head_of
from dsvc.refs.view import Direct, Ref, Symbolic, View

_SWITCHING = frozenset({"switch", "checkout"})
_RENAMING = frozenset({"branch"})


class RefChange(NamedTuple):
    """An operation that changed a ref, and what the ref was before and after.

    `old` and `new` are the ref itself, `old_target` and `new_target` what it led to: a HEAD that stands for a branch
    changes when that branch does. For the oldest known operation `old` is None.
    """

    operation_id: OperationId
    operation: Operation
    old: Ref | None
    old_target: Direct | None
    new: Ref | None
    new_target: Direct | None


def ref_changes(log: OperationLog, head: OperationId, name: str) -> Iterator[RefChange]:
    """Yield the operations that changed what `name` is or leads to, newest first.

    Reads one operation and one or two nodes of its view per operation; ends where the log was cut.
    """
    newer: tuple[OperationId, Operation] | None = None
    newer_value: tuple[Ref | None, Direct | None] = (None, None)
    seen: tuple[ViewId, tuple[Ref | None, Direct | None]] | None = None
    for operation_id, operation in log.walk(head):
        if seen is None or seen[0] != operation.view:
            seen = operation.view, _value(View(log.store, operation.view), name)
        value = seen[1]
        if newer is not None and value != newer_value:
            yield RefChange(*newer, *value, *newer_value)
        newer, newer_value = (operation_id, operation), value
    if newer is not None and newer_value != (None, None):
        yield RefChange(*newer, None, None, *newer_value)


def value_at(log: OperationLog, head: OperationId, name: str, *, time: int) -> Direct | None:
    """Return what a ref led to at a moment (in microseconds), None where it did not exist or nothing is known."""
    for _, operation in log.walk(head):
        if operation.time <= time:
            return _value(View(log.store, operation.view), name)[1]
    return None


def switched_from(log: OperationLog, head: OperationId, worktree: str) -> Iterator[Ref]:
    """Yield what the HEAD of a worktree stood for before each switch, the last switch first."""
    for change in ref_changes(log, head, head_of(worktree)):
        if change.old is None or change.old == change.new:
            continue
        verb = change.operation.verb
        between_branches = isinstance(change.old, Symbolic) or isinstance(change.new, Symbolic)
        if verb in _SWITCHING or (between_branches and verb not in _RENAMING):
            yield change.old


def _value(view: View, name: str) -> tuple[Ref | None, Direct | None]:
    ref = view.get(name)
    return (ref, view.resolve(name)[1]) if isinstance(ref, Symbolic) else (ref, ref)
