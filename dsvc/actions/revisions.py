"""What revisions mean in a workspace."""

from __future__ import annotations

from pathlib import Path

from dsvc.errors import RequestError
from dsvc.history.revisions import RevisionContext, resolve_commit
from dsvc.objects.ids import CommitId
from dsvc.workspace import Workspace


def revision_context(workspace: Workspace, *, directory: Path | None = None) -> RevisionContext:
    """Return what revisions are resolved against: the refs as they are now, and the current folder for `REV:./path`."""
    inside = b""
    if directory is not None:
        try:
            inside = workspace.repo_path(".", directory)
        except RequestError:
            inside = b""  # called from outside of the working copy: paths begin at its root
    repo = workspace.repo
    return RevisionContext(
        view=workspace.view(),
        store=repo.store,
        log=repo.log,
        operation=repo.head.operation,
        worktree=workspace.worktree_id,
        get_commit=repo.commit,
        directory=inside,
        now=workspace.surroundings.now(),
    )


def find_commit(workspace: Workspace, revision: str) -> CommitId:
    """Return the commit that a revision names; raises what `resolve_commit` raises."""
    return resolve_commit(revision_context(workspace), revision)
