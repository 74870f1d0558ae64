"""Ask for a merge, and bring newer commits to what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dsvc.actions.delivery import PushRaceError
from dsvc.actions.request_access import RequestPlace, open_requests
from dsvc.actions.request_saying import Said, compose, require_open, say
from dsvc.actions.revision import ancestry_below, revision_context
from dsvc.actions.signing import Sign
from dsvc.actions.upstream import read_upstream
from dsvc.errors import RequestError
from dsvc.history.mergebase import is_ancestor, merge_bases, only_in
from dsvc.history.revisions import resolve
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import HEADS, check_short_name, short_name
from dsvc.remotes.settings import RemoteSettings, read_remotes
from dsvc.requests.merge_request import MergeRequest
from dsvc.requests.names import newest_number
from dsvc.workspace import Workspace

CHECKED_OUT = "request/"  # what comes before a number in the names of branches that 'request checkout' makes
_ATTEMPTS = 500  # numbers that others may take before us


class NothingToMergeError(RequestError):
    """The target has all commits that a request would bring."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be merged: a commit, and for people the branch, in the repository at `url` where it is another one."""

    commit_id: CommitId
    branch: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class OpenResult:
    """The request that was opened or brought up to date, as it is now; `commits` is how many it asks to merge."""

    said: Said
    title: str
    target: str
    source: Source
    commits: int
    stale: int = 0


def request_open(
    workspace: Workspace,
    settings: RemoteSettings,
    *,
    revision: str | None = None,
    into: str | None = None,
    title: str | None = None,
    text: str = "",
    sign: Sign = None,
    jobs: int = 4,
) -> OpenResult:
    """Ask for a merge of `revision` (the current branch) into a branch of a remote (its default one).

    The commits go to the remote with the request, which keeps them: the branch need not be pushed, and may go. Without
    `title` the request is called as its one commit is, else as its branch.

    Raises:
        RequestError: for a branch that is not there, or an open request for the same. NothingToMergeError.
        RemoteError: when the remote cannot be reached, or refuses.
    """
    workspace.person()
    with open_requests(workspace, settings, push=True, jobs=jobs) as place:
        target = _target(place, into)
        source = _source(workspace, settings, revision, target)
        count = _new_commits(place, target, source)
        for request in place.each():
            if request.state == "open" and request.target == target and request.head == source.commit_id:
                raise RequestError(
                    f"request {request.number} asks for that already", hint=f"dsvc request show {request.number}"
                )
        named, body = _words(workspace, source, count)
        event = compose(
            place,
            "open",
            None,
            sign=sign,
            title=title or named,
            text=text or ("" if title else body),
            target=target,
            commit=source.commit_id,
            source=source.branch,
            source_url=source.url,
        )
        for attempt in range(_ATTEMPTS):
            try:
                said = say(place, newest_number(place.remote.view()) + 1, event, jobs=jobs)
                break
            except PushRaceError:
                if attempt == _ATTEMPTS - 1:
                    raise
                place.remote.repo.refresh()
        return OpenResult(said, event.title, target, source, count)


def request_update(
    workspace: Workspace,
    settings: RemoteSettings,
    number: int | None,
    *,
    revision: str | None = None,
    title: str | None = None,
    text: str = "",
    sign: Sign = None,
    jobs: int = 4,
) -> OpenResult:
    """Bring the commits of `revision` (the current branch) to an open request, or give it another title.

    Without `number` it is the request that was checked out here, or the one open request from this branch. Approvals
    are of the commit that was looked at, so they do not count for the new one.

    Raises:
        RequestError: when nothing would change, or nothing says which request. NotOpenError. RemoteError.
    """
    workspace.person()
    with open_requests(workspace, settings, push=True, jobs=jobs) as place:
        branch = workspace.head().branch
        request = _meant(place, branch) if number is None else place.find(number)
        require_open(request)
        source = _source(workspace, settings, revision, request.target)
        new = source.commit_id if source.commit_id != request.head and (revision or not title) else None
        if new is None and not title:
            raise RequestError(
                f"request {request.number} has commit {request.head.hex()[:10]} already",
                hint=f"commit first, or name what to merge: dsvc request update {request.number} REV",
            )
        if new is not None and revision is None and not _belongs(place, request, branch, new):
            raise RequestError(
                f"{short_name(branch) if branch else 'HEAD'} does not continue request {request.number}",
                hint=f"dsvc request checkout {request.number}, or name the commit: "
                f"dsvc request update {request.number} HEAD",
            )
        count = _new_commits(place, request.target, replace(source, commit_id=new or request.head))
        stale = len(place.standing(request).counted) if new is not None else 0
        event = compose(place, "update", request, sign=sign, title=title or "", text=text, commit=new)
        said = say(place, request.number, event, jobs=jobs)
        return OpenResult(said, title or request.title, request.target, source, count, stale)


