"""Bring branches and tags to a remote, with everything they reach that it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from dsvc.actions.advice import find_advice, objection
from dsvc.actions.delivery import deliver
from dsvc.actions.first_push import FirstPush, guess_first_push
from dsvc.actions.model_refs import models_to_push
from dsvc.actions.outgoing import Lease, choose, judge, tips_of
from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.remote_access import OpenRemote, open_remote, steadily
from dsvc.actions.run_refs import RunsToPush, runs_to_push, takes_runs
from dsvc.actions.stream_push import streams_to_push
from dsvc.actions.upstream import set_upstream
from dsvc.errors import DivergedError
from dsvc.refs.names import HEADS
from dsvc.remotes.opening import PlaceMissingError
from dsvc.remotes.settings import RemoteSettings
from dsvc.remotes.transfer.sending import Sent
from dsvc.repo.format import REFERENCES
from dsvc.workspace import Workspace


class PushRejectedError(DivergedError):
    """A ref of the remote has what is not here, or may not be moved."""


class PushResult(NamedTuple):
    """Which refs were pushed or refused, what was sent, and which upstreams were set (branch, remote's branch).

    `created` says that there was no repository before, `said` is what hooks of a hub printed, `runs` the full names of
    the runs that went along (and with a mirror of those that went away).
    """

    remote: RemoteSettings
    address: str
    updates: tuple[RefUpdate, ...]
    sent: Sent
    upstreams: tuple[tuple[str, str], ...] = ()
    created: bool = False
    said: str = ""
    runs: tuple[str, ...] = ()

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
    follow_tags: bool = False,
    mirror: bool = False,
    delete: bool = False,
    prune: bool = False,
    force: bool = False,
    leases: Sequence[Lease] = (),
    set_up: bool = False,
    runs: bool | None = None,
    dry_run: bool = False,
    rules: bool = True,
    jobs: int = 4,
) -> PushResult:
    """Send what a remote lacks, then move those of its refs that may be moved, in one operation.

    Without `refspecs` the current branch goes to the branch of its name there, which becomes its upstream. `every`
    takes all branches, `tags` all tags too, `follow_tags` those with a message that belong to what is pushed.
    `mirror` makes the shared refs there what they are here; `prune` deletes there what a pattern, `every` or `tags`
    speaks of and what is not here. A branch moves forward only, unless `force` is set, its refspec begins with +, or a
    lease says what it must be. Refs that may not be moved are reported, and so are those of which the project's
    `.dsvcrules` say so, unless `rules` is off. Whoever else pushes meanwhile loses nothing.

    `runs` says whether all runs here that are not there go along, and models that were changed here; None: where no
    refs are named, unless the remote's option says otherwise. With True all runs are compared, else those that are new.

    Raises:
        RemoteError: when the remote cannot be reached or breaks off; what arrived is used by the next push.
        PushRaceError: when somebody moved the same ref meanwhile. RequestError: when there is nothing of that name.
    """
    chosen = choose(
        workspace,
        settings,
        refspecs,
        every=every,
        tags=tags,
        mirror=mirror,
        delete=delete,
        prune=prune,
        follow_tags=follow_tags,
    )
    guesses: list[FirstPush | None] = []

    def guess() -> None:
        if not (dry_run or delete):
            tips = [(ref.kind, bytes(ref.id)) for ref in tips_of(workspace, chosen)]
            guesses.append(guess_first_push(workspace, settings, tips))

    create = not (dry_run or delete)
    with _as_tried(dry_run), open_remote(workspace, settings, create=create, push=True, meanwhile=guess) as remote:
        streams_made = streams_to_push(workspace, remote)
        if workspace.repo.may_have_datasets and remote.publisher is None and not (dry_run or delete):
            remote.repo.expect_datasets()  # a hub does that itself

        def once() -> PushResult:
            updates = judge(workspace, remote, chosen, force=force, leases=leases)
            if rules:
                updates = _advised(workspace, remote, updates)
            found: RunsToPush | None = None
            if not delete and takes_runs(settings, refspecs, wanted=runs, push=True):
                found = runs_to_push(workspace, remote, thorough=bool(runs), mirror=mirror)
                if settings.name is not None and not mirror:
                    listed = {update.theirs for update in updates}
                    models = models_to_push(workspace.view(), remote.view(), settings.name)
                    updates += [update for update in models if update.theirs not in listed]
            sent, said = Sent(0, 0, 0), ""
            if not dry_run:
                if workspace.repo.needs(REFERENCES) and remote.publisher is None:  # a hub keeps its record itself
                    remote.repo.need(REFERENCES)
                streams = None if delete or streams_made is None else streams_made.add
                along = not delete and takes_runs(settings, refspecs, wanted=runs, push=True)
                first = guesses.pop() if guesses else None  # once: packs are on their way there afterwards
                sent, said = deliver(
                    workspace, remote, updates, runs=found, jobs=jobs, streams=streams, ledgers=along, first=first
                )
            follows = not dry_run and settings.name is not None and (set_up or chosen.follows)
            upstreams = _set_up(workspace, settings.shown, updates) if follows else ()
            names = tuple(update.theirs for update in found.updates) if found is not None else ()
            return PushResult(settings, remote.address, tuple(updates), sent, upstreams, remote.created, said, names)

        return steadily(workspace, remote, once)


@contextmanager
def _as_tried(dry_run: bool) -> Iterator[None]:  # noqa: FBT001
    """Say of a place without a repository what a push would have done there that was only tried."""
    try:
        yield
    except PlaceMissingError as error:
        if not dry_run:
            raise
        raise PlaceMissingError(error.message, hint="without --dry-run a first push makes one there") from error


def _advised(workspace: Workspace, remote: OpenRemote, updates: Sequence[RefUpdate]) -> list[RefUpdate]:
    """Reject what the project's own rules speak against, where the remote has no rules that it enforces."""
    advice = find_advice(workspace, remote)
    found = []
    for update in updates:
        against = objection(workspace, advice, update)
        if against is None:
            found.append(update)
        else:
            found.append(update._replace(outcome="rejected", reason=against[0], hint=against[1]))
    return found


def _set_up(workspace: Workspace, remote: str, updates: Sequence[RefUpdate]) -> tuple[tuple[str, str], ...]:
    """Write down the upstream of the branches that were pushed; return them with what they follow."""
    done = []
    for update in updates:
        ours, theirs = update.ours, update.theirs
        if update.outcome != "rejected" and ours and ours.startswith(HEADS) and theirs.startswith(HEADS):
            set_upstream(workspace, ours, remote=remote, branch_there=theirs)
            done.append((ours, theirs))
    return tuple(done)
