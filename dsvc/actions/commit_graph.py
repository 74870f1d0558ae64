"""The commit graph of a workspace: opened where it is there, brought up to date where a walk would be slow without."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from dsvc.errors import DsvcError
from dsvc.history.changedpaths import UNKNOWN
from dsvc.history.graph import CommitGraph, open_graph
from dsvc.objects.ids import CommitId, Kind
from dsvc.refs.names import HEADS, REMOTES, TAGS
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace

_WORTH_IT = 1000  # commits that the graph does not cover
_IN_PASSING = 500
_LISTED_IN_PASSING = 2000  # a fraction of a second
_TIPS = 100


def graph_path(workspace: Workspace) -> Path:
    """Return where the commit graph lies; one of a shallow clone holds as long as the same commits are left out."""
    cut = workspace.repo.cut
    if not cut:
        return workspace.cache / "commit-graph"
    return workspace.cache / f"commit-graph-{hashlib.blake2b(b''.join(sorted(cut)), digest_size=8).hexdigest()}"


def commit_graph(workspace: Workspace) -> CommitGraph | None:
    """Return the commit graph, or None where there is none that can be used."""
    return open_graph(graph_path(workspace))


def refresh_graph(
    workspace: Workspace, tips: Iterable[CommitId], *, least: int = _WORTH_IT, listed: int | None = 0
) -> bool:
    """Let the graph cover `tips` when at least `least` commits are missing in it; say whether it was written anew.

    `listed` is of how many commits at most to list the changed paths, the newest of which they are not (None: of all);
    that too is done only when `least` of them are waiting. A history with gaps or a folder that cannot be written is no
    error: there is no newer graph then.
    """
    from dsvc.history.graphupdate import paths_changed_in, uncovered, update_graph

    tips = list(tips)
    get_commit, path = workspace.repo.walked, graph_path(workspace)
    with suppress(OSError, DsvcError):
        graph = open_graph(path)
        unlisted = bytes(graph.states).count(UNKNOWN) if listed != 0 and graph is not None else 0
        if unlisted < least and uncovered(graph, get_commit, tips, limit=least) < least:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = paths_changed_in(workspace.repo.store) if listed != 0 else None
        done = update_graph(path, get_commit, tips, changed_paths=changed, max_listed=listed)
        return bool(done.added or done.listed)
    return False


def extend_graph(workspace: Workspace) -> bool:
    """Let the graph follow the branches, in passing: once in some hundred commits, and for a fraction of a second."""
    return refresh_graph(workspace, _some_tips(workspace), least=_IN_PASSING, listed=_LISTED_IN_PASSING)


def complete_graph(workspace: Workspace) -> bool:
    """Let the graph cover everything and list all changed paths, however long that takes."""
    return refresh_graph(workspace, all_tips(workspace), least=1, listed=None)


def _some_tips(workspace: Workspace) -> list[CommitId]:
    """Return the commits of HEAD and of not too many branches."""
    view = workspace.view()
    found = {workspace.head().commit_id: None}
    for _, ref in islice(view.items(HEADS), _TIPS):
        if isinstance(ref, Direct) and ref.kind == Kind.COMMIT:
            found[CommitId(ref.id)] = None
    return [commit_id for commit_id in found if commit_id is not None]


def all_tips(workspace: Workspace, *, prefixes: Iterable[str] = (HEADS, TAGS, REMOTES)) -> list[CommitId]:
    """Return the commits of all branches, tags and remote branches, and of HEAD, each once."""
    view = workspace.view()
    found: dict[CommitId, None] = {}
    prefixes = tuple(prefixes)
    for prefix in prefixes:
        for name, _ in view.items(prefix):
            target = view.resolve(name)[1]
            if target is not None:
                kind, object_id = workspace.repo.peel(target.kind, target.id)
                if kind == Kind.COMMIT:
                    found[CommitId(object_id)] = None
    return list(found)
