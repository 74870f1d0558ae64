"""Take a push: check it from all sides, then move the refs in one operation that names the account."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsvc.errors import IntegrityError
from dsvc.hub.admission import check_packs
from dsvc.hub.approvals import check_approvals
from dsvc.hub.attic import begin_putting_away, in_attic, mark_due
from dsvc.hub.folder import Hub
from dsvc.hub.guarded import LESS, OverlayBackend
from dsvc.hub.held import Held
from dsvc.hub.hooks import HookFailedError, run_hook
from dsvc.hub.located import Located
from dsvc.hub.needed import Needed
from dsvc.hub.ref_rules import check_ledgers, check_reach, check_rules, check_signatures, moving, takes_away
from dsvc.hub.request_events import Bench, Brought, brought_events, check_requests
from dsvc.hub.rules import Limits, Rules
from dsvc.hub.signers import read_signers
from dsvc.hub.visitor import HubRefusedError, Visitor, find_visitor
from dsvc.objects.ids import Kind, OperationId
from dsvc.objects.packlist import PackRef
from dsvc.objects.reliance import CollectedError
from dsvc.objects.store import ObjectMissingError
from dsvc.refs.names import HEADS, REQUESTS, STREAMS, head_of, short_name
from dsvc.refs.view import Direct, Symbolic, View
from dsvc.remotes.wire.publish import Offer, Published, RefChange
from dsvc.repo.format import SNAPSHOTS, raise_format
from dsvc.repo.maintenance import give_up
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import purged_files
from dsvc.requests.event import Witness, encode_witness
from dsvc.requests.names import request_prefix, witness_name
from dsvc.storage.backend import Backend
from dsvc.workspace import MAIN

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Desk:
    """What taking a push needs: the hub, who is there, and the repository.

    `hold` gives the packs of this connection's pushes, `shown` the keys of all packs that the near end was told of;
    `environment` is what hooks run in.
    """

    hub: Hub
    visitor: Visitor
    located: Located
    hold: Callable[[], Held]
    shown: Callable[[], frozenset[str]]
    host: str
    environment: Mapping[str, str]


def publish(desk: Desk, offer: Offer, *, time: int, zone: int) -> Published:
    """Do what an offer asks for, wholly or not at all; what is in force already is left alone.

    Accounts and rules are read anew, so that what was taken away since the connection began holds. Packs that are
    refused leave quarantine; where a ref had moved they stay for the next push, or a week.

    Raises:
        HubRefusedError: with the reason. RefMovedError: when a ref was moved by somebody else. BusyError: when packs
        were collected meanwhile, or the head moved too often.
    """
    try:
        for _ in range(_ATTEMPTS):
            try:
                return _opened(desk, offer, time=time, zone=zone)
            except CollectedError:  # what is gone is missed by the next look
                desk.hold().burnt.update(ref.id for ref in desk.hold().packs())
        return _opened(desk, offer, time=time, zone=zone)
    except HubRefusedError:
        desk.hold().drop(offer.packs)
        raise


def _opened(desk: Desk, offer: Offer, *, time: int, zone: int) -> Published:
    with contextlib.closing(OverlayBackend(desk.located.pool, desk.hold().folder)) as pool:
        return _publish(desk, pool, offer, time=time, zone=zone)


def _publish(desk: Desk, pool: OverlayBackend, offer: Offer, *, time: int, zone: int) -> Published:
    visitor = find_visitor(
        desk.hub, account=desk.visitor.account, key=desk.visitor.key, repository=desk.visitor.repository
    )
    if not visitor.may_write and not all(change.name.startswith(REQUESTS) for change in offer.changes):
        raise HubRefusedError(f"{visitor.account} may read {visitor.repository} and not push to it")
    rules = desk.hub.rules()
    if rules.limits.push_refs and len(offer.changes) > rules.limits.push_refs:
        raise HubRefusedError(
            f"this push has {len(offer.changes):,} refs, and this hub takes {rules.limits.push_refs:,} at once",
            hint="push some branches and tags at a time",
        )
    held = desk.hold()
    repo = Repository.open(desk.located.seen(pool), pool.staging, far=True)
    view = repo.view()
    changes = moving(view, offer.changes)
    if not changes:
        return Published(repo.head.operation)
    _bring(repo, held, offer.packs, rules.limits)
    for ref in held.packs():
        repo.store.adopt(ref)
    live = {ref.id for ref in repo.head.packs.packs}
    held.look(live)
    collected = not desk.shown().issubset(ref.key for ref in repo.head.packs.packs)
    try:
        erased = purged_files(repo)
        unchecked = held.unchecked(erased)
        check_packs(repo, unchecked, purged=erased, limits=rules.limits)
        held.checked(unchecked, erased)
        needed = Needed(repo.store, held)
        check_reach(repo, view, changes, visitor, met=needed.add, collected=collected)
        check_ledgers(repo, changes)
        check_rules(repo, view, changes, visitor, rules)
        brought = brought_events(repo, changes)
        signers = read_signers(desk.hub.root)
        bench = Bench(repo, view, visitor, rules, desk.hub.accounts(), signers)
        check_requests(bench, changes, brought)
        check_approvals(bench, changes, brought)
        check_signatures(repo, view, changes, visitor, rules, signers=signers)
        needed.choose()
    except IntegrityError as error:
        if collected and isinstance(error, ObjectMissingError):
            raise  # the near end looks again at what is here, and sends it
        raise HubRefusedError(f"what was pushed is damaged: {error.message}", hint="dsvc fsck") from error
    if any(change.name.startswith(STREAMS) for change in changes):
        raise_format(pool, SNAPSHOTS)
    away = rules.put_away and takes_away(repo, changes)
    listed = [*needed.whole, *needed.made]
    _check_quota(desk, repo, listed, rules.limits)
    said = _before(desk, visitor, changes, rules)
    try:
        repo.store.own.disown(needed.others())
        for ref in needed.made:
            repo.store.adopt(ref)
        pool.release([ref.key for ref in listed])
        if away:
            mark_due(desk.hub, visitor.repository)
        operation = _move(repo, view, changes, brought, visitor, host=desk.host, time=time, zone=zone)
    except BaseException:
        give_up(repo.store, needed.made)
        raise
    needed.settle()
    if away:
        begin_putting_away(desk.hub, visitor.repository)
    return Published(operation, said + _after(desk, visitor, changes, rules))


def _bring(repo: Repository, held: Held, offered: Sequence[PackRef], limits: Limits) -> None:
    """Take the packs of an offer that the repository does not list yet.

    Raises:
        HubRefusedError: when one of them did not come, or they are too many or too large.
    """
    listed = {ref.id for ref in repo.head.packs.packs}
    condemned = set(repo.head.packs.condemned)
    known = {ref.id for ref in held.packs()}
    found = [ref for ref in offered if ref.id not in listed]
    for ref in found:
        size = held.bring(ref)
        if size is None or ref.id in condemned:
            raise HubRefusedError(f"pack {ref.id.hex()} is not here any more", hint="push again")
        if size != ref.size:
            raise HubRefusedError(f"pack {ref.id.hex()} has {size:,} bytes, not {ref.size:,}", hint="push again")
    fresh = [ref for ref in found if ref.id not in known]
    size = sum(ref.size for ref in fresh)
    if limits.push_bytes and size > limits.push_bytes:
        raise HubRefusedError(
            f"this push has {size:,} bytes, and this hub takes {limits.push_bytes:,} at once",
            hint=LESS,
        )
    objects = sum(ref.objects for ref in fresh)
    if limits.push_objects and objects > limits.push_objects:
        raise HubRefusedError(
            f"this push has {objects:,} objects, and this hub takes {limits.push_objects:,} at once",
            hint=LESS,
        )


def _check_quota(desk: Desk, repo: Repository, packs: Sequence[PackRef], limits: Limits) -> None:
    """Make sure that a repository, with what it put away, does not get too large.

    Raises:
        HubRefusedError: when it would.
    """
    if not limits.repository_bytes or not packs:
        return
    held = sum(ref.size for ref in repo.head.packs.packs)
    held += sum(one.size for one in in_attic(desk.hub, desk.visitor.repository))
    size = sum(ref.size for ref in packs)
    if held + size > limits.repository_bytes:
        raise HubRefusedError(
            f"the repository has {held:,} bytes, this push {size:,}, and its quota is {limits.repository_bytes:,}",
            hint="ask who runs the hub for more, or purge what is not needed",
        )


def _move(
    repo: Repository,
    view: View,
    changes: Sequence[RefChange],
    brought: Sequence[Brought],
    visitor: Visitor,
    *,
    host: str,
    time: int,
    zone: int,
) -> OperationId:
    transaction = repo.transaction()
    for change in changes:
        if change.new is None:
            transaction.delete(change.name)
        else:
            transaction.set(change.name, change.new)
    default = view.get(head_of(MAIN))
    born = [change.name for change in changes if change.name.startswith(HEADS) and change.new is not None]
    if born and isinstance(default, Symbolic) and default.target not in born and not any(view.items(HEADS)):
        transaction.set(head_of(MAIN), Symbolic(born[0]))
    witness = Witness(visitor.account, visitor.key, time, zone)
    for one in brought:
        said = repo.store.put(Kind.STATE, encode_witness(witness, one.id))
        transaction.set(witness_name(one.number, one.id), Direct(Kind.STATE, said))
        if one.event.kind == "merge":  # what was checked holds only as long as nobody says more about the request
            transaction.require_below(request_prefix(one.number))
    names = [f"request {one.number}: {one.event.kind}" for one in brought]
    names += [short_name(change.name) for change in changes if not change.name.startswith(REQUESTS)]
    listed = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    act = visitor.act("push", f"push: {listed}", host=host, time=time, zone=zone)
    return repo.publish(transaction, act)


def _before(desk: Desk, visitor: Visitor, changes: Sequence[RefChange], rules: Rules) -> str:
    try:
        return _hook(desk, "pre-receive", visitor, changes, rules)
    except HookFailedError as error:
        raise HubRefusedError(error.reason, hint="see what it says, or ask an owner", output=error.output) from error


def _after(desk: Desk, visitor: Visitor, changes: Sequence[RefChange], rules: Rules) -> str:
    """Return what the hook printed; the push is done, whatever becomes of it."""
    try:
        return _hook(desk, "post-receive", visitor, changes, rules)
    except HookFailedError as error:
        reason = error.reason.replace("refuses it", "ended")
        return f"{error.output}{'' if error.output.endswith(chr(10)) or not error.output else chr(10)}{reason}\n"


def _hook(desk: Desk, name: str, visitor: Visitor, changes: Sequence[RefChange], rules: Rules) -> str:
    mine = {"DSVC_ACCOUNT": visitor.account, "DSVC_REPO": visitor.repository, "DSVC_HUB": str(desk.hub.root)}
    return run_hook(
        desk.hub.hooks / name,
        changes,
        folder=desk.located.folder,
        environment={**desk.environment, **mine},
        seconds=rules.hook_seconds,
    )


def create_repository(
    backend: Backend, staging: Callable[[], Path], visitor: Visitor, *, host: str, time: int, zone: int
) -> None:
    """Make the repository that a visitor pushes to first; it has no branch, and its default one is main.

    Raises:
        BusyError: when somebody else was faster.
    """
    act = visitor.act("init", f"init by a push of {visitor.account}", host=host, time=time, zone=zone)
    Repository.create(backend, staging, act=act, refs={head_of(MAIN): Symbolic(f"{HEADS}{MAIN}")}, far=True)
