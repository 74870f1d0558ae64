"""Bring a git history into the repository of a workspace."""

from __future__ import annotations

import os
from pathlib import Path

from dsvc.actions.state import require_no_state
from dsvc.errors import RequestError
from dsvc.gitbridge.importing import ImportResult, import_git
from dsvc.gitbridge.lfs import LFS_THRESHOLD
from dsvc.gitbridge.refimport import RefMove
from dsvc.objects.ids import CommitId
from dsvc.refs.names import WORKTREES, head_of, short_name
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Symbolic
from dsvc.workspace import Workspace
from dsvc.worktree.known import index_of_tree

MAP = "git-map"  # in the workspace's cache


def git_import(
    workspace: Workspace, source: Path, *, lfs: bool = False, remotes: bool = False, force: bool = False
) -> ImportResult:
    """Bring branches, tags and commits from the git repository at `source`; one operation, and again what is new.

    When the current branch moves, the working copy goes along under the rules of a checkout. Where `source` is the
    very folder of the working copy its files stay as they are, for they are git's already.

    Raises:
        What `import_git` and `checkout` raise; RequestError when another worktree stands on a branch that moves.
        Nothing is published then.
    """

    def publish(transaction: Transaction, moved: list[RefMove], pointed: str | None) -> None:
        head = workspace.head()
        own = head_of(workspace.worktree_id)
        transaction.require(own)
        _refuse_branches_of_others(workspace, moved)
        branch = pointed or head.branch
        new = next((CommitId(move.new.id) for move in moved if move.name == branch), None)
        description = f"git import: {source}"
        if new is None:
            if pointed is not None:
                new = workspace.view().commit(pointed)
            if new is None:
                workspace.publish(transaction, workspace.act("git import", description))
                return
        require_no_state(workspace)
        goal = workspace.tree_of(new)
        if _is_same_folder(source, workspace.root):
            workspace.publish(transaction, workspace.act("git import", description))
            workspace.write_index(index_of_tree(workspace.repo.store, goal))
        else:
            from dsvc.actions.checkout import checkout

            checkout(
                workspace,
                workspace.head_tree(),
                goal,
                transaction=transaction,
                verb="git import",
                description=description,
            )

    return import_git(
        workspace.repo,
        source,
        publish=publish,
        map_path=workspace.cache / MAP,
        head=head_of(workspace.worktree_id),
        lfs=lfs,
        remotes=remotes,
        force=force,
        lfs_threshold=threshold_of(workspace),
        progress=workspace.progress,
    )


def threshold_of(workspace: Workspace) -> int:
    """Return above how many bytes an export keeps new files as LFS pointers."""
    configured = workspace.config.get_size("git.lfsThreshold")
    return LFS_THRESHOLD if configured is None else configured


def _is_same_folder(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _refuse_branches_of_others(workspace: Workspace, moved: list[RefMove]) -> None:
    """Refuse to move a branch under the feet of another worktree."""
    own = head_of(workspace.worktree_id)
    names = {move.name for move in moved if move.old is not None}
    for name, ref in workspace.view().items(WORKTREES):
        if name != own and name.endswith("/HEAD") and isinstance(ref, Symbolic) and ref.target in names:
            raise RequestError(
                f"branch {short_name(ref.target)} would move, and worktree {name.split('/')[1]} stands on it",
                hint="run dsvc git import there, or let that worktree stand on another branch first",
            )