def _target(place: RequestPlace, into: str | None) -> str:
    shown = place.settings.shown
    if into is None:
        found = place.remote.default_branch()
        if found is None or place.target(found) is None:
            raise RequestError(f"{shown} has no default branch", hint="dsvc request open --into BRANCH")
        return found
    name = into.removeprefix(f"{place.settings.name}/")
    full = HEADS + name if place.target(check_short_name(name, HEADS)) is not None else HEADS + into
    if place.target(full) is None:
        raise RequestError(f"{shown} has no branch {into}", hint=f"dsvc ls-remote {place.settings.typed}")
    return full


def _source(workspace: Workspace, settings: RemoteSettings, revision: str | None, target: str) -> Source:
    """Return what is to be merged, and where people find it as a branch."""
    resolved = resolve(revision_context(workspace), revision or "HEAD")
    branch = resolved.ref if revision is not None else workspace.head().branch
    kind, commit = workspace.repo.peel(resolved.kind, ObjectId(resolved.id))
    if kind != Kind.COMMIT:
        raise RequestError(f"{revision} is no commit", hint="dsvc request open BRANCH")
    commit_id = CommitId(ObjectId(commit))
    if branch is None or not branch.startswith(HEADS):
        return Source(commit_id)
    followed = read_upstream(workspace, branch)
    if followed is None or (followed.remote == settings.name and followed.branch == target):
        name = short_name(branch)
        return Source(commit_id, "" if branch == target or name.startswith(CHECKED_OUT) else name)
    if followed.remote == settings.name:
        return Source(commit_id, short_name(followed.branch))
    other = read_remotes(workspace.config).get(followed.remote)
    return Source(commit_id, short_name(followed.branch), other.url if other is not None else "")


def _new_commits(place: RequestPlace, target: str, source: Source) -> int:
    """Return how many commits a merge would bring.

    Raises:
        NothingToMergeError: when there is none. RequestError: when the two have nothing in common.
    """
    base = place.bring_target(target)
    assert base is not None, "the target is there"
    workspace, head = place.workspace, source.commit_id
    ancestry = ancestry_below(workspace, [base, head])
    there = f"{place.settings.name}/{short_name(target)}"
    if is_ancestor(ancestry, head, base):
        raise NothingToMergeError(f"{there} has all of that already", hint="commit something first")
    if not merge_bases(ancestry, base, head):
        raise RequestError(f"{there} and {head.hex()[:10]} have no commit in common", hint="dsvc log --graph --all")
    return len(only_in(ancestry, head, [base]))


def _words(workspace: Workspace, source: Source, count: int) -> tuple[str, str]:
    """Return what a request is called where nobody says it."""
    subject, _, body = workspace.repo.commit(source.commit_id).message.partition("\n")
    if count == 1 or not source.branch:
        return subject.strip() or "(no title)", body.strip()
    words = source.branch.rpartition("/")[2].replace("-", " ").replace("_", " ").strip()
    return (words[:1].upper() + words[1:]) or source.branch, ""


def _meant(place: RequestPlace, branch: str | None) -> MergeRequest:
    """Return the request that the current branch belongs to."""
    name = short_name(branch) if branch is not None else ""
    number = name.removeprefix(CHECKED_OUT)
    if name.startswith(CHECKED_OUT) and number.isdecimal():
        return place.find(int(number))
    found = [r for r in place.each() if r.state == "open" and name and r.opening.event.source == name]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(str(r.number) for r in found)
        raise RequestError(f"requests {numbers} are from {name}", hint="dsvc request update NUMBER")
    raise RequestError(f"no open request is from {name or 'here'}", hint="dsvc request list")


def _belongs(place: RequestPlace, request: MergeRequest, branch: str | None, new: CommitId) -> bool:
    """Say whether a branch is where a request comes from, or goes on from what it has."""
    name = short_name(branch) if branch is not None else ""
    if name and name in (request.opening.event.source, f"{CHECKED_OUT}{request.number}"):
        return True
    workspace = place.workspace
    if not workspace.repo.store.has(request.head, Kind.COMMIT):
        return False
    return is_ancestor(ancestry_below(workspace, [new]), request.head, new)


