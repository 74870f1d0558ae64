"""Bring the working copy from one tree to another together with a change of refs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId, Kind, ObjectId, OperationId, TreeId
from dsvc.objects.trees import edit_tree, empty_tree, lookup
from dsvc.refs.names import added_of, head_of, moving_of, saved_of
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, Symbolic
from dsvc.workspace import Workspace
from dsvc.worktree.drafts import Claims
from dsvc.worktree.index import Index, parents
from dsvc.worktree.names import tells_names_apart
from dsvc.worktree.obstacles import IGNORED, NEW, Obstacle
from dsvc.worktree.plan import Plan, Planner
from dsvc.worktree.recovery import JOURNAL, move_files

FILES = "files"  # the key of an operation's metadata with the trees from which and to which it moved files


def plan_checkout(
    workspace: Workspace,
    base: TreeId,
    target: TreeId,
    *,
    index: Index | None = None,
    paths: Sequence[bytes] = (),
    overwrite: bool = False,
    raw: bool = False,
) -> tuple[Plan, Index]:
    """Return what leads the working copy from `base` to `target`, and the index that it starts from.

    Datasets that are checked out as plain files here are taken as such, unless `raw`. Files of which the content
    was purged are left out, and named in `workspace.left_out`.
    """
    if not raw:
        base, target = workspace.here(base), workspace.here(target)
    index = index if index is not None else workspace.index()
    workspace.local.mkdir(parents=True, exist_ok=True)
    planner = Planner(
        workspace.repo.store,
        workspace.root_bytes,
        index,
        overwrite=overwrite,
        fold_names=not tells_names_apart(workspace.local),
        leaves_out=workspace.leaves_out(),
        erased=workspace.says_erased(),
        datasets=workspace.datasets(),
    )
    plan = planner.plan(base, target, paths=paths)
    if plan.obstacles:
        rules = workspace.ignore_rules()
        plan.obstacles = [
            Obstacle(o.path, IGNORED) if o.reason == NEW and rules.ignored(o.path, is_directory=False) else o
            for o in plan.obstacles
        ]
    workspace.left_out = plan.left_out
    return plan, index


def checkout(
    workspace: Workspace,
    base: TreeId,
    target: TreeId,
    *,
    transaction: Transaction,
    verb: str,
    description: str,
    index: Index | None = None,
    plan: Plan | None = None,
    overwrite: bool = False,
    reverts: OperationId | None = None,
    metadata: Mapping[str, Value] | None = None,
    after: Callable[[Index], None] | None = None,
    untracked: Collection[bytes] = (),
    drafts: Claims | None = None,
    raw: bool = False,
) -> OperationId:
    """Move the files that differ between `base` and `target`, then publish the transaction; both happen or neither.

    `plan` is what `plan_checkout` made of both trees and `index` just now, where that is known already.
    Files that `dsvc add` stored and that `base` does not have are carried along. `after` may change the index before
    it is written. `untracked` files of `target` are new ones afterwards, which no commit
    and no `dsvc add` has taken. `drafts` have large files of `target` that were written already.
    The operation's metadata keep both trees, so that it can be taken back.

    Raises:
        InTheWayError: naming files whose content is not stored; nothing was changed then.
        RefMovedError: when somebody else moved the ref; the files are put back.
    """
    if not raw:
        base, target = workspace.here(base), workspace.here(target)
    if plan is None or index is None:
        plan, index = plan_checkout(workspace, base, target, index=index, overwrite=overwrite, raw=raw)
    new_tree = target if index.tree == base else carried(workspace, index.tree, base, target)
    workspace.keep_names(index.names)
    published: list[OperationId] = []
    keep_index_tree(workspace, transaction, new_tree, untracked=untracked)
    if base != workspace.head_tree():
        transaction.set(saved_of(workspace.worktree_id), Direct(Kind.TREE, ObjectId(base)))
    facts = dict(metadata or {})
    if base != target:
        facts[FILES] = (base, target)

    def publish(token: bytes) -> OperationId:
        act = workspace.act(verb, description, reverts=reverts, metadata={**facts, JOURNAL: token})
        published.append(workspace.publish(transaction, act))
        return published[0]

    if plan.is_empty() and not plan.obstacles:
        publish(b"")
        if plan.settled or index.tree != new_tree or after is not None:
            index.update(plan.settled)
            index.tree = new_tree
            if after is not None:
                after(index)
            workspace.write_index(index)
        return published[0]
    if not plan.obstacles:
        _keep_both(workspace, transaction, index.tree, new_tree, description=description)
    move_files(workspace, workspace.repo.store, index, plan, new_tree=new_tree, publish=publish, drafts=drafts)
    if after is not None:
        index = workspace.index()
        after(index)
        workspace.write_index(index)
    return published[0]


def _keep_both(
    workspace: Workspace, transaction: Transaction, before: TreeId, after: TreeId, *, description: str
) -> None:
    """Let refs keep both trees before the first file is overwritten, in an operation of its own.

    A checkout that is killed is finished or taken back by them, and `before` may hold what nobody committed; gc may
    run from elsewhere in between.
    """
    kept = {workspace.kept_tree()}
    head = transaction.get(head_of(workspace.worktree_id))
    branch = transaction.view.get(head.target) if isinstance(head, Symbolic) else None
    if isinstance(branch, Direct):
        kept.add(workspace.tree_of(CommitId(branch.id)))
    if {before, after} <= kept:
        return
    first = workspace.repo.transaction()
    for name, tree in zip(moving_of(workspace.worktree_id), (before, after), strict=True):
        first.set(name, Direct(Kind.TREE, ObjectId(tree)))
    workspace.publish(first, workspace.act("begin", f"begin of {description}"))


def keep_index_tree(
    workspace: Workspace, transaction: Transaction, tree: TreeId, *, untracked: Collection[bytes] = ()
) -> None:
    """Let the tree that the index will stand for be kept by a ref, where HEAD's commit does not keep it.

    Without `untracked` files: an index that knows them is made to fit when it is read.
    """
    ref = transaction.get(head_of(workspace.worktree_id))
    if isinstance(ref, Symbolic):
        ref = transaction.get(ref.target)
    if isinstance(ref, Direct):
        head_tree = workspace.tree_of(CommitId(ref.id))
    else:
        head_tree = empty_tree(workspace.repo.store)
    if untracked:
        edited = TreeId(edit_tree(workspace.repo.store, tree, dict.fromkeys(untracked)).id)  # type: ignore[arg-type]
        tree = without_empty(workspace, edited, list(untracked), wanted=head_tree)
    name = added_of(workspace.worktree_id)
    if tree == head_tree:
        transaction.delete(name)
    else:
        transaction.set(name, Direct(Kind.TREE, ObjectId(tree)))


def carried(workspace: Workspace, present: TreeId, base: TreeId, target: TreeId) -> TreeId:
    """Return `present` with the changes that lead from `base` to `target`."""
    from dsvc.history.treediff import diff_trees

    store = workspace.repo.store
    changes = {change.path: change.new for change in diff_trees(store, base, target)}
    changed = TreeId(edit_tree(store, present, changes).id)  # type: ignore[arg-type]
    return without_empty(workspace, changed, [path for path, new in changes.items() if new is None], wanted=target)


def without_empty(workspace: Workspace, tree: TreeId, removed: Sequence[bytes], *, wanted: TreeId) -> TreeId:
    """Return a tree without the folders that are empty since these paths were removed, where `wanted` has none."""
    from dsvc.history.treediff import directory_of, is_empty

    store = workspace.repo.store
    for folder in sorted(parents(removed) - {b""}, reverse=True):  # what is below a folder comes before it
        directory = directory_of(lookup(store, tree, folder))
        if directory is not None and is_empty(store, directory) and lookup(store, wanted, folder) is None:
            tree = TreeId(edit_tree(store, tree, {folder: None}).id)  # type: ignore[arg-type]
    return tree
