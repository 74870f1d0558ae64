"""Comment on a merge request, approve it, close it, open it again."""

from __future__ import annotations

from dsvc.actions.request_access import RequestPlace, open_requests
from dsvc.actions.request_saying import NotOpenError, Said, compose, require_open, say
from dsvc.actions.revision import revision_context
from dsvc.actions.signing import Sign
from dsvc.errors import RequestError
from dsvc.history.revisions import resolve_commit
from dsvc.objects.ids import CommitId
from dsvc.remotes.settings import RemoteSettings
from dsvc.requests.merge_request import MergeRequest
from dsvc.workspace import Workspace


class NotLookedAtError(RequestError):
    """What would be approved was not looked at here."""


def request_comment(
    workspace: Workspace, settings: RemoteSettings, number: int, text: str, *, sign: Sign = None
) -> Said:
    """Say something about a request, whatever its state.

    Raises:
        UnknownRequestError: when there is no such request. RemoteError: when the remote refuses.
    """
    with open_requests(workspace, settings, push=True) as place:
        request = place.find(number)
        return say(place, number, compose(place, "comment", request, sign=sign, text=text))


def request_approve(
    workspace: Workspace,
    settings: RemoteSettings,
    number: int,
    *,
    commit: str | None = None,
    text: str = "",
    sign: Sign = None,
) -> Said:
    """Approve the commit that a request asks to merge, and no other one that may come later.

    It has to have been looked at here, or to be named by `commit`. Where a hub asks for signed approvals, it is signed.

    Raises:
        NotLookedAtError: when it has not. NotOpenError: for a request that is merged or closed. RequestError: for one's
        own commits. RemoteError: when the remote refuses.
    """
    workspace.person()
    with open_requests(workspace, settings, push=True) as place:
        request = place.find(number)
        require_open(request)
        if any(place.is_mine(r) for r in (request.opening, *request.versions) if r.who in request.authors()):
            raise RequestError(
                f"request {number} asks for a merge of your own commits, which somebody else has to approve",
                hint="dsvc request comment says something about it",
            )
        _require_same(place, request, commit)
        wanted = place.terms is not None and place.terms.signed(request.target)
        chosen = True if sign is None and wanted else sign
        return say(place, number, compose(place, "approve", request, sign=chosen, text=text, commit=request.head))


def request_withdraw(
    workspace: Workspace, settings: RemoteSettings, number: int, *, text: str = "", sign: Sign = None
) -> Said:
    """Take back one's approval of a request.

    Raises:
        RequestError: when there is none. RemoteError: when the remote refuses.
    """
    with open_requests(workspace, settings, push=True) as place:
        request = place.find(number)
        if not any(place.is_mine(approval.said) for approval in request.approvals()):
            raise RequestError(f"you have not approved request {number}", hint=f"dsvc request show {number}")
        return say(place, number, compose(place, "withdraw", request, sign=sign, text=text))


def request_close(
    workspace: Workspace, settings: RemoteSettings, number: int, *, text: str = "", sign: Sign = None
) -> Said:
    """Close a request without merging it; what was said stays, and so do its commits.

    Raises:
        NotOpenError: when it is not open. RemoteError: when the remote refuses.
    """
    with open_requests(workspace, settings, push=True) as place:
        request = place.find(number)
        if request.state != "open":
            raise NotOpenError(f"request {number} is {request.state} already", hint=f"dsvc request show {number}")
        return say(place, number, compose(place, "close", request, sign=sign, text=text))


def request_reopen(
    workspace: Workspace, settings: RemoteSettings, number: int, *, text: str = "", sign: Sign = None
) -> Said:
    """Open a closed request again.

    Raises:
        NotOpenError: when it is not closed. RemoteError: when the remote refuses.
    """
    with open_requests(workspace, settings, push=True) as place:
        request = place.find(number)
        if request.state != "closed":
            raise NotOpenError(f"request {number} is {request.state}", hint=f"dsvc request show {number}")
        return say(place, number, compose(place, "reopen", request, sign=sign, text=text))


def _require_same(place: RequestPlace, request: MergeRequest, commit: str | None) -> None:
    """Refuse to approve what nobody has looked at here."""
    short, number = request.head.hex()[:10], request.number
    if commit is None:
        if not place.has_seen(request):
            raise NotLookedAtError(
                f"commit {short} of request {number} was not looked at here",
                hint=f"dsvc request show {number} (or diff, or checkout), then approve it",
            )
        return
    if request.head.hex().startswith(commit.lower()) and len(commit) >= 4:
        return
    named: CommitId = resolve_commit(revision_context(place.workspace), commit)
    if named != request.head:
        raise NotLookedAtError(
            f"request {number} asks to merge commit {short}, not {named.hex()[:10]}",
            hint=f"dsvc request show {number}",
        )
