"""Check what a push says in merge requests: who may say what, and that nothing that was said is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsvc.errors import IntegrityError
from dsvc.hub.accounts import Account
from dsvc.hub.rules import Protection, Rules, may
from dsvc.hub.signers import Signers
from dsvc.hub.visitor import HubRefusedError, Visitor
from dsvc.objects.ids import Kind, ObjectId
from dsvc.refs.names import REQUESTS, short_name
from dsvc.refs.view import Direct, View
from dsvc.remotes.wire.publish import RefChange
from dsvc.repo.repository import Repository
from dsvc.requests.event import Event, decode_event, encode_event
from dsvc.requests.merge_request import MergeRequest, read_request
from dsvc.requests.names import RequestRef, commit_name, open_name, parse_name

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
    signers: Signers

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
    for rule in asking(bench, request.target):
        if not may(rule.approvers, role=visitor.role, account=visitor.account):
            raise HubRefusedError(
                f"approvals of {visitor.account} ({visitor.role}) do not count for {short_name(request.target)}",
                hint="dsvc request comment says it all the same",
            )
    if bench.rules.signed(visitor.repository, request.target):
        reason = unsigned(bench, event)
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


def asking(bench: Bench, name: str) -> list[Protection]:
    """Return the rules that ask for approvals of a ref."""
    if name.startswith(REQUESTS):
        return []
    return [rule for rule in bench.rules.protections(bench.visitor.repository, name) if rule.approvals]


def unsigned(bench: Bench, event: Event) -> str | None:
    """Say why the signature of an event is not worth anything here, None where it is good."""
    return bench.signers.why_not(encode_event(event, signed=False), event.signature, event.author.time)
