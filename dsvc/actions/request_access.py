"""Reach the merge requests of a remote: what it has of them is brought here first, and read from here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from dsvc.actions.advice import find_advice
from dsvc.actions.fetch import bring_tips
from dsvc.actions.remote_access import OpenRemote, open_remote, steadily
from dsvc.actions.tracking import publish_tracking
from dsvc.errors import RequestError
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import REMOTES, REQUESTS, short_name
from dsvc.refs.view import Direct, Ref
from dsvc.remotes.refspec import mapped
from dsvc.remotes.settings import RemoteSettings
from dsvc.remotes.transfer.arrivals import Arrivals
from dsvc.remotes.transfer.fetching import fetch_states
from dsvc.requests.advice import FILE, Advice
from dsvc.requests.merge_request import MergeRequest, Recorded, read_request, read_requests
from dsvc.requests.names import commit_name, newest_number, parse_name, seen_prefix
from dsvc.requests.standing import Standing, standing
from dsvc.requests.terms import CELL, Terms, decode_terms
from dsvc.workspace import Workspace


class UnknownRequestError(RequestError):
    """A remote has no request of that number."""


class UnnamedRemoteError(RequestError):
    """Requests are looked at from a remote that has a name here."""

    def __init__(self, url: str) -> None:
        super().__init__(
            "what is known of requests is kept under the name of a remote, and this is an address",
            hint=f"dsvc remote add NAME '{url}'",
        )


@dataclass(frozen=True, slots=True)
class RequestPlace:
    """An open remote whose requests are known here.

    `terms` are what a hub asks, None where there is no hub; then `advice` is what the project asks, for dsvc to heed.
    """

    workspace: Workspace
    remote: OpenRemote
    terms: Terms | None
    advice: Advice = field(default_factory=Advice)

    @property
    def settings(self) -> RemoteSettings:
        """The remote's settings."""
        return self.remote.settings

    @property
    def prefix(self) -> str:
        """What comes before the names of its requests here."""
        return seen_prefix(self.settings.name or "")

    def find(self, number: int) -> MergeRequest:
        """Return a request.

        Raises:
            UnknownRequestError: when there is none of that number.
        """
        found = read_request(self.workspace.repo.store, self.workspace.view(), number, prefix=self.prefix)
        if found is None:
            newest = newest_number(self.remote.view())
            raise UnknownRequestError(
                f"{self.settings.shown} has no request {number}",
                hint="dsvc request list --all" if newest else "dsvc request open asks for a merge",
            )
        return found

    def each(self) -> list[MergeRequest]:
        """Return all requests, in order of their numbers."""
        found = read_requests(self.workspace.repo.store, self.workspace.view(), prefix=self.prefix)
        return sorted(found, key=lambda request: request.number)

    def refresh(self, *, jobs: int = 8) -> None:
        """See what others have done there since."""
        self.remote.repo.refresh()
        steadily(self.workspace, self.remote, lambda: _bring_events(self, jobs=jobs))

    def target(self, name: str) -> CommitId | None:
        """Return where a branch (full name) of the remote is, None where there is none."""
        return self.remote.view().commit(name)

    def has_seen(self, request: MergeRequest) -> bool:
        """Say whether the commits of a request were looked at here."""
        return self.workspace.view().get(self.prefix + commit_name(request.number, request.head)) is not None

    def standing(self, request: MergeRequest) -> Standing:
        """Return how far a request is with its approvals; on a hub roles and signatures are for the hub to judge."""
        target, advice = request.target, self.advice
        if self.terms is not None:
            return standing(request, wanted=self.terms.approvals(target))

        def objection(said: Recorded) -> str | None:
            return None if advice.may_approve(target, said.event.author) else f"not of those whom {FILE} asks"

        return standing(request, wanted=advice.approvals(target), objection=objection)

    def is_mine(self, recorded: Recorded) -> bool:
        """Say whether something was said by whoever works here."""
        if self.terms is not None and recorded.witness is not None:
            return recorded.witness.account == self.terms.account
        return recorded.event.author.email == self.workspace.person().email

    def bring_commits(self, request: MergeRequest, *, jobs: int = 8) -> CommitId | None:
        """Bring the commits of a request and those of its target; return where the target is.

        Raises:
            RemoteError, IntegrityError: see `fetch`.
        """
        tips = {self.prefix + commit_name(request.number, request.head): Direct(Kind.COMMIT, ObjectId(request.head))}
        return self._bring(tips, request.target, jobs=jobs)

    def bring_target(self, name: str, *, jobs: int = 8) -> CommitId | None:
        """Bring the commits of a branch of the remote; return where it is."""
        return self._bring({}, name, jobs=jobs)

    def _bring(self, tips: dict[str, Direct], target: str, *, jobs: int) -> CommitId | None:
        workspace, remote = self.workspace, self.remote

        def once() -> CommitId | None:
            changes: dict[str, Ref | None] = dict(tips)
            wanted = list(tips.values())
            commit = self.target(target)
            if commit is not None:
                wanted.append(Direct(Kind.COMMIT, ObjectId(commit)))
                found = mapped(self.settings.fetch, target)
                if found is not None and found[0].startswith(REMOTES):
                    changes[found[0]] = wanted[-1]
            bring_tips(workspace, remote, wanted, jobs=jobs)
            act = workspace.act("fetch", f"fetch {self.settings.shown}: what is to be merged into {short_name(target)}")
            publish_tracking(workspace, changes, act)
            Arrivals(remote.inbox).clear()
            return commit

        return steadily(workspace, remote, once)


@contextmanager
def open_requests(
    workspace: Workspace, settings: RemoteSettings, *, push: bool = False, rules: bool = True, jobs: int = 8
) -> Iterator[RequestPlace]:
    """Open a remote and bring what is said in its requests; their commits come when they are asked for.

    With `rules` off the project's own rules are not asked.

    Raises:
        UnnamedRemoteError: for a remote without a name. RemoteError: when it cannot be reached.
    """
    if settings.name is None:
        raise UnnamedRemoteError(settings.url)
    with open_remote(workspace, settings, push=push) as remote:
        told = remote.place.backend.read_cell(CELL) if remote.publisher is not None else None
        place = RequestPlace(workspace, remote, decode_terms(told) if told is not None else None)
        place.refresh(jobs=jobs)
        yield replace(place, advice=find_advice(workspace, remote)) if rules else place


def _bring_events(place: RequestPlace, *, jobs: int) -> None:
    """Let what is here of the requests be what the remote has; of their commits nothing comes."""
    workspace, remote = place.workspace, place.remote
    prefix, view = place.prefix, workspace.view()
    ours = {name.removeprefix(prefix): ref for name, ref in view.items(f"{prefix}{REQUESTS}")}
    theirs = dict(remote.view().items(REQUESTS))
    changes: dict[str, Ref | None] = {prefix + name: None for name in ours.keys() - theirs.keys()}
    wanted: list[bytes] = []
    for name, ref in theirs.items():
        found = parse_name(name)
        if found is None or found.part == "commits" or not isinstance(ref, Direct) or ref.kind != Kind.STATE:
            continue
        if ours.get(name) != ref:
            changes[prefix + name] = ref
            wanted.append(ref.id)
    if not changes:
        return
    fetch_states(
        workspace.repo.store,
        remote.repo,
        wanted,
        folder=remote.inbox,
        jobs=jobs,
        progress=workspace.progress,
        name=place.settings.shown,
    )
    publish_tracking(workspace, changes, workspace.act("fetch", f"fetch {place.settings.shown}: requests"))
    Arrivals(remote.inbox).clear()
