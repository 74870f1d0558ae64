"""Bring branches and tags to a remote, with everything they reach that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.fetch import RefUpdate
from dsvc.actions.remote_access import OpenRemote, open_remote
from dsvc.actions.revision import ancestry_below, revision_context
from dsvc.actions.upstream import read_upstream, set_upstream
from dsvc.errors import DivergedError, RequestError, UsageError
from dsvc.history.mergebase import is_ancestor
from dsvc.history.revisions import resolve
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.store import ObjectMissingError
from dsvc.refs.names import HEADS, REMOTES, TAGS, short_name
from dsvc.refs.transaction import RefMovedError
from dsvc.refs.view import Direct, View
from dsvc.remotes.refspec import Refspec, mapped, parse_refspec
from dsvc.remotes.selection import Stored, Walk, present_tips
from dsvc.remotes.sending import Sent, cargo, send
from dsvc.remotes.settings import RemoteSettings
from dsvc.repo.reachable import Marks
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.workspace import Workspace


class PushRejectedError(DivergedError):
    """A ref of the remote has what is not here, or may not be moved."""


class PushRaceError(DivergedError):
    """Somebody else pushed the same ref at the same moment."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a ref of the remote must be for it to be overwritten: `expected` None means what was last fetched."""

    name: str | None = None
    expected: Direct | None = None


@dataclass(frozen=True, slots=True)
class PushResult:
    """Which refs were pushed or refused, what was sent, and which upstream was set (branch, remote's branch)."""

    remote: RemoteSettings
    address: str
    updates: tuple[RefUpdate, ...]
    sent: Sent
    upstream: tuple[str, str] | None = None

    def rejected(self) -> list[RefUpdate]:
        """Return the refs that were refused."""
        return [update for update in self.updates if update.outcome == "rejected"]


def push(
    workspace: Workspace,
    settings: RemoteSettings,
    refspecs: Sequence[str] = (),
    *,
    every: bool = False,
    tags: bool = False,
    delete: bool = False,
    force: bool = False,
    leases: Sequence[Lease] = (),
    set_up: bool = False,
    dry_run: bool = False,
    jobs: int = 4,
) -> PushResult:
    """Send what a remote lacks, then move its refs in one operation, all that may be moved or none.

    Without `refspecs` the current branch goes to its upstream, or to a branch of its name there, which becomes its
    upstream. `every` takes all branches, `tags` all tags too. A branch moves forward only, unless `force` is set, its
    refspec begins with +, or a lease says what it must be. Whoever else pushes meanwhile loses nothing.

    Raises:
        RemoteError: when the remote cannot be reached or breaks off; what arrived is used by the next push.
        PushRaceError: when somebody moved the same ref meanwhile.
    """
    specs, upstream = _specs(workspace, settings, refspecs, every=every, tags=tags, delete=delete)
    with open_remote(workspace, settings, create=not dry_run, push=True) as remote:
        updates = _judge(workspace, remote, specs, force=force, leases=leases)
        moving = [update for update in updates if update.outcome not in ("same", "rejected")]
        sent = Sent(0, 0, 0)
        if moving and not dry_run:
            sent = _send(workspace, remote, moving, jobs=jobs)
            _publish(workspace, remote, moving)
            remote.outbox.clear()
        done = None
        if not dry_run:
            _track(workspace, remote, updates)
            done = _set_up(workspace, settings, specs, updates, upstream, set_up=set_up)
        return PushResult(settings, remote.address, tuple(updates), sent, done)


def _specs(
    workspace: Workspace, settings: RemoteSettings, texts: Sequence[str], *, every: bool, tags: bool, delete: bool
) -> tuple[list[Refspec], bool]:
    """Return what to push, and whether an upstream is to be set because there is none."""
    view = workspace.view()
    if delete:
        if not texts:
            raise UsageError("--delete needs the names of what to delete", hint="dsvc push --delete origin BRANCH")
        return [parse_refspec(":" + _known(view, text, remote=True)) for text in texts], False
    specs = [_spec(workspace, text) for text in texts]
    if every:
        specs += [Refspec(name, name) for name, _ in view.items(HEADS)]
    if tags:
        specs += [Refspec(name, name) for name, _ in view.items(TAGS)]
    if specs or every or tags:
        return specs, False
    head = workspace.head()
    if head.branch is None:
        raise RequestError("HEAD is on no branch", hint="dsvc push REMOTE HEAD:BRANCH")
    if head.commit_id is None:
        raise RequestError("there is no commit to push yet", hint="dsvc commit")
    followed = read_upstream(workspace, head.branch)
    if followed is not None and followed.remote == settings.name:
        return [Refspec(head.branch, followed.branch)], False
    return [Refspec(head.branch, head.branch)], followed is None and settings.name is not None


