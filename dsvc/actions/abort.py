"""Take back a merge, pick or rebase that is under way."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.actions.checkout import carried, without_empty
from dsvc.actions.overwrite import overwrite_working_copy, record_working_copy
from dsvc.actions.state import WorktreeState
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import OperationId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.refs.transaction import Transaction
from dsvc.workspace import Workspace


def go_back(
    workspace: Workspace, state: WorktreeState, *, transaction: Transaction, description: str
) -> OperationId:
    """Put every file that `state`'s verb touched back to what it was, and publish the transaction.

    Files that it did not touch keep what they have, changes from before and new files included. What is overwritten
    is stored for `undo`.
    """
    store = workspace.repo.store
    original = workspace.tree_of(state.original) if state.original is not None else trees.empty_tree(store)
    reached = state.merged if state.merged is not None else workspace.head_tree()
    recorded = record_working_copy(workspace)
    # What was changed before, by chance to what the merge made of it too, stays changed.
    goal = carried(workspace, recorded.tree, reached, _with_aside(workspace, original, reached, state.files_aside))
    # A path in conflict may stand in the merged tree as it was before, and be settled to something else by now.
    before = {path: trees.lookup(store, original, path) for path in state.touched}
    files = {path: entry for path, entry in before.items() if entry is None or entry.kind != EntryKind.TREE}
    for folder in state.folders_aside:
        if trees.lookup(store, goal, folder) is None:
            files[folder] = Entry(EntryKind.TREE, trees.empty_tree(store), 0)
    goal = TreeId(trees.edit_tree(store, goal, files).id)  # type: ignore[arg-type]
    return overwrite_working_copy(
        workspace, goal, transaction=transaction, verb=state.verb, description=description, recorded=recorded
    )


def _with_aside(workspace: Workspace, original: TreeId, reached: TreeId, aside: Sequence[bytes]) -> TreeId:
    """Return `original` in which these paths are as `reached` has them."""
    if not aside:
        return original
    store = workspace.repo.store
    changes = {change.path: change.new for change in diff_trees(store, original, reached, paths=aside)}
    tree = TreeId(trees.edit_tree(store, original, changes).id)  # type: ignore[arg-type]
    return without_empty(workspace, tree, [path for path, new in changes.items() if new is None], wanted=reached)
