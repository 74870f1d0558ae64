"""How far a branch is from what it follows."""

from __future__ import annotations

from dataclasses import dataclass

from dsvc.actions.revision import ancestry_below
from dsvc.actions.upstream import Upstream, read_upstream
from dsvc.history.mergebase import ahead_behind
from dsvc.refs.names import HEADS
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a branch and its upstream are apart: commits that only the one or only the other has.

    `gone` says that the upstream is not there any more, or was never fetched.
    """

    upstream: Upstream
    ahead: int = 0
    behind: int = 0
    gone: bool = False

    @property
    def shown(self) -> str:
        """How people call the upstream: `origin/main`."""
        return f"{self.upstream.remote}/{self.upstream.branch.removeprefix(HEADS)}"


def distance(workspace: Workspace, branch: str) -> Distance | None:
    """Return how far a branch (full name) is from what it follows, None where it follows nothing."""
    upstream = read_upstream(workspace, branch)
    if upstream is None:
        return None
    view = workspace.view()
    ours = view.commit(branch)
    theirs = view.commit(upstream.tracking) if upstream.tracking is not None else None
    if theirs is None:
        return Distance(upstream, gone=True)
    if ours is None:
        return Distance(upstream)
    ancestry = ancestry_below(workspace, [ours, theirs])
    ahead, behind = ahead_behind(ancestry, ours, theirs)
    return Distance(upstream, ahead, behind)
