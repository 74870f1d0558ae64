"""Files that come back into the working copy are new ones again where they were not versioned before."""

from __future__ import annotations

from contextlib import suppress

from dsvc.actions.checkout import without_empty
from dsvc.history.treediff import diff_trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.tree import Entry
from dsvc.objects.trees import edit_tree, empty_tree
from dsvc.refs.names import added_of, head_of
from dsvc.refs.view import Direct, View
from dsvc.workspace import Workspace


def new_since(workspace: Workspace, view: View, tree: TreeId) -> list[bytes]:
    """Return the files of `tree` that were neither committed nor added when refs were as in `view`.

    None where it is not known any more what was.
    """
    store, known = workspace.repo.store, _head_tree(workspace, view)
    added = view.get(added_of(workspace.worktree_id))
    with suppress(ObjectMissingError):
        fresh = {c.path for c in diff_trees(store, known, tree) if c.old is None}
        if fresh and isinstance(added, Direct):
            fresh &= {c.path for c in diff_trees(store, TreeId(ObjectId(added.id)), tree) if c.old is None}
        return sorted(fresh)
    return []


def known_again(workspace: Workspace, tree: TreeId, before: View, after: View) -> TreeId:
    """Return `tree`, which the index stands for, as it is when an operation between two views is taken back.

    The files that it made known are new ones again, and those it made new are known again.
    """
    store = workspace.repo.store
    edits: dict[bytes, Entry | None] = {}
    with suppress(ObjectMissingError):
        for change in diff_trees(store, _known_tree(workspace, before), _known_tree(workspace, after)):
            if change.old is None or change.new is None:
                edits[change.path] = change.old
    if not edits:
        return tree
    edited = TreeId(edit_tree(store, tree, edits).id)  # type: ignore[arg-type]
    gone = [path for path, entry in edits.items() if entry is None]
    return without_empty(workspace, edited, gone, wanted=_head_tree(workspace, before))


def _known_tree(workspace: Workspace, view: View) -> TreeId:
    added = view.get(added_of(workspace.worktree_id))
    return TreeId(ObjectId(added.id)) if isinstance(added, Direct) else _head_tree(workspace, view)


def _head_tree(workspace: Workspace, view: View) -> TreeId:
    _, head = view.resolve(head_of(workspace.worktree_id))
    if head is None or head.kind != Kind.COMMIT:
        return empty_tree(workspace.repo.store)
    return workspace.tree_of(CommitId(head.id))
