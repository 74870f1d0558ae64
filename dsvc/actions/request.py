"""Look at the merge requests of a remote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dsvc.actions.diff import DiffResult, diff
from dsvc.actions.request_access import RequestPlace, open_requests
from dsvc.actions.request_comparison import ComparedRun, compare_sides
from dsvc.actions.revision import ancestry_below
from dsvc.contents.line_merger import line_merger
from dsvc.history.mergebase import merge_bases, only_in
from dsvc.history.mergework import Conflict
from dsvc.history.renames import MINIMUM
from dsvc.objects.ids import CommitId, Kind
from dsvc.refs.names import HEADS
from dsvc.remotes.settings import RemoteSettings
from dsvc.requests.merge_request import MergeRequest, State
from dsvc.requests.outcome import Way, prospect, way_of
from dsvc.requests.standing import Standing
from dsvc.workspace import Workspace

Mergeable = Literal["yes", "fast-forward", "conflicts", "unrelated", "contained", "no target", "no"]


@dataclass(frozen=True, slots=True)
class ListedRequest:
    """A request, and how far it is with its approvals."""

    request: MergeRequest
    standing: Standing


@dataclass(frozen=True, slots=True)
class Preview:
    """What merging a request would come to, or, of a merged one, came to.

    `mergeable` is "contained" where the target has its commits already, and "no" for a request that is not open.
    `commits` are those that the request brings, oldest first, and `diff` what they change against `base`, the commit
    that they and the target have in common.
    """

    mergeable: Mergeable
    target_commit: CommitId | None
    base: CommitId | None
    commits: tuple[CommitId, ...]
    diff: DiffResult
    conflicts: tuple[Conflict, ...] = ()
    way: Way | None = None


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """A request with its standing and preview.

    `name` is the remote's, `enforced` says that a hub sees to approvals.
    `moved_to` is where its branch is now, None where that is the commit of the request or not known. `runs` are the
    runs that its commits name, beside those of the target.
    """

    request: MergeRequest
    standing: Standing
    preview: Preview
    name: str
    enforced: bool
    moved_to: CommitId | None = None
    runs: tuple[ComparedRun, ...] = ()


def request_list(
    workspace: Workspace, settings: RemoteSettings, *, states: Sequence[State] = ("open",)
) -> list[ListedRequest]:
    """Return the requests of a remote that are in one of these states, the newest first.

    Raises:
        RemoteError: when it cannot be reached.
    """
    with open_requests(workspace, settings) as place:
        found = [request for request in place.each() if request.state in states]
        return [ListedRequest(request, place.standing(request)) for request in reversed(found)]


def request_show(workspace: Workspace, settings: RemoteSettings, number: int, *, jobs: int = 8) -> ShownRequest:
    """Return a request with all that was said, and what merging it would come to; its commits are here afterwards.

    Raises:
        UnknownRequestError: when there is no such request. RemoteError: when the remote cannot be reached.
    """
    with open_requests(workspace, settings, jobs=jobs) as place:
        request = place.find(number)
        target = place.bring_commits(request, jobs=jobs)
        made = preview(place, request, target)
        return ShownRequest(
            request,
            place.standing(request),
            made,
            place.settings.shown,
            place.terms is not None,
            _moved_to(place, request),
            tuple(compare_sides(workspace, made.commits, _before(request, target))),
        )


def request_diff(
    workspace: Workspace,
    settings: RemoteSettings,
    number: int,
    *,
    paths: Sequence[bytes] = (),
    minimum: int | None = MINIMUM,
    since: str | None = None,
    jobs: int = 8,
) -> tuple[MergeRequest, DiffResult]:
    """Return what a request changes against the commit that it and its target have in common, or against `since`.

    Raises:
        UnknownRequestError: when there is no such request. RemoteError: when the remote cannot be reached.
    """
    with open_requests(workspace, settings, jobs=jobs) as place:
        request = place.find(number)
        target = place.bring_commits(request, jobs=jobs)
        base = since or (_base(place, request, _before(request, target)) or request.head).hex()
        return request, diff(workspace, [base, request.head.hex()], paths=paths, minimum=minimum)


def preview(place: RequestPlace, request: MergeRequest, target: CommitId | None) -> Preview:
    """Return what merging a request into its target, which is at `target`, comes to; nothing is stored."""
    workspace, head = place.workspace, request.head
    before = _before(request, target)
    base = _base(place, request, before)
    ancestry = ancestry_below(workspace, [c for c in (before, head) if c is not None])
    commits = tuple(only_in(ancestry, head, [before] if before is not None else []))
    changes = diff(workspace, [(base or head).hex(), head.hex()])
    ending = request.ending
    if ending is not None:
        way = None
        result = ending.event.result
        if result is not None and workspace.repo.store.has(result, Kind.COMMIT):
            way = way_of(workspace.repo.commit(result), head=head, result=result)
        return Preview("no", target, base, commits, changes, way=way)
    if target is None:
        return Preview("no target", None, base, commits, changes)
    store = workspace.repo.store
    try:
        found = prospect(line_merger(store, ancestry), target, head)
    finally:
        store.abandon()
    conflicts = found.merge.conflicts if found.merge is not None else ()
    mergeable: Mergeable = "yes"
    if found.merged:
        mergeable = "contained"
    elif found.merge is None:
        mergeable = "unrelated"
    elif conflicts:
        mergeable = "conflicts"
    elif found.forward:
        mergeable = "fast-forward"
    return Preview(mergeable, target, base, commits, changes, conflicts)


def _before(request: MergeRequest, target: CommitId | None) -> CommitId | None:
    """Return the commit of the target to compare with: of a merged request, the one before the merge."""
    ending = request.ending
    return ending.event.base if ending is not None and ending.event.base is not None else target


def _base(place: RequestPlace, request: MergeRequest, target: CommitId | None) -> CommitId | None:
    if target is None or not place.workspace.repo.store.has(target, Kind.COMMIT):
        return None
    found = merge_bases(ancestry_below(place.workspace, [target, request.head]), target, request.head)
    return found[0] if found else None


def _moved_to(place: RequestPlace, request: MergeRequest) -> CommitId | None:
    event = request.opening.event
    if request.state != "open" or not event.source or event.source_url:
        return None
    now = place.target(HEADS + event.source)
    return now if now != request.head else None
