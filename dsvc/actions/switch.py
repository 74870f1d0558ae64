"""Go to another branch or commit."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.actions.checkout import checkout
from dsvc.actions.hooks import run_hook
from dsvc.actions.revision import commit_of, revision_context
from dsvc.actions.state import require_no_state
from dsvc.errors import RequestError
from dsvc.history.revisions import find_ref, resolve
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import HEADS, REMOTES, check_short_name, head_of, short_name
from dsvc.refs.view import Direct, Symbolic
from dsvc.workspace import Workspace


class SwitchResult(NamedTuple):
    """Where the worktree stood and stands: full branch name (None: detached) and commit (None: none yet).

    `moved_from` is where the branch was, when it existed and was moved.
    """

    old_branch: str | None
    old_commit: CommitId | None
    branch: str | None
    commit_id: CommitId | None
    created: bool
    moved_from: CommitId | None = None


def switch(
    workspace: Workspace,
    target: str,
    *,
    create: bool = False,
    start: str | None = None,
    detach: bool = False,
    force: bool = False,
    force_create: bool = False,
    map_names: bool = False,
    run_hooks: bool = True,
) -> SwitchResult:
    """Make `target` the current branch, or with `detach` stand at a commit without a branch.

    Only files that differ between the two trees are looked at. Changes that are not committed are kept where the
    files they are in do not differ. `force` overwrites them, after storing what they hold for `undo`. `map_names` lets
    names that this disk does not tell apart get other ones, here and from now on (dsvc.worktree.name_map).

    Raises:
        InTheWayError: when files would be overwritten whose content is not stored; nothing is changed then.
        UnknownRevisionError: when there is no such branch or commit. OperationUnderWayError: in the middle of a merge.
    """
    require_no_state(workspace)
    head = workspace.head()
    view = workspace.view()
    transaction = workspace.transaction()
    branch: str | None = None
    created = create or force_create
    moved_from: CommitId | None = None
    if target.startswith("@{-") and not created and not detach:
        left = resolve(revision_context(workspace), target).ref
        if left is not None and left.startswith(HEADS):
            target = short_name(left)
        else:
            detach = True  # that was no branch either
    if created:
        branch = check_short_name(target, HEADS)
        if view.get(branch) is not None and not force_create:
            raise RequestError(f"there is already a branch {target}", hint=f"dsvc switch {target}")
        moved_from = view.commit(branch) if view.get(branch) is not None else None
        commit_id = commit_of(workspace, start) if start is not None else head.commit_id
        if commit_id is not None:
            transaction.set(branch, Direct(Kind.COMMIT, ObjectId(commit_id)))
    elif not detach and view.get(HEADS + target) is not None:
        branch = HEADS + target
        commit_id = view.commit(branch)
    elif not detach and (followed := branch_of_remotes(workspace, target)) is not None:
        branch, created, start = HEADS + target, True, followed
        commit_id = view.commit(followed)
        if commit_id is not None:
            transaction.set(branch, Direct(Kind.COMMIT, ObjectId(commit_id)))
    elif not detach and head.branch == HEADS + target and head.commit_id is None:
        branch, commit_id = head.branch, None
    else:
        commit_id = commit_of(workspace, target)
        if not detach:
            raise RequestError(
                f"{target!r} is no branch",
                hint=f"dsvc switch --detach {target} stands at that commit without a branch; "
                f"dsvc switch -c NAME {target} makes a branch there",
            )
    if branch is not None:
        refuse_branch_of_other(workspace, branch)
        transaction.set(head_of(workspace.worktree_id), Symbolic(branch))
    elif commit_id is not None:
        transaction.set(head_of(workspace.worktree_id), Direct(Kind.COMMIT, ObjectId(commit_id)))
    base = workspace.head_tree()
    goal = workspace.tree_of(commit_id) if commit_id is not None else trees.empty_tree(workspace.repo.store)
    here = short_name(head.branch) if head.branch else (head.commit_id.hex()[:12] if head.commit_id else "nothing")
    there = short_name(branch) if branch else (commit_id.hex()[:12] if commit_id else "nothing")
    description = f"switch: moving from {here} to {there}"
    if map_names:
        workspace.map_names()
    if force:
        from dsvc.actions.overwrite import overwrite_working_copy

        overwrite_working_copy(workspace, goal, transaction=transaction, verb="switch", description=description)
    else:
        checkout(workspace, base, goal, transaction=transaction, verb="switch", description=description)
    if created and branch is not None and start is not None:
        follow(workspace, branch, start)
    if run_hooks:
        run_hook(workspace, "post-switch", arguments=(here, there))
    return SwitchResult(head.branch, head.commit_id, branch, commit_id, created and moved_from is None, moved_from)


def branch_of_remotes(workspace: Workspace, name: str) -> str | None:
    """Return the one branch of a remote that has this name; None where there is none, and where there are several."""
    remotes = {ref.removeprefix(REMOTES).partition("/")[0] for ref, _ in workspace.view().items(REMOTES)}
    found = [f"{REMOTES}{remote}/{name}" for remote in sorted(remotes)]
    found = [ref for ref in found if name != "HEAD" and workspace.view().get(ref) is not None]
    return found[0] if len(found) == 1 else None


def follow(workspace: Workspace, branch: str, start: str) -> None:
    """Let a new branch (full name) follow what it began from, when that is a branch of a remote."""
    name = find_ref(workspace.view(), start, workspace.worktree_id)
    if name is None or not name.startswith(REMOTES):
        return
    from dsvc.actions.upstream import set_upstream, tracked_by

    found = tracked_by(workspace.config, name)
    if found is not None:
        set_upstream(workspace, branch, remote=found[0], branch_there=found[1])


def refuse_branch_of_other(workspace: Workspace, branch: str, *, everywhere: bool = False) -> None:
    """Refuse a branch that another worktree stands on: a commit there would move it under this one's feet.

    `everywhere` refuses one that this worktree stands on too.
    """
    own = head_of(workspace.worktree_id) if not everywhere else None
    for name, ref in workspace.view().items("worktrees/"):
        if name != own and name.endswith("/HEAD") and ref == Symbolic(branch):
            other = name.split("/")[1]
            raise RequestError(
                f"branch {short_name(branch)} is checked out in worktree {other}",
                hint=f"dsvc switch --detach {short_name(branch)}, or make a branch of your own: dsvc switch -c NAME",
            )
