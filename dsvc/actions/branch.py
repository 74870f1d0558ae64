"""List, make, move, rename and delete branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsvc.actions.refs import RefExistsError, RefInfo, check_free, list_refs, worktrees_on
from dsvc.actions.revision import revision_context
from dsvc.actions.state import read_state
from dsvc.actions.switch import follow
from dsvc.actions.upstream import read_upstream, set_upstream, unset_upstream
from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.history.revisions import UnknownRevisionError, resolve, resolve_commit
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import HEADS, REMOTES, check_short_name, head_of, short_name
from dsvc.refs.view import Direct, Symbolic, View
from dsvc.workspace import HeadState, Workspace


class BranchesResult(NamedTuple):
    """All branches, where this worktree stands, and the branches on which other worktrees do (by full name)."""

    branches: tuple[RefInfo, ...]
    head: HeadState
    elsewhere: dict[str, str]


class BranchResult(NamedTuple):
    """A branch that was made, moved, renamed or deleted: full name, commit, and what it was before."""

    name: str
    commit_id: CommitId | None
    old_name: str | None = None
    old_commit: CommitId | None = None


class UnmergedBranchError(RequestError):
    """A branch has commits that would be hard to find again without it."""


def list_branches(workspace: Workspace, *, local: bool = True, remote: bool = False) -> BranchesResult:
    """Return the branches in order of names, those of remotes last."""
    view = workspace.view()
    prefixes = [prefix for prefix, wanted in ((HEADS, local), (REMOTES, remote)) if wanted]
    branches = tuple(ref for prefix in prefixes for ref in list_refs(workspace, prefix, view=view))
    own = head_of(workspace.worktree_id)
    elsewhere = {
        ref.target: name.split("/")[1]
        for name, ref in view.items("worktrees/")
        if name.endswith("/HEAD") and name != own and isinstance(ref, Symbolic)
    }
    return BranchesResult(branches, workspace.head(), elsewhere)


def create_branch(workspace: Workspace, name: str, *, start: str = "HEAD", force: bool = False) -> BranchResult:
    """Make a branch at a commit; with `force` one that exists is moved there.

    Raises:
        BadRefNameError, RefExistsError, UnknownRevisionError. RequestError: for a branch that is checked out.
    """
    full = check_short_name(name, HEADS)
    view = workspace.view()
    before = view.commit(full)
    if view.get(full) is not None and not force:
        raise RefExistsError(
            f"there is already a branch {name}",
            hint=f"go to it with 'dsvc switch {name}', or move it with 'dsvc branch -f {name} {start}'",
        )
    if view.get(full) is None:
        check_free(view, full)
    else:
        _refuse_checked_out(view, full, f"branch {name} cannot be moved", workspace)
    commit_id = resolve_commit(revision_context(workspace), start)
    transaction = workspace.transaction()
    transaction.set(full, Direct(Kind.COMMIT, ObjectId(commit_id)))
    verb = "Reset to" if before is not None else "Created from"
    workspace.publish(transaction, workspace.act("branch", f"branch: {verb} {start}"))
    follow(workspace, full, start)
    return BranchResult(full, commit_id, old_commit=before)


def delete_branches(
    workspace: Workspace, names: Sequence[str], *, force: bool = False, remote: bool = False
) -> list[BranchResult]:
    """Delete branches: all of them or, when one may not be deleted, none. `undo` brings them back.

    Raises:
        UnknownRevisionError: when there is no such branch. RequestError: when a worktree stands on it.
        UnmergedBranchError: when HEAD does not contain it and `force` is not set.
    """
    view = workspace.view()
    prefix = REMOTES if remote else HEADS
    head = workspace.head()
    ancestry = revision_context(workspace).ancestry()
    transaction = workspace.transaction()
    deleted: list[BranchResult] = []
    for name in dict.fromkeys(names):
        full = _existing(workspace, view, name, prefix)
        if not remote:
            _refuse_checked_out(view, full, f"branch {name} cannot be deleted", workspace)
        commit_id = view.commit(full)
        if not force and not remote and commit_id is not None:
            _refuse_unmerged(ancestry, name, commit_id, head)
        transaction.delete(full)
        deleted.append(BranchResult(full, None, old_commit=commit_id))
    listed = ", ".join(short_name(branch.name) for branch in deleted)
    workspace.publish(transaction, workspace.act("branch", f"branch: deleted {listed}"))
    for branch in deleted if workspace.config.section("branch") else ():
        unset_upstream(workspace, branch.name)
    return deleted


def rename_branch(workspace: Workspace, old: str | None, new: str, *, force: bool = False) -> BranchResult:
    """Give a branch (None: the current one) another name; worktrees that stand on it stay on it.

    Raises:
        UnknownRevisionError: when there is no such branch. RefExistsError: when the new name is taken, unless `force`.
    """
    view = workspace.view()
    head = workspace.head()
    old_full = _current_or(workspace, view, old, head)
    new_full = check_short_name(new, HEADS)
    commit_id = view.commit(old_full)
    if old_full == new_full:
        return BranchResult(new_full, commit_id, old_name=old_full)
    transaction = workspace.transaction()
    _take_name(workspace, view.changed({old_full: None}), new_full, force=force)
    if commit_id is not None:
        transaction.delete(old_full)
        transaction.set(new_full, Direct(Kind.COMMIT, ObjectId(commit_id)))
    for worktree in worktrees_on(view, old_full):
        transaction.set(head_of(worktree), Symbolic(new_full))
    description = f"branch: renamed {short_name(old_full)} to {new}"
    workspace.publish(transaction, workspace.act("branch", description))
    followed = read_upstream(workspace, old_full)
    if followed is not None:
        unset_upstream(workspace, old_full)
        set_upstream(workspace, new_full, remote=followed.remote, branch_there=followed.branch)
    return BranchResult(new_full, commit_id, old_name=old_full)


def copy_branch(workspace: Workspace, old: str | None, new: str, *, force: bool = False) -> BranchResult:
    """Make a branch at the commit of another one (None: the current one); raises what `rename_branch` raises."""
    view = workspace.view()
    old_full = _current_or(workspace, view, old, workspace.head())
    new_full = check_short_name(new, HEADS)
    _take_name(workspace, view, new_full, force=force)
    commit_id = view.commit(old_full)
    if commit_id is None:
        raise UnknownRevisionError(f"branch {short_name(old_full)} has no commits yet", hint="dsvc commit -m MESSAGE")
    transaction = workspace.transaction()
    transaction.set(new_full, Direct(Kind.COMMIT, ObjectId(commit_id)))
    description = f"branch: copied {short_name(old_full)} to {new}"
    workspace.publish(transaction, workspace.act("branch", description))
    followed = read_upstream(workspace, old_full)
    if followed is not None:
        set_upstream(workspace, new_full, remote=followed.remote, branch_there=followed.branch)
    return BranchResult(new_full, commit_id, old_name=old_full)


def _current_or(workspace: Workspace, view: View, name: str | None, head: HeadState) -> str:
    if name is not None:
        return _existing(workspace, view, name, HEADS)
    if head.branch is None:
        raise RequestError("HEAD is detached, so there is no current branch", hint="name the branch")
    return head.branch


def _existing(workspace: Workspace, view: View, name: str, prefix: str) -> str:
    full = prefix + name
    if view.get(full) is not None or workspace.head().branch == full:
        return full
    if name.startswith("@{-"):
        previous = resolve(revision_context(workspace), name).ref
        if previous is not None:
            return previous
    from difflib import get_close_matches

    names = [short_name(other) for other, _ in view.items(prefix)]
    similar = get_close_matches(name, names, n=3)
    raise UnknownRevisionError(
        f"there is no branch {name}",
        hint=f"did you mean {' or '.join(similar)}?" if similar else "dsvc branch -a",
        details={"similar": similar},
    )


def _take_name(workspace: Workspace, view: View, full: str, *, force: bool) -> None:
    """Refuse a name that is taken, or with `force` one on which somebody stands."""
    if view.get(full) is None:
        check_free(view, full)
    elif not force:
        name = short_name(full)
        raise RefExistsError(f"there is already a branch {name}", hint="-M, or -f, overwrites it")
    else:
        _refuse_checked_out(view, full, f"branch {short_name(full)} cannot be overwritten", workspace)


def _refuse_checked_out(view: View, full: str, what: str, workspace: Workspace) -> None:
    for worktree in worktrees_on(view, full):
        if worktree == workspace.worktree_id:
            raise RequestError(f"{what}: this working copy stands on it", hint="dsvc switch OTHER")
        raise RequestError(f"{what}: worktree {worktree} stands on it", hint="dsvc worktree list")
    state = read_state(workspace)
    if state is not None and state.extra.get("branch") == full:
        raise RequestError(f"{what}: a {state.verb} is under way on it", hint=f"dsvc {state.verb} --abort")


def _refuse_unmerged(ancestry: Ancestry, name: str, commit_id: CommitId, head: HeadState) -> None:
    if head.commit_id is not None and is_ancestor(ancestry, commit_id, head.commit_id):
        return
    raise UnmergedBranchError(
        f"branch {name} has commits that HEAD does not contain",
        hint=f"bring them in with 'dsvc merge {name}', or delete it all the same with 'dsvc branch -D {name}'",
        details={"branch": name, "commit": commit_id.hex()},
    )
