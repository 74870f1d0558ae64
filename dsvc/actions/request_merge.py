"""Merge a request into its target, on the remote, without a working copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsvc.actions.advice import ALL_THE_SAME
from dsvc.actions.delivery import PushRaceError
from dsvc.actions.explained import Explained, explained, keep_correction
from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.request_access import RequestPlace, open_requests
from dsvc.actions.request_runs import bring_runs, run_updates
from dsvc.actions.request_saying import Said, compose, require_open, say
from dsvc.actions.revision import ancestry_below
from dsvc.actions.signing import Sign, Signer, find_signer
from dsvc.contents.line_merger import line_merger
from dsvc.contents.sizes import counted
from dsvc.errors import AnswerNoError, ConflictError, DivergedError, RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.history.mergework import Conflict
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.objects.values import Commit, Person
from dsvc.refs.names import HEADS, REQUESTS, short_name
from dsvc.refs.view import Direct
from dsvc.remotes.settings import RemoteSettings
from dsvc.requests.advice import FILE
from dsvc.requests.merge_request import MergeRequest
from dsvc.requests.outcome import Prospect, Way, prospect
from dsvc.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.actions.corrections import Correction

_ATTEMPTS = 20  # with a target that others move


class ApprovalsMissingError(AnswerNoError):
    """A request has fewer approvals than its target takes."""


class RequestConflictsError(ConflictError):
    """A request cannot be merged by itself."""

    def __init__(self, request: MergeRequest, conflicts: tuple[Conflict, ...], *, remote: str) -> None:
        paths = sorted({conflict.path.decode("utf-8", "backslashreplace") for conflict in conflicts})
        named = ", ".join(paths[:5]) + (", ..." if len(paths) > 5 else "")
        target = short_name(request.target)
        super().__init__(
            f"request {request.number} conflicts with {target} in {named}",
            hint=f"dsvc request checkout {request.number}, dsvc merge {remote}/{target}, settle it and commit, "
            f"then dsvc request update {request.number}",
            details={"paths": paths},
        )
        self.conflicts = conflicts


@dataclass(frozen=True, slots=True)
class _Wish:
    """How somebody wants a request to be merged."""

    way: Way
    message: str | None
    delete_branch: bool
    sign: Sign
    signer: Signer | None


@dataclass(frozen=True, slots=True)
class RequestMerged:
    """What became of a request: how it was merged, and where its target was and is.

    `way` is None where the target had its commits already. `deleted` is its branch, where that went, `correction` the
    record that stands for what the merge made and no run explains.
    """

    said: Said
    request: MergeRequest
    way: Way | None
    base: CommitId
    result: CommitId
    deleted: str | None = None
    correction: Correction | None = None


def request_merge(
    workspace: Workspace,
    settings: RemoteSettings,
    number: int,
    *,
    way: Way = "merge",
    message: str | None = None,
    delete_branch: bool = False,
    sign: Sign = None,
    rules: bool = True,
    jobs: int = 4,
) -> RequestMerged:
    """Merge a request into its target and move that on the remote; nothing is checked out here.

    "merge" makes a commit with both as parents, "squash" one with all its changes, and "fast-forward" only moves the
    target. When somebody else moves the target meanwhile, it is done anew on top of that. `delete_branch` deletes the
    branch that it came from, in the same operation. With `rules` off the project's own rules are not asked. The commit
    names the runs that wrote what it brings, and a correction for the rest, which are known there with it, and so are
    those that the request's commits name.

    Raises:
        RequestConflictsError: when somebody has to settle something first. ApprovalsMissingError. NotOpenError.
        DivergedError: when "fast-forward" is not enough. RemoteError: when the remote refuses.
    """
    workspace.person()
    wish = _Wish(way, message, delete_branch, sign, find_signer(workspace, sign))
    with open_requests(workspace, settings, push=True, rules=rules, jobs=jobs) as place:
        for attempt in range(_ATTEMPTS):
            request = place.find(number)
            require_open(request)
            _require_approvals(place, request)
            base = place.bring_commits(request, jobs=jobs)
            if base is None:
                raise RequestError(
                    f"{place.settings.shown} has no branch {short_name(request.target)} any more",
                    hint=f"dsvc request close {number}",
                )
            try:
                return _merge(place, request, base, wish, jobs=jobs)
            except PushRaceError:
                if attempt == _ATTEMPTS - 1:
                    raise
                place.refresh()
    raise AssertionError


def _merge(place: RequestPlace, request: MergeRequest, base: CommitId, wish: _Wish, *, jobs: int) -> RequestMerged:
    workspace, head = place.workspace, request.head
    ancestry = ancestry_below(workspace, [base, head])
    found = prospect(line_merger(workspace.repo.store, ancestry), base, head)
    updates: list[RefUpdate] = []
    why = Explained()
    done: Way | None = None
    if found.merged:
        before, result = _joined(ancestry, base, head)
    else:
        _require_mergeable(place, request, found, wish.way)
        before, done, result = base, wish.way, head
        runs = bring_runs(place, ancestry, base, head, jobs=jobs)
        if done != "fast-forward":
            result, why = _put_commit(place, request, base, found.tree, wish)
        _keep(place, request, result)
        updates += [_move(place, request.target, base, result), *run_updates(place, [*runs, *why.runs])]
    gone = _deletion(place, request) if wish.delete_branch else None
    if gone is not None:
        updates.append(gone)
    event = compose(place, "merge", request, sign=wish.sign, commit=head, base=before, result=result)
    said = say(place, request.number, event, updates=updates, jobs=jobs)
    if why.correction is not None:  # it is there by now, so that a merge that fails leaves none here
        transaction = workspace.repo.transaction()
        keep_correction(transaction, why.correction)
        workspace.publish(transaction, workspace.act("request", f"request {request.number}: its correction"))
    deleted = short_name(gone.theirs) if gone is not None else None
    return RequestMerged(said, request, done, before, result, deleted, why.correction)


def _require_approvals(place: RequestPlace, request: MergeRequest) -> None:
    """Say early what a hub would say in the end, and elsewhere what the project asks."""
    found, who = place.standing(request), place.workspace.person()
    if not place.advice.may_push(request.target, who):
        raise ApprovalsMissingError(
            f"{FILE} leaves {short_name(request.target)} to others than {who.email}",
            hint=f"ask one of them to merge request {request.number}; {ALL_THE_SAME}",
        )
    if found.enough:
        return
    others = "; ".join(f"the one by {said.name} is {reason}" for said, reason in found.others)
    target, wanted = short_name(request.target), counted(found.wanted, "approval")
    raise ApprovalsMissingError(
        f"request {request.number} has {len(found.counted)} of {wanted} that {target} asks for"
        + (f" ({others})" if others else ""),
        hint=f"somebody else looks at it and types 'dsvc request approve {request.number}'"
        + (f"; {ALL_THE_SAME}" if place.terms is None else ""),
        details={"wanted": found.wanted, "approved": [said.name for said in found.counted]},
    )


def _require_mergeable(place: RequestPlace, request: MergeRequest, found: Prospect, way: Way) -> None:
    number, target = request.number, short_name(request.target)
    if found.merge is None:
        raise RequestError(f"request {number} and {target} have no commit in common")
    if way == "fast-forward" and not found.forward:
        raise DivergedError(
            f"{target} has commits that request {number} has not, so it cannot be fast-forwarded",
            hint=f"dsvc request merge {number} makes a merge commit",
        )
    if found.merge.conflicts:
        raise RequestConflictsError(request, found.merge.conflicts, remote=place.settings.shown)


def _put_commit(
    place: RequestPlace, request: MergeRequest, base: CommitId, tree: TreeId, wish: _Wish
) -> tuple[CommitId, Explained]:
    workspace, head = place.workspace, request.head
    person: Person = workspace.person()
    author = workspace.repo.commit(head).author if wish.way == "squash" else person
    parents = (base,) if wish.way == "squash" else (base, head)
    message = wish.message or _message(place, request, wish.way)
    why = explained(workspace, tree, parents, message)
    made = Commit(tree, parents, author, person, message, runs=why.runs)
    return workspace.repo.put_commit(made if wish.signer is None else wish.signer.commit(made)), why


def _message(place: RequestPlace, request: MergeRequest, way: Way) -> str:
    """Return what a merge says of itself: the request's title and text, and who approved it."""
    subject = request.title if way == "squash" else f"Merge request {request.number}: {request.title}"
    parts = [subject, request.opening.event.text.strip()]
    trailers = [f"Request: {request.number}"] if way == "squash" else []
    trailers += [f"Approved-by: {said.name}" for said in place.standing(request).counted]
    parts.append("\n".join(trailers))
    return "\n\n".join(part for part in parts if part) + "\n"


