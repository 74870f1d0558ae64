"""The operation log: list it, look at one operation, go back to the state after one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dsvc.actions.checkout import checkout
from dsvc.actions.operations import BEGIN, OperationRow, RefMove, describe, find_operation, ref_moves
from dsvc.actions.state import read_state
from dsvc.actions.switch import refuse_branch_of_other
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, OperationId, TreeId
from dsvc.objects.values import Operation
from dsvc.refs.names import CUT, WORKTREES, head_of, moving_of, saved_of, state_of
from dsvc.refs.view import Symbolic, View
from dsvc.workspace import Workspace

_STAYS = ("purged/", CUT)


def op_log(workspace: Workspace, *, all_worktrees: bool = False) -> Iterator[tuple[OperationId, Operation]]:
    """Yield the operations of this worktree, or of all, newest first; read as they are asked for."""
    repo = workspace.repo
    for operation_id, operation in repo.log.walk(repo.head.operation):
        own = all_worktrees or operation.worktree == workspace.worktree_id
        if own and operation.verb != BEGIN:
            yield operation_id, operation


def op_show(workspace: Workspace, name: str = "@") -> OperationRow:
    """Return one operation and the refs that it moved.

    Raises:
        UnknownOperationError: when there is no such operation.
    """
    return describe(workspace, find_operation(workspace, name))


class OpRestoreResult(NamedTuple):
    """The new operation (None: all was so already), the one whose state was restored, and the refs that moved.

    `left` are branches that stay as they are, because other worktrees stand on them.
    """

    operation_id: OperationId | None
    restored: OperationId
    moves: tuple[RefMove, ...]
    left: tuple[str, ...] = ()


def op_restore(workspace: Workspace, name: str) -> OpRestoreResult:
    """Give all refs, shared and local, the values they had after an operation, and move the files of this worktree.

    What belongs to other worktrees stays, the branches on which they stand too, and what was purged stays purged.
    Nothing is under way afterwards.

    Raises:
        UnknownOperationError: when there is no such operation. RequestError: when this worktree would come to stand on
            a branch on which another one stands.
        InTheWayError: when files that would change were changed and not committed; nothing is changed then.
    """
    repo = workspace.repo
    wanted = find_operation(workspace, name)
    then = repo.log.view(wanted)
    transaction = workspace.transaction()
    own = f"{WORKTREES}{workspace.worktree_id}/"
    kept = (saved_of(workspace.worktree_id), *moving_of(workspace.worktree_id))  # of what was overwritten since
    refs = transaction.view.items(WORKTREES)
    taken = {ref.target for name, ref in refs if not name.startswith(own) and isinstance(ref, Symbolic)}
    left: list[str] = []
    differs = read_state(workspace) is not None
    for ref_name, _, value in transaction.view.differences(then):
        others = ref_name.startswith(WORKTREES) and not ref_name.startswith(own)
        if others or ref_name.startswith(_STAYS) or ref_name in kept:
            continue
        if ref_name in taken:
            left.append(ref_name)
            continue
        if isinstance(value, Symbolic) and value.target in taken:
            refuse_branch_of_other(workspace, value.target)
        differs = True
        if value is None or ref_name == state_of(workspace.worktree_id):
            transaction.delete(ref_name)
        else:
            transaction.set(ref_name, value)
    if not differs:
        return OpRestoreResult(None, wanted, (), tuple(left))
    transaction.delete(state_of(workspace.worktree_id))
    made = checkout(
        workspace,
        _head_tree(workspace, transaction.view),
        _head_tree(workspace, then),
        transaction=transaction,
        verb="op restore",
        description=f"op restore: to {wanted.hex()[:12]} ({repo.log.get(wanted).description})",
    )
    return OpRestoreResult(made, wanted, ref_moves(repo.log, repo.log.get(made)), tuple(left))


def _head_tree(workspace: Workspace, view: View) -> TreeId:
    _, ref = view.resolve(head_of(workspace.worktree_id))
    if ref is None or ref.kind != Kind.COMMIT:
        return trees.empty_tree(workspace.repo.store)
    return workspace.tree_of(CommitId(ref.id))
