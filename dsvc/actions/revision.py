"""Resolve revisions as a workspace sees them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dsvc.actions.commit_graph import commit_graph, refresh_graph
from dsvc.history.ancestry import Ancestry
from dsvc.history.revisions import RevisionContext, resolve_commit, resolve_tree
from dsvc.objects.ids import CommitId, TreeId
from dsvc.workspace import Workspace


def revision_context(workspace: Workspace, *, directory: Path | None = None) -> RevisionContext:
    """Return what revisions are resolved against here; `directory` is the current one, for `REV:./path`."""
    repo = workspace.repo
    return RevisionContext(
        view=workspace.view(),
        store=repo.store,
        log=repo.log,
        operation=repo.head.operation,
        worktree=workspace.worktree_id,
        get_commit=repo.walked,
        graph=commit_graph(workspace),
        directory=workspace.repo_path(".", directory) if directory is not None else b"",
        now=workspace.surroundings.now(),
        shallow=bool(repo.cut),
        upstream=lambda branch: _tracking(workspace, branch),
    )


def _tracking(workspace: Workspace, branch: str) -> str | None:
    from dsvc.actions.upstream import read_upstream

    upstream = read_upstream(workspace, branch)
    return upstream.tracking if upstream is not None else None


def ancestry_below(workspace: Workspace, tips: Iterable[CommitId]) -> Ancestry:
    """Return the commits as nodes for walks that lead far down from `tips`; a graph that lacks many is extended."""
    refresh_graph(workspace, tips)
    return Ancestry(workspace.repo.walked, commit_graph(workspace))


def commit_of(workspace: Workspace, text: str) -> CommitId:
    """Return the commit that a revision names.

    Raises:
        UnknownRevisionError, AmbiguousRevisionError: when it names none or several.
    """
    return resolve_commit(revision_context(workspace), text)


def tree_of(workspace: Workspace, text: str) -> TreeId:
    """Return the tree that a revision names; raises what `commit_of` raises."""
    return resolve_tree(revision_context(workspace), text)
