"""Check the commits of a request out, to try them or to go on with them."""

from __future__ import annotations

from dataclasses import dataclass

from dsvc.actions.merge import merge
from dsvc.actions.request_access import open_requests
from dsvc.actions.request_open import CHECKED_OUT
from dsvc.actions.revision import ancestry_below
from dsvc.actions.state import require_no_state
from dsvc.actions.switch import switch
from dsvc.errors import DivergedError
from dsvc.history.mergebase import is_ancestor
from dsvc.objects.ids import CommitId
from dsvc.refs.names import HEADS, check_short_name
from dsvc.remotes.settings import RemoteSettings
from dsvc.requests.merge_request import MergeRequest
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """The request, the branch that is checked out now (None: HEAD is detached) and its commit.

    `ahead` says that the branch has commits that the request has not.
    """

    request: MergeRequest
    branch: str | None
    commit_id: CommitId
    created: bool
    ahead: bool = False


def request_checkout(
    workspace: Workspace,
    settings: RemoteSettings,
    number: int,
    *,
    branch: str | None = None,
    detach: bool = False,
    jobs: int = 8,
) -> CheckedOut:
    """Check a request out on a branch of its own, `request/NUMBER` unless it is named, which is moved forward.

    Raises:
        UnknownRequestError: when there is no such request. DivergedError: when the branch has gone another way.
        InTheWayError: when files would be overwritten whose content is not stored. RemoteError.
    """
    require_no_state(workspace)
    name = branch or f"{CHECKED_OUT}{number}"
    full = check_short_name(name, HEADS)
    with open_requests(workspace, settings, jobs=jobs) as place:
        request = place.find(number)
        place.bring_commits(request, jobs=jobs)
    head = request.head
    if detach:
        switch(workspace, head.hex(), detach=True)
        return CheckedOut(request, None, head, created=False)
    now = workspace.view().commit(full)
    if now is None:
        switch(workspace, name, create=True, start=head.hex())
        return CheckedOut(request, name, head, created=True)
    ancestry = ancestry_below(workspace, [now, head])
    if is_ancestor(ancestry, head, now):
        switch(workspace, name)
        return CheckedOut(request, name, now, created=False, ahead=now != head)
    if not is_ancestor(ancestry, now, head):
        raise DivergedError(
            f"branch {name} has commits that request {number} has not",
            hint=f"dsvc request checkout {number} -b NAME makes another branch, "
            f"'dsvc branch -D {name}' deletes this one",
        )
    if workspace.head().branch == full:
        merge(workspace, [head.hex()], fast_forward="only")
    else:
        switch(workspace, name, force_create=True, start=head.hex())
    return CheckedOut(request, name, head, created=False)