def _keep(place: RequestPlace, request: MergeRequest, result: CommitId) -> None:
    """Let the merge be stored here before it is sent; the ref goes when the requests are looked at next."""
    workspace = place.workspace
    transaction = workspace.repo.transaction()
    name = f"{place.prefix}{REQUESTS}{request.number}/merging"
    transaction.set(name, Direct(Kind.COMMIT, ObjectId(result)))
    workspace.publish(transaction, workspace.act("fetch", f"request {request.number}: about to merge"))


def _move(place: RequestPlace, target: str, base: CommitId, result: CommitId) -> RefUpdate:
    if target in place.remote.checked_out():
        raise RequestError(
            f"a working copy stands on {short_name(target)} there, and its files would not follow",
            hint=f"merge it there: dsvc request checkout NUMBER, or use a bare repository as {place.settings.shown}",
        )
    old, new = Direct(Kind.COMMIT, ObjectId(base)), Direct(Kind.COMMIT, ObjectId(result))
    return RefUpdate(target, None, old, new, "moved")


def _deletion(place: RequestPlace, request: MergeRequest) -> RefUpdate | None:
    """Return the update that deletes a request's branch, None where it is elsewhere, or has gone on."""
    event = request.opening.event
    name = HEADS + event.source
    now = place.target(name) if event.source and not event.source_url else None
    if now != request.head or name in (place.remote.default_branch(), request.target):
        return None
    return RefUpdate(name, None, Direct(Kind.COMMIT, ObjectId(request.head)), None, "deleted")


def _joined(ancestry: Ancestry, tip: CommitId, head: CommitId) -> tuple[CommitId, CommitId]:
    """Return (before, after) of the step in which the target's own history took `head` in."""
    after = tip
    while True:
        parents = ancestry.commit(ancestry.node(after)).parents
        if not parents:
            return after, after
        if not is_ancestor(ancestry, head, parents[0]):
            return parents[0], after
        after = parents[0]


