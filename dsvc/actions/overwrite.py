"""Overwrite files of the working copy on purpose, after storing what they hold, so that undo can bring it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsvc.actions.checkout import checkout
from dsvc.objects.codec import Value
from dsvc.objects.ids import Kind, ObjectId, OperationId, TreeId
from dsvc.refs.names import saved_of
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace
from dsvc.worktree.index import Index
from dsvc.worktree.plan import Plan
from dsvc.worktree.record import Recorded, Recorder


def record_working_copy(
    workspace: Workspace, *, paths: Sequence[bytes] = (), known_only: bool = True, index: Index | None = None
) -> Recorded:
    """Store what is in the working copy now; with `known_only` without files that nobody committed or added."""
    recorder = Recorder(
        workspace.repo.store,
        workspace.root_bytes,
        index if index is not None else workspace.index(),
        workspace.ignore_rules(),
        stamp=workspace.clock(),
        paths=paths,
        datasets=workspace.datasets(),
        known_only=known_only,
    )
    return recorder.run()


def overwrite_working_copy(
    workspace: Workspace,
    goal: TreeId,
    *,
    transaction: Transaction,
    verb: str,
    description: str,
    recorded: Recorded | None = None,
    metadata: Mapping[str, Value] | None = None,
) -> OperationId:
    """Make every known file as `goal` has it and publish the transaction; the old content is kept for `undo`.

    Files that nobody committed or added stay; where one stands in the way its content is stored too.

    Raises:
        InTheWayError: for folders in the way that hold files which are not stored.
    """
    from dsvc.actions.checkout import plan_checkout

    recorded = recorded if recorded is not None else record_working_copy(workspace)
    plan: Plan | None
    plan, _ = plan_checkout(workspace, recorded.tree, goal, index=recorded.index)
    in_the_way = [o.path for o in plan.obstacles]
    if in_the_way:
        plan = None
        recorded = record_working_copy(workspace, paths=in_the_way, known_only=False, index=recorded.index)
    transaction.set(saved_of(workspace.worktree_id), Direct(Kind.TREE, ObjectId(recorded.tree)))
    return checkout(
        workspace,
        recorded.tree,
        goal,
        transaction=transaction,
        verb=verb,
        description=description,
        index=recorded.index,
        plan=plan,
        metadata=metadata,
    )