def _spec(workspace: Workspace, text: str) -> Refspec:
    """Return what one word of the command line says; a name without a target goes to the same name."""
    force, body = text.startswith("+"), text.removeprefix("+")
    source, colon, target = body.partition(":")
    if not colon:
        if source == "HEAD":
            branch = workspace.head().branch
            if branch is None:
                raise RequestError("HEAD is on no branch", hint="dsvc push REMOTE HEAD:BRANCH")
            return Refspec(branch, branch, force)
        full = _known(workspace.view(), source)
        return Refspec(full, full, force)
    if not target:
        raise UsageError(f"{text!r} does not say where to", hint="dsvc push REMOTE SOURCE:TARGET")
    full_target = parse_refspec(f":{target}").target
    if source and "*" not in source:
        source = _known(workspace.view(), source, revision=True)
    return Refspec(source, full_target, force)


def _known(view: View, name: str, *, remote: bool = False, revision: bool = False) -> str:
    """Return the full name of a branch or tag; what is none stays as it is where a revision may stand."""
    plain = name.removeprefix("refs/")
    for full in (plain, HEADS + plain, TAGS + plain):
        if "/" in full and view.get(full) is not None:
            return full
    if revision:
        return name
    full = parse_refspec(plain).source
    if not remote and view.get(full) is None:
        raise RequestError(f"there is no branch or tag {name} here", hint="dsvc branch lists the branches")
    return full


def _judge(
    workspace: Workspace, remote: OpenRemote, specs: Sequence[Refspec], *, force: bool, leases: Sequence[Lease]
) -> list[RefUpdate]:
    updates: dict[str, RefUpdate] = {}
    theirs, checked_out = remote.view(), remote.checked_out()
    for spec in specs:
        for source, target, new in _sources(workspace, spec):
            old = theirs.resolve(target)[1]
            update = RefUpdate(target, source or None, old, new, "same" if old == new else "new")
            if old != new:
                update = _checked(workspace, remote, update, force=force or spec.force, leases=leases)
                if target in checked_out and update.outcome != "rejected":
                    reason = "a working copy stands on it there; push to another branch and merge it there"
                    update = RefUpdate(target, source or None, old, new, "rejected", reason)
            updates[target] = update
    return list(updates.values())


def _sources(workspace: Workspace, spec: Refspec) -> list[tuple[str, str, Direct | None]]:
    """Return (name here, name there, object) of what a refspec pushes; no object where it deletes."""
    view = workspace.view()
    if not spec.source:
        return [("", spec.target, None)]
    if "*" in spec.source:
        found = ((name, spec.maps(name), view.resolve(name)[1]) for name, _ in view.items())
        return [(name, target, ref) for name, target, ref in found if target is not None and ref is not None]
    ref = view.resolve(spec.source)[1] if "/" in spec.source else None
    if ref is None:
        resolved = resolve(revision_context(workspace), spec.source)
        ref = Direct(resolved.kind, ObjectId(resolved.id))
    return [(spec.source, spec.target, ref)]


def _checked(
    workspace: Workspace, remote: OpenRemote, update: RefUpdate, *, force: bool, leases: Sequence[Lease]
) -> RefUpdate:
    """Say whether a ref of the remote may go from its old to its new value."""
    old, new, target = update.old, update.new, update.theirs

    def refused(reason: str) -> RefUpdate:
        return RefUpdate(target, update.ours, old, new, "rejected", reason)

    lease = next((lease for lease in leases if lease.name in (None, target)), None)
    if lease is not None:
        found = mapped(remote.settings.fetch, target)
        tracked = workspace.view().resolve(found[0])[1] if found is not None else None
        if old != (lease.expected if lease.name is not None and lease.expected is not None else tracked):
            return refused("it is not what was last fetched")
        force = True
    if new is None:
        if old is None:
            return refused("there is no such ref there")
        if target == remote.default_branch():
            return refused("it is the default branch there")
        return RefUpdate(target, None, old, None, "deleted")
    if target.startswith(HEADS) and new.kind != Kind.COMMIT:
        return refused("a branch points to commits only")
    if old is None:
        return RefUpdate(target, update.ours, None, new, "new")
    if target.startswith(TAGS) and not force:
        return refused("there is another tag of that name there")
    if old.kind == new.kind == Kind.COMMIT:
        if not present_tips(workspace.repo.store, [old.id]):
            return RefUpdate(target, update.ours, old, new, "forced") if force else refused("fetch first")
        ancestry = ancestry_below(workspace, [CommitId(new.id)])
        if is_ancestor(ancestry, CommitId(old.id), CommitId(new.id)):
            return RefUpdate(target, update.ours, old, new, "moved")
        if not force:
            return refused("it has commits that yours has not")
    return RefUpdate(target, update.ours, old, new, "forced")


