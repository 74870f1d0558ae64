"""Make sure that refs which take approvals get what was approved and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dsvc.contents.line_merger import line_merger
from dsvc.contents.sizes import counted
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.hub.request_events import Bench, Brought, asking, unsigned
from dsvc.hub.rules import Protection, may
from dsvc.hub.visitor import HubRefusedError
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import HEADS, short_name
from dsvc.refs.view import Direct
from dsvc.remotes.wire.publish import RefChange
from dsvc.requests.event import Event
from dsvc.requests.merge_request import Recorded
from dsvc.requests.outcome import why_not
from dsvc.requests.standing import standing

_BY_RULES = "whoever runs the hub can change its rules"


def check_approvals(bench: Bench, changes: Sequence[RefChange], brought: Sequence[Brought]) -> None:
    """Make sure that merges are what they say, and that refs which take approvals move by approved merges alone.

    Raises:
        HubRefusedError: with what is missing.
    """
    merges = [one for one in brought if one.event.kind == "merge"]
    for one in merges:
        _check_merge(bench, one, changes)
    for change in changes:
        rules = asking(bench, change.name)
        if not rules:
            continue
        name = short_name(change.name)
        wanted = max(rule.approvals for rule in rules)
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
                f"{name} takes {counted(wanted, 'approval')} and is not pushed to directly",
                hint=f"dsvc request open --into {name} asks for them, 'dsvc request merge N' then moves {name}",
            )
        _check_standing(bench, found, change, rules)


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


def _check_standing(bench: Bench, one: Brought, change: RefChange, rules: Sequence[Protection]) -> None:
    request = bench.request(one.number)
    assert request is not None
    name, number = short_name(change.name), one.number
    for rule in rules:
        found = standing(request, wanted=rule.approvals, objection=partial(_objection, bench, request.target, rule))
        if not found.enough:
            others = "; ".join(f"the one by {said.name} is {reason}" for said, reason in found.others)
            wanted = counted(rule.approvals, "approval")
            raise HubRefusedError(
                f"request {number} has {len(found.counted)} of {wanted} that {name} asks for"
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
    if bench.rules.signed(bench.visitor.repository, target) and unsigned(bench, said.event) is not None:
        return "not signed by somebody whom this hub knows"
    return None


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
        if asking(bench, name)
    )


def _why_not(bench: Bench, event: Event) -> str | None:
    assert event.commit is not None
    assert event.base is not None
    assert event.result is not None
    merger = line_merger(bench.repo.store, Ancestry(bench.repo.commit))
    return why_not(merger, bench.repo.commit, base=event.base, head=event.commit, result=event.result)

