"""Bring what refs of a remote need there, and move them in one operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsvc.actions.first_push import FirstPush
from dsvc.actions.model_refs import seen_changes
from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.remote_access import OpenRemote
from dsvc.actions.run_refs import RunsToPush, note_pushed
from dsvc.actions.shallow_push import ancestry_for_push, require_history_there
from dsvc.actions.tracking import publish_tracking
from dsvc.errors import DivergedError, IntegrityError
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.packlist import PackRef
from dsvc.objects.store import ObjectMissingError
from dsvc.progress import Progress
from dsvc.refs.moved import RefMovedError
from dsvc.refs.names import REMOTES, RUNS, short_name
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Ref, Symbolic, View
from dsvc.remotes.refspec import mapped
from dsvc.remotes.transfer.ledgers import take_ledgers, unlike_ledgers
from dsvc.remotes.transfer.purged import ErasedThereError, Spared, refusal, send_notes
from dsvc.remotes.transfer.selection import Noting, Stored, Walk, present_tips
from dsvc.remotes.transfer.sending import Sent, cargo, send
from dsvc.remotes.wire.errors import RemoteDeniedError
from dsvc.remotes.wire.publish import Offer, Publisher, RefChange
from dsvc.repo.ledgers import EXCHANGED
from dsvc.repo.reachable import Marks, Target
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import purged_files
from dsvc.storage.local import LocalBackend
from dsvc.workspace import Workspace

_STEP = 1000  # runs that a hub is told of at once


class PushRaceError(DivergedError):
    """Somebody else pushed the same ref at the same moment."""


class IncompleteError(IntegrityError):
    """Something that a push would send is not here."""


def deliver(
    workspace: Workspace,
    remote: OpenRemote,
    updates: Sequence[RefUpdate],
    *,
    jobs: int,
    runs: RunsToPush | None = None,
    also: Callable[[Transaction], str] | None = None,
    streams: Callable[[Transaction], None] | None = None,
    ledgers: bool = False,
    first: FirstPush | None = None,
) -> tuple[Sent, str]:
    """Send what the updates need, and move those refs that may be moved, there and in what follows them here.

    `runs` go along. `also` may change more in the same operation, of the remote, and returns what it is about;
    `streams` adds those of snapshots. Both are called each time that this is tried. With `ledgers` the place comes to
    know what ours do. `first` is what was guessed about a remote that has nothing. Returns what was sent, and what
    hooks of a hub printed.

    Raises:
        PushRaceError: when somebody moved the same ref meanwhile. RemoteError.
    """
    moving = [update for update in updates if update.outcome not in ("same", "rejected")]
    moving += runs.updates if runs is not None else ()
    sent, said = Sent(0, 0, 0), ""
    ledgers = ledgers and remote.takes_ledgers() and bool(unlike_ledgers(remote.view(), workspace.view()))
    if moving or also is not None or streams is not None or ledgers:
        try:
            sent, erased = _send(workspace, remote, moving, jobs=jobs, first=first)
            said = _publish(workspace, remote, moving, erased, also=also, streams=streams, ledgers=ledgers)
        except RemoteDeniedError:
            remote.outbox.clear()  # the next push may bring something else, and what it brings is made anew
            raise
        sent = sent._replace(size=sent.size + remote.repo.store.delivered)
        remote.outbox.clear()
    elif remote.folder.is_dir():
        _forget(remote)
    _track(workspace, remote, updates)
    if runs is not None:
        note_pushed(workspace, remote, runs)
    return sent, said


def _send(
    workspace: Workspace, remote: OpenRemote, updates: Sequence[RefUpdate], *, jobs: int, first: FirstPush | None
) -> tuple[Sent, set[bytes]]:
    """Send what the remote lacks; return also the erased files among it, of which only the notes go there."""
    store = workspace.repo.store
    tips = [(update.new.kind, bytes(update.new.id)) for update in updates if update.new is not None]
    if not tips:
        return Sent(0, 0, 0), set()
    refs = workspace.repo.head.packs.packs
    left: set[bytes] = set()
    fresh = remote.created and not remote.outbox.packs()
    taken_up = _take_up(remote, workspace.progress)
    if fresh and first is not None and first.fits(workspace, tips):
        marks = first.marks
    else:
        marks = Marks(store.packs, refs)
        left, lacking = _mark(workspace, remote, marks, tips, jobs=jobs, note=store.bring is not None)
        if lacking:  # a partial clone, and a place that is not the one it was cloned from
            store.complete(lacking)
            refs = workspace.repo.head.packs.packs
            marks = Marks(store.packs, refs)
            left, _ = _mark(workspace, remote, marks, tips, jobs=jobs)
    backend = workspace.repo.backend
    assert isinstance(backend, LocalBackend), "a workspace's repository lies on disk"
    sent = send(
        store,
        remote.repo.store,
        cargo(marks, refs),
        remote.outbox,
        whole=lambda ref: backend.root / ref.key,
        jobs=jobs,
        progress=workspace.progress,
        as_named=fresh and not remote.place.on_disk,
    )
    packs, objects, size = len(taken_up), sum(ref.objects for ref in taken_up), sum(ref.size for ref in taken_up)
    return Sent(sent.packs + packs, sent.objects + objects, sent.size + size), left


def _mark(
    workspace: Workspace,
    remote: OpenRemote,
    marks: Marks,
    tips: Sequence[Target],
    *,
    jobs: int,
    note: bool = False,
) -> tuple[set[bytes], list[bytes]]:
    """Mark what the remote lacks of what `tips` reach; return the erased files among it.

    With `note` also those of which the content is not here either, which else is an error.
    """
    store, there = workspace.repo.store, remote.repo.store
    known = present_tips(store, _commits(remote.view()))
    commits = [CommitId(ObjectId(i)) for kind, i in tips if kind == Kind.COMMIT]
    ancestry = ancestry_for_push(workspace, remote, commits)
    require_history_there(workspace, remote, ancestry, tips, known=known, jobs=jobs)
    ours, theirs = purged_files(workspace.repo), purged_files(remote.repo)

    def mark_beyond(known: Sequence[CommitId]) -> tuple[set[bytes], list[bytes]]:
        taker = Spared(Stored(store, marks, there.rely_on), store, there, ours=ours, theirs=theirs)
        noting = Noting(taker)
        Walk(store, noting if note else taker).add(ancestry, tips, known=known)
        return taker.left, noting.lacking

    try:
        try:
            return mark_beyond(known)
        except ObjectMissingError:  # below a commit that no ref names here, others may be missing: do without it
            named = set(_commits(workspace.view()))
            return mark_beyond([i for i in known if i in named])
    except ErasedThereError as error:
        raise refusal(store, remote.repo, error.file_id, tips, remote=remote.settings.shown) from error
    except ObjectMissingError as error:
        raise IncompleteError(
            f"what is to be pushed is not complete here: {error.message}", hint="dsvc fsck", details=error.details
        ) from error


def _commits(view: View) -> list[ObjectId]:
    return [ref.id for _, ref in view.tips() if ref.kind == Kind.COMMIT]


def _take_up(remote: OpenRemote, progress: Progress) -> list[PackRef]:
    """Go on with the packs that an earlier push left: send those that have not arrived, and count all as stored.

    Returns those that were sent now.
    """
    store, outbox = remote.repo.store, remote.outbox
    left = outbox.packs()
    sent: list[PackRef] = []
    if not left:
        outbox.clear()
        return sent
    gone = set(store.backend.missing([waiting.ref.key for waiting in left]))
    condemned = set(remote.repo.head.packs.condemned)
    listed = {ref.id for ref in remote.repo.head.packs.packs}
    total = sum(waiting.ref.size for waiting in left if waiting.ref.key in gone and not waiting.arrived)
    progress.start("Going on sending", total_bytes=total or None, unit="packs")
    for waiting in left:
        ref = waiting.ref
        if ref.id in condemned or ref.id in listed or (waiting.arrived and ref.key in gone):
            continue
        if ref.key in gone:
            store.backend.put(ref.key, outbox.lend(ref))
            outbox.arrived(ref)
            sent.append(ref)
            progress.advance(items=1, size=ref.size)
        store.adopt(ref)
    progress.finish()
    return sent


def _forget(remote: OpenRemote) -> None:
    """Forget what an earlier push left that never heard that its packs were published."""
    listed = {ref.id for ref in remote.repo.head.packs.packs}
    if all(waiting.ref.id in listed for waiting in remote.outbox.packs()):
        remote.outbox.clear()


def _publish(
    workspace: Workspace,
    remote: OpenRemote,
    updates: Sequence[RefUpdate],
    erased: set[bytes],
    *,
    also: Callable[[Transaction], str] | None,
    streams: Callable[[Transaction], None] | None,
    ledgers: bool,
) -> str:
    """Move the refs there, or let a hub do it; return what the hub's hooks printed."""
    repo: Repository = remote.repo
    transaction = repo.transaction()
    send_notes(workspace.repo.store, repo.store, transaction, workspace.view(), erased)
    for update in updates:
        if transaction.view.resolve(update.theirs)[1] != update.old:
            raise _race(remote, update.theirs)
        if update.new is None:
            transaction.delete(update.theirs)
        else:
            transaction.set(update.theirs, update.new)
    about = also(transaction) if also is not None else _names(updates)
    if streams is not None:
        streams(transaction)
    if ledgers:
        take_ledgers(workspace.repo.store, repo.store, transaction, workspace.view())
    if also is None and not transaction.changes:
        return ""
    try:
        if remote.publisher is not None:
            return _offer(remote.publisher, repo, transaction)
        repo.publish(transaction, workspace.act("push", f"push: {about}"))
    except RefMovedError as error:
        if error.name in EXCHANGED:  # somebody else's push taught it something meanwhile: put ours on top of that
            repo.refresh()
            return _publish(workspace, remote, updates, erased, also=also, streams=streams, ledgers=True)
        raise _race(remote, error.name) from error
    return ""