def _send(workspace: Workspace, remote: OpenRemote, updates: Sequence[RefUpdate], *, jobs: int) -> Sent:
    store, there = workspace.repo.store, remote.repo.store
    tips = [(update.new.kind, bytes(update.new.id)) for update in updates if update.new is not None]
    if not tips:
        return Sent(0, 0, 0)
    _take_up(remote)
    refs = workspace.repo.head.packs.packs
    marks = Marks(store.packs, refs)
    known = present_tips(
        store, [ref.id for _, ref in remote.view().items() if isinstance(ref, Direct) and ref.kind == Kind.COMMIT]
    )
    ancestry = ancestry_below(workspace, [CommitId(ObjectId(i)) for kind, i in tips if kind == Kind.COMMIT])
    try:
        Walk(store, Stored(store, marks, there.rely_on)).add(ancestry, tips, known=known)
    except ObjectMissingError as error:
        raise RequestError(
            f"what is to be pushed is not complete here: {error.message}", hint="dsvc fsck", details=error.details
        ) from error
    backend = workspace.repo.backend
    assert isinstance(backend, LocalBackend), "a workspace's repository lies on disk"
    return send(
        store,
        there,
        cargo(marks, refs),
        remote.outbox,
        whole=lambda ref: backend.root / ref.key,
        jobs=jobs,
        progress=workspace.progress,
    )


def _take_up(remote: OpenRemote) -> None:
    """Go on with the packs that an earlier push left: send those that have not arrived, and count all as stored."""
    store, outbox = remote.repo.store, remote.outbox
    left = outbox.packs()
    if not left:
        outbox.clear()
        return
    gone = set(store.backend.missing([waiting.ref.key for waiting in left]))
    condemned = set(remote.repo.head.packs.condemned)
    listed = {ref.id for ref in remote.repo.head.packs.packs}
    for waiting in left:
        ref = waiting.ref
        if ref.id in condemned or ref.id in listed or (waiting.arrived and ref.key in gone):
            continue
        if ref.key in gone:
            store.backend.put(ref.key, outbox.lend(ref))
            outbox.arrived(ref)
        store.adopt(ref)


def _publish(workspace: Workspace, remote: OpenRemote, updates: Sequence[RefUpdate]) -> None:
    repo: Repository = remote.repo
    transaction = repo.transaction()
    for update in updates:
        if update.new is None:
            transaction.delete(update.theirs)
        else:
            transaction.set(update.theirs, update.new)
    names = ", ".join(short_name(update.theirs) for update in updates[:5])
    act = workspace.act("push", f"push: {names}{', ...' if len(updates) > 5 else ''}")
    try:
        repo.publish(transaction, act)
    except RefMovedError as error:
        raise PushRaceError(
            f"{short_name(error.name)} was pushed by somebody else at the same moment; nothing was overwritten",
            hint=f"dsvc pull {remote.settings.typed}, then push again",
            details={"ref": error.name},
        ) from error


def _track(workspace: Workspace, remote: OpenRemote, updates: Sequence[RefUpdate]) -> None:
    """Let the refs that follow the remote here say what is there now."""
    if remote.settings.name is None:
        return
    transaction = workspace.repo.transaction()
    changed = False
    for update in updates:
        found = mapped(remote.settings.fetch, update.theirs)
        if found is None or update.outcome == "rejected" or not found[0].startswith(REMOTES):
            continue
        now = transaction.view.get(found[0])
        if update.new is None and now is not None:
            transaction.delete(found[0])
            changed = True
        elif update.new is not None and now != update.new:
            transaction.set(found[0], update.new)
            changed = True
    if changed:
        workspace.publish(transaction, workspace.act("push", f"push to {remote.settings.shown}"))


def _set_up(
    workspace: Workspace,
    settings: RemoteSettings,
    specs: Sequence[Refspec],
    updates: Sequence[RefUpdate],
    missing: bool,  # noqa: FBT001
    *,
    set_up: bool,
) -> tuple[str, str] | None:
    """Write down the upstream of the branches that were pushed; return the last of them."""
    if settings.name is None or not (set_up or missing):
        return None
    done = None
    refused = {update.theirs for update in updates if update.outcome == "rejected"}
    for spec in specs:
        if spec.source.startswith(HEADS) and spec.target.startswith(HEADS) and spec.target not in refused:
            set_upstream(workspace, spec.source, remote=settings.name, branch_there=spec.target)
            done = (spec.source, spec.target)
    return done
