"""Check what a push does to merge requests, and that protected refs get what was approved and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dsvc.contents.line_merger import line_merger
from dsvc.errors import IntegrityError
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.hub.accounts import Account
from dsvc.hub.rules import Protection, Rules, may
from dsvc.hub.visitor import HubRefusedError, Visitor
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import HEADS, REQUESTS, short_name
from dsvc.refs.view import Direct, View
from dsvc.remotes.wire.publish import RefChange
from dsvc.repo.repository import Repository
from dsvc.requests.event import Event, decode_event, encode_event
from dsvc.requests.merge_request import MergeRequest, Recorded, read_request
from dsvc.requests.names import RequestRef, commit_name, open_name, parse_name
from dsvc.requests.outcome import why_not
from dsvc.requests.standing import standing
from dsvc.signing import Keygen, verify_signature

_BY_RULES = "whoever runs the hub can change its rules"
_OPENERS = ("update", "close", "reopen")  # events of whoever opened a request, and of those who may push


@dataclass(frozen=True, slots=True)
class Brought:
    """An event that a push brings: of which request, and its id."""

    number: int
    id: ObjectId
    event: Event


@dataclass(frozen=True, slots=True)
class Bench:
    """What is looked at when events are judged. `accounts` are those of the hub, `signers` its allowed signers."""

    repo: Repository
    view: View
    visitor: Visitor
    rules: Rules
    accounts: Mapping[str, Account]
    signers: Path

    def request(self, number: int) -> MergeRequest | None:
        """Return a request as it was before the push."""
        return read_request(self.repo.store, self.view, number)


def check_name_of_request(change: RefChange) -> None:
    """Refuse what no push may do with the refs of requests, whoever it is.

    Raises:
        HubRefusedError: for anything else than a new ref that says what it points to.
    """
    found, new = parse_name(change.name), change.new
    if found is None:
        raise HubRefusedError(f"{change.name} is no ref of a request")
    if found.part == "by":
        raise HubRefusedError(f"{change.name} is written by the hub alone")
    if new is None or change.old is not None:
        raise HubRefusedError(f"what was said in request {found.number} stays as it is")
    wanted = Kind.COMMIT if found.part == "commits" else Kind.STATE
    if new.kind != wanted or (found.id is not None and found.id != new.id):
        raise HubRefusedError(f"{change.name} points to something else than it says")


def brought_events(repo: Repository, changes: Sequence[RefChange]) -> list[Brought]:
    """Return the events that a push brings.

    Raises:
        HubRefusedError: when one of them is not of its form.
    """
    found = []
    for change in changes:
        name = parse_name(change.name)
        if name is None or name.part not in ("open", "events") or change.new is None:
            continue
        try:
            event = decode_event(repo.store.get(change.new.id, Kind.STATE))
        except IntegrityError as error:
            raise HubRefusedError(f"{change.name}: {error.message}") from error
        if (event.kind == "open") != (name.part == "open"):
            raise HubRefusedError(f"{change.name} is no place for an event {event.kind!r}")
        found.append(Brought(name.number, change.new.id, event))
    return found


def check_requests(bench: Bench, changes: Sequence[RefChange], brought: Sequence[Brought]) -> None:
    """Ask who may say what in requests.

    Raises:
        HubRefusedError: with what speaks against it.
    """
    visitor = bench.visitor
    if not any(change.name.startswith(REQUESTS) for change in changes):
        return
    if not visitor.may_request:
        raise HubRefusedError(f"{visitor.account} ({visitor.role}) may not take part in merge requests here")
    names = {change.name for change in changes}
    openings = {one.number: one for one in brought if one.event.kind == "open"}
    for one in brought:
        _check_place(bench, one, names, openings)
        if one.event.kind != "open":
            _check_event(bench, one, brought, openings)
    for change in changes:
        name = parse_name(change.name)
        if name is not None and name.part == "commits" and not _is_named(bench, name, brought):
            raise HubRefusedError(f"{change.name} is a commit that request {name.number} does not speak of")


def _check_place(bench: Bench, one: Brought, names: set[str], openings: Mapping[int, Brought]) -> None:
    """Check that an event belongs where it was put."""
    event, number = one.event, one.number
    if event.kind == "open":
        before = open_name(number - 1)
        if number > 1 and before not in names and bench.view.get(before) is None:
            raise HubRefusedError(f"request {number} cannot be the next one: there is no request {number - 1}")
        target = bench.view.get(event.target)
        if not isinstance(target, Direct) and event.target not in names:
            raise HubRefusedError(f"there is no branch {short_name(event.target)} to merge into")
    else:
        opening = bench.view.get(open_name(number))
        first = openings[number].id if number in openings else None
        known = opening.id if isinstance(opening, Direct) else first
        if known != event.request:
            raise HubRefusedError(f"an event {event.kind!r} belongs to another request than {number}")
    if event.kind in ("open", "update") and event.commit is not None:
        kept = commit_name(number, event.commit)
        if kept not in names and bench.view.get(kept) is None:
            raise HubRefusedError(f"request {number} asks for a commit that was not pushed with it")


def _check_event(
    bench: Bench, one: Brought, brought: Sequence[Brought], openings: Mapping[int, Brought]
) -> None:
    visitor, event, number = bench.visitor, one.event, one.number
    request = bench.request(number)
    state = request.state if request is not None else "open"
    me = f"@{visitor.account}"
    opened = number in openings or (request is not None and request.opening.who == me)
    if event.kind in _OPENERS and not opened and not visitor.may_write:
        raise HubRefusedError(
            f"request {number} was opened by somebody else, and {visitor.account} ({visitor.role}) may only comment"
        )
    wanted = "closed" if event.kind == "reopen" else "open"
    if event.kind not in ("comment", "withdraw") and state != wanted:
        raise HubRefusedError(f"request {number} is {state}", hint=f"dsvc request show {number}")
    if event.kind == "approve":
        _check_approval(bench, one, request, brought)


def _check_approval(
    bench: Bench, one: Brought, request: MergeRequest | None, brought: Sequence[Brought]
) -> None:
    visitor, event, number = bench.visitor, one.event, one.number
    newer = any(o.number == number and o.event.commit is not None and o.event.kind == "update" for o in brought)
    if request is None or newer:
        raise HubRefusedError(f"{visitor.account} brought the commits of request {number} and does not approve them")
    if event.commit != request.head:
        raise HubRefusedError(
            f"request {number} has a newer version than the one that is approved", hint=f"dsvc request show {number}"
        )
    if f"@{visitor.account}" in request.authors():
        raise HubRefusedError(
            f"{visitor.account} opened request {number} or brought its commits, and does not approve them",
            hint="ask somebody else to look at it",
        )
    for rule in _asking(bench, request.target):
        if not may(rule.approvers, role=visitor.role, account=visitor.account):
            raise HubRefusedError(
                f"approvals of {visitor.account} ({visitor.role}) do not count for {short_name(request.target)}",
                hint="dsvc request comment says it all the same",
            )
    if bench.rules.signed(visitor.repository, request.target):
        reason = _unsigned(bench, event)
        if reason is not None:
            raise HubRefusedError(
                f"approvals for {short_name(request.target)} are signed by somebody whom this hub knows: {reason}",
                hint=f"dsvc request approve {number} -S",
            )


def _is_named(bench: Bench, name: RequestRef, brought: Sequence[Brought]) -> bool:
    if any(one.number == name.number and one.event.commit == name.id for one in brought):
        return True
    request = bench.request(name.number)
    return request is not None and any(r.event.commit == name.id for r in request.versions)


def check_approvals(bench: Bench, changes: Sequence[RefChange], brought: Sequence[Brought]) -> None:
    """Make sure that merges are what they say, and that refs which take approvals move by approved merges alone.

    Raises:
        HubRefusedError: with what is missing.
    """
    merges = [one for one in brought if one.event.kind == "merge"]
    for one in merges:
        _check_merge(bench, one, changes)
    for change in changes:
        asking = _asking(bench, change.name)
        if not asking:
            continue
        name = short_name(change.name)
        wanted = max(rule.approvals for rule in asking)
        if change.new is None:
            raise HubRefusedError(f"{name} takes approvals and is not deleted by anybody", hint=_BY_RULES)
        if change.old is None:
            if not _begins_well(bench, change.new):
                raise HubRefusedError(
                    f"{name} takes approvals and can begin only at a commit that has passed them",
                    hint="push it at a commit of a protected branch, and merge the rest by 'dsvc request open'",
                )
            continue
        found = next((one for one in merges if _moves(bench, one, change)), None)
        if found is None:
            raise HubRefusedError(
                f"{name} takes {_approvals(wanted)} and is not pushed to directly",
                hint=f"dsvc request open --into {name} asks for them, 'dsvc request merge N' then moves {name}",
            )
        _check_standing(bench, found, change, asking)


def _check_merge(bench: Bench, one: Brought, changes: Sequence[RefChange]) -> None:
    """Check that the target has what a merge says it has."""
    event, number, visitor = one.event, one.number, bench.visitor
    request = bench.request(number)
    if request is None:
        raise HubRefusedError(f"request {number} cannot be merged by the push that opens it")
    if not visitor.may_write:
        raise HubRefusedError(f"{visitor.account} ({visitor.role}) may not merge request {number}")
    assert event.commit is not None
    assert event.base is not None
    assert event.result is not None
    if event.commit != request.head:
        raise HubRefusedError(
            f"request {number} has a newer version than the one that is merged", hint=f"dsvc request show {number}"
        )
    now = bench.view.get(request.target)
    for change in changes:
        if change.name == request.target:
            now = change.new
    ancestry = Ancestry(bench.repo.commit)
    name = short_name(request.target)
    if not isinstance(now, Direct) or not is_ancestor(ancestry, event.result, CommitId(now.id)):
        raise HubRefusedError(f"{name} does not have what the merge of request {number} came to")
    if is_ancestor(ancestry, request.head, event.result):
        return
    reason = _why_not(bench, event)
    if reason is not None:
        raise HubRefusedError(f"{name} does not have the commits of request {number}: {reason}")


def _moves(bench: Bench, one: Brought, change: RefChange) -> bool:
    request = bench.request(one.number)
    ends = (change.old.id if change.old is not None else None, change.new.id if change.new is not None else None)
    return request is not None and request.target == change.name and (one.event.base, one.event.result) == ends


def _check_standing(bench: Bench, one: Brought, change: RefChange, asking: Sequence[Protection]) -> None:
    request = bench.request(one.number)
    assert request is not None
    name, number = short_name(change.name), one.number
    for rule in asking:
        found = standing(request, wanted=rule.approvals, objection=partial(_objection, bench, request.target, rule))
        if not found.enough:
            others = "; ".join(f"the one by {said.name} is {reason}" for said, reason in found.others)
            raise HubRefusedError(
                f"request {number} has {len(found.counted)} of the {_approvals(rule.approvals)} that {name} takes"
                + (f": {others}" if others else ""),
                hint=f"ask for a look at it: 'dsvc request approve {number}'",
            )
    reason = _why_not(bench, one.event)
    if reason is not None:
        raise HubRefusedError(
            f"the merge of request {number} is not what was approved: {reason}",
            hint=f"dsvc request checkout {number}, merge {name} there, 'dsvc request update {number}', and have it "
            "approved again",
        )


def _objection(bench: Bench, target: str, rule: Protection, said: Recorded) -> str | None:
    """Say why an approval does not count now, None where it does."""
    witness = said.witness
    account = bench.accounts.get(witness.account) if witness is not None else None
    role = account.role(bench.visitor.repository) if account is not None else None
    if account is None or role is None:
        return "of nobody who has an account here"
    if not may(rule.approvers, role=role, account=account.name):
        return f"of a {role}"
    if bench.rules.signed(bench.visitor.repository, target) and _unsigned(bench, said.event) is not None:
        return "not signed by somebody whom this hub knows"
    return None


def _asking(bench: Bench, name: str) -> list[Protection]:
    """Return the rules that ask for approvals of a ref."""
    if name.startswith(REQUESTS):
        return []
    return [rule for rule in bench.rules.protections(bench.visitor.repository, name) if rule.approvals]


def _begins_well(bench: Bench, new: Direct) -> bool:
    """Say whether a new ref begins where approvals have led, or in a repository without a branch."""
    if not any(bench.view.items(HEADS)):
        return True
    kind, target = bench.repo.peel(new.kind, new.id)
    if kind != Kind.COMMIT:
        return False
    ancestry = Ancestry(bench.repo.commit)
    return any(
        isinstance(ref, Direct) and is_ancestor(ancestry, CommitId(ObjectId(target)), CommitId(ref.id))
        for name, ref in bench.view.items(HEADS)
        if _asking(bench, name)
    )


def _why_not(bench: Bench, event: Event) -> str | None:
    assert event.commit is not None
    assert event.base is not None
    assert event.result is not None
    merger = line_merger(bench.repo.store, Ancestry(bench.repo.commit))
    return why_not(merger, bench.repo.commit, base=event.base, head=event.commit, result=event.result)


def _unsigned(bench: Bench, event: Event) -> str | None:
    """Say why the signature of an event is not worth anything here, None where it is good."""
    try:
        allowed = bench.signers.read_bytes()
    except OSError:
        allowed = None
    payload = encode_event(event, signed=False)
    verdict = verify_signature(payload, event.signature, allowed, event.author.time, keygen=Keygen())
    if verdict.good:
        return None
    return verdict.reason or {"none": "it has no signature"}.get(verdict.status, verdict.status)


def _approvals(count: int) -> str:
    return f"{count} approval{'' if count == 1 else 's'}"
