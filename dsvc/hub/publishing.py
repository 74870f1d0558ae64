"""Take a push: check it from all sides, then move the refs in one operation that names the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsvc.errors import IntegrityError
from dsvc.hub.admission import check_packs
from dsvc.hub.approvals import check_approvals
from dsvc.hub.attic import begin_putting_away
from dsvc.hub.folder import Hub
from dsvc.hub.guarded import LESS, OverlayBackend
from dsvc.hub.hooks import HookFailedError, run_hook
from dsvc.hub.located import Located
from dsvc.hub.needed import Held, Needed
from dsvc.hub.quarantine import Quarantine
from dsvc.hub.ref_rules import check_ledgers, check_reach, check_rules, check_signatures, moving, takes_away
from dsvc.hub.request_events import Bench, Brought, brought_events, check_requests
from dsvc.hub.rules import Limits, Rules
from dsvc.hub.signers import read_signers
from dsvc.hub.visitor import HubRefusedError, Visitor, find_visitor
from dsvc.objects.ids import Kind, OperationId
from dsvc.objects.packlist import PackRef
from dsvc.refs.names import HEADS, REQUESTS, STREAMS, head_of, short_name
from dsvc.refs.view import Direct, Symbolic, View
from dsvc.remotes.wire.publish import Offer, Published, RefChange
from dsvc.repo.format import SNAPSHOTS, raise_format
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import purged_files
from dsvc.requests.event import Witness, encode_witness
from dsvc.requests.names import request_prefix, witness_name
from dsvc.storage.backend import Backend
from dsvc.workspace import MAIN


@dataclass(frozen=True, slots=True)
class Desk:
    """What taking a push needs: the hub, who is there, the open places, what earlier pushes of the
    connection left over, and what hooks get of the environment.
    """

    hub: Hub
    visitor: Visitor
    located: Located
    pool: OverlayBackend
    quarantine: Quarantine
    held: Held
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
        return _publish(desk, offer, time=time, zone=zone)
    except HubRefusedError:
        for ref in offer.packs:
            desk.quarantine.delete(ref.key)
        raise


def _publish(desk: Desk, offer: Offer, *, time: int, zone: int) -> Published:
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
    repo = Repository.open(desk.located.seen(desk.pool), desk.pool.staging, far=True)
    view = repo.view()
    changes = moving(view, offer.changes)
    if not changes:
        return Published(repo.head.operation)
    packs = _new_packs(repo, desk.quarantine, offer.packs, rules.limits)
    held = desk.held.packs(desk.quarantine)
    for ref in (*packs, *held):
        repo.store.adopt(ref)
    unchecked = [ref for ref in packs if ref not in held]
    try:
        check_packs(repo, unchecked, purged=purged_files(repo), limits=rules.limits)
        needed = Needed(repo.store, [*unchecked, *held], desk.held)
        check_reach(repo, view, changes, visitor, met=needed.add)
        check_ledgers(repo, changes)
        check_rules(repo, view, changes, visitor, rules)
        brought = brought_events(repo, changes)
        signers = read_signers(desk.hub.root)
        bench = Bench(repo, view, visitor, rules, desk.hub.accounts(), signers)
        check_requests(bench, changes, brought)
        check_approvals(bench, changes, brought)
        check_signatures(repo, view, changes, visitor, rules, signers=signers)
    except IntegrityError as error:
        raise HubRefusedError(f"what was pushed is damaged: {error.message}", hint="dsvc fsck") from error
    if any(change.name.startswith(STREAMS) for change in changes):
        raise_format(desk.pool, SNAPSHOTS)
    away = rules.put_away and takes_away(repo, changes)
    said = _before(desk, visitor, changes, rules)
    listed = needed.packs(desk.quarantine)
    repo.store.own.disown(ref for ref in (*packs, *held) if ref not in listed)
    try:
        for ref in listed:
            repo.store.adopt(ref)
        desk.quarantine.release([ref.key for ref in listed], desk.pool)
        operation = _move(repo, view, changes, brought, visitor, host=desk.host, time=time, zone=zone)
    finally:
        for ref in listed:
            if ref not in packs:  # made here
                desk.quarantine.delete(ref.key)
    needed.settle(listed, desk.quarantine)
    if away:
        begin_putting_away(desk.hub, visitor.repository)
    return Published(operation, said + _after(desk, visitor, changes, rules))


def _new_packs(repo: Repository, quarantine: Quarantine, offered: Sequence[PackRef], limits: Limits) -> list[PackRef]:
    """Return the packs of an offer that the repository does not list yet.

    Raises:
        HubRefusedError: when one of them did not come, or they are too many or too large.
    """
    listed = {ref.id for ref in repo.head.packs.packs}
    condemned = set(repo.head.packs.condemned)
    found = [ref for ref in offered if ref.id not in listed]
    for ref in found:
        path = quarantine.root / ref.key
        size = path.stat().st_size if path.is_file() else None
        if size is None or ref.id in condemned:
            raise HubRefusedError(f"pack {ref.id.hex()} is not here any more", hint="push again")
        if size != ref.size:
            raise HubRefusedError(f"pack {ref.id.hex()} has {size:,} bytes, not {ref.size:,}", hint="push again")
    size = sum(ref.size for ref in found)
    if limits.push_bytes and size > limits.push_bytes:
        raise HubRefusedError(
            f"this push has {size:,} bytes, and this hub takes {limits.push_bytes:,} at once",
            hint=LESS,
        )
    held = sum(ref.size for ref in repo.head.packs.packs)
    if limits.repository_bytes and held + size > limits.repository_bytes:
        raise HubRefusedError(
            f"the repository has {held:,} bytes, this push {size:,}, and its quota is {limits.repository_bytes:,}",
            hint="ask who runs the hub for more, or purge what is not needed",
        )
    objects = sum(ref.objects for ref in found)
    if limits.push_objects and objects > limits.push_objects:
        raise HubRefusedError(
            f"this push has {objects:,} objects, and this hub takes {limits.push_objects:,} at once",
            hint=LESS,
        )
    return found


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
