"""Bring a branch and what it follows to the same state, when nothing has to be merged for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.distance import distance
from dsvc.actions.fetch import FetchResult, fetch
from dsvc.actions.merge import MergeResult, merge
from dsvc.actions.parent import UPSTREAM, find_parent
from dsvc.actions.push import PushResult, push
from dsvc.actions.remote_access import choose_remote
from dsvc.actions.revision import ancestry_below
from dsvc.actions.state import require_no_state
from dsvc.errors import DivergedError, RequestError
from dsvc.history.mergebase import ahead_behind
from dsvc.refs.names import REMOTES, short_name
from dsvc.workspace import Workspace


class SyncDivergedError(DivergedError):
    """A branch and what it follows have both gone on, so somebody has to join them."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What was fetched, how the branch moved forward (None: not at all), and what was pushed (None: nothing)."""

    fetched: FetchResult
    merge: MergeResult | None
    pushed: PushResult | None


def sync_from(
    workspace: Workspace,
    source: str,
    *,
    push_too: bool = False,
    prune: bool = False,
    jobs: int = 8,
) -> SyncResult:
    """Fetch from the remote `source`; move the current branch forward to the one of its name there; push it if asked.

    `upstream` is what this repository's remote was forked from, also when no remote is called so yet. Nothing is ever
    merged.

    Raises:
        SyncDivergedError: when both sides have commits that the other has not; what was fetched stays.
        What `find_parent`, `fetch`, `merge` and `push` raise.
    """
    require_no_state(workspace)
    head = workspace.head()
    if head.branch is None:
        raise RequestError("HEAD is on no branch", hint="dsvc switch BRANCH")
    settings = find_parent(workspace) if source == UPSTREAM else choose_remote(workspace, source)
    if settings.name is None:
        raise RequestError(f"{source} is no remote of this repository", hint="dsvc remote add NAME ADDRESS")
    fetched = fetch(workspace, settings, prune=prune, jobs=jobs)
    shown = f"{settings.name}/{short_name(head.branch)}"
    theirs = workspace.view().commit(f"{REMOTES}{shown}")
    if theirs is None:
        raise RequestError(
            f"{settings.name} has no branch {short_name(head.branch)}", hint="dsvc branch -r lists what it has"
        )
    merged = None
    ahead, behind = 0, 1
    if head.commit_id is not None:
        ancestry = ancestry_below(workspace, [head.commit_id, theirs])
        ahead, behind = ahead_behind(ancestry, head.commit_id, theirs)
    if behind:
        if ahead:
            raise SyncDivergedError(
                f"{short_name(head.branch)} and {shown} have both gone on, by {ahead} and {behind}",
                hint=f"dsvc merge {shown} joins them",
                details={"ahead": ahead, "behind": behind},
            )
        merged = merge(workspace, [shown], fast_forward="only")
    pushed = push(workspace, choose_remote(workspace, None)) if push_too else None
    return SyncResult(fetched, merged, pushed)


def sync(
    workspace: Workspace,
    remote: str | None = None,
    *,
    prune: bool = False,
    directory: Path | None = None,
    jobs: int = 8,
) -> SyncResult:
    """Fetch; move the current branch forward to what it follows; push it when it is ahead. Nothing is ever merged.

    A branch that follows nothing is pushed to one of its name, and follows that from then on.

    Raises:
        SyncDivergedError: when both sides have commits that the other has not; what was fetched stays.
        What `fetch`, `merge` and `push` raise.
    """
    require_no_state(workspace)
    head = workspace.head()
    if head.branch is None:
        raise RequestError("HEAD is on no branch", hint="dsvc switch BRANCH")
    settings = choose_remote(workspace, remote, directory=directory)
    fetched = fetch(workspace, settings, prune=prune, jobs=jobs)
    apart = distance(workspace, head.branch)
    if apart is not None and apart.upstream.remote != settings.name:
        hint = f"dsvc sync {apart.upstream.remote}"
        raise RequestError(f"{short_name(head.branch)} follows {apart.shown}", hint=hint)
    merged = None
    if apart is not None and not apart.gone and apart.behind:
        if apart.ahead:
            raise SyncDivergedError(
                f"{short_name(head.branch)} and {apart.shown} have both gone on, by {apart.ahead} and {apart.behind}",
                hint="dsvc pull joins them, then sync again",
                details={"ahead": apart.ahead, "behind": apart.behind},
            )
        merged = merge(workspace, [apart.shown], fast_forward="only")
    pushed = None
    if head.commit_id is not None and (apart is None or apart.gone or apart.ahead):
        pushed = push(workspace, settings)
    return SyncResult(fetched, merged, pushed)
