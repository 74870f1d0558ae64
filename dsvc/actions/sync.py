"""Bring a branch and what it follows to the same state, when nothing has to be merged for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.distance import distance
from dsvc.actions.fetch import FetchResult, fetch
from dsvc.actions.merge import MergeResult, merge
from dsvc.actions.push import PushResult, push
from dsvc.actions.remote_access import choose_remote
from dsvc.actions.state import require_no_state
from dsvc.errors import DivergedError, RequestError
from dsvc.refs.names import short_name
from dsvc.workspace import Workspace


class SyncDivergedError(DivergedError):
    """A branch and what it follows have both gone on, so somebody has to join them."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What was fetched, how the branch moved forward (None: not at all), and what was pushed (None: nothing)."""

    fetched: FetchResult
    merge: MergeResult | None
    pushed: PushResult | None


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