def _names(updates: Sequence[RefUpdate]) -> str:
    names = ", ".join(short_name(update.theirs) for update in updates[:5])
    return f"{names}{', ...' if len(updates) > 5 else ''}"


def _offer(publisher: Publisher, repo: Repository, transaction: Transaction) -> str:
    """Let a hub publish what a transaction would; of runs, which nobody moves, so many in one step."""
    view = transaction.view
    changes = [
        RefChange(name, view.resolve(name)[1], new)
        for name, new in transaction.changes.items()
        if not isinstance(new, Symbolic)
    ]
    runs = [change for change in changes if change.name.startswith(RUNS)]
    first = [change for change in changes if not change.name.startswith(RUNS)] + runs[:_STEP]
    steps = [first, *(runs[at : at + _STEP] for at in range(_STEP, len(runs), _STEP))]
    packs, said = tuple(repo.store.flush()), ""
    for step in steps:
        said += publisher.publish(Offer(repo.head.operation, tuple(step), packs)).output
        packs = ()
    repo.refresh()
    return said


def _race(remote: OpenRemote, name: str) -> PushRaceError:
    return PushRaceError(
        f"{short_name(name)} was pushed by somebody else at the same moment; nothing was overwritten",
        hint=f"dsvc pull {remote.settings.typed}, then push again",
        details={"ref": name},
    )


def _track(workspace: Workspace, remote: OpenRemote, updates: Sequence[RefUpdate]) -> None:
    """Let the refs that follow the remote here say what is there now."""
    if remote.settings.name is None:
        return
    changes: dict[str, Ref | None] = seen_changes(updates, remote.settings.name)
    for update in updates:
        found = mapped(remote.settings.fetch, update.theirs)
        if found is not None and update.outcome != "rejected" and found[0].startswith(REMOTES):
            changes[found[0]] = update.new
    publish_tracking(workspace, changes, workspace.act("push", f"push to {remote.settings.shown}"))
