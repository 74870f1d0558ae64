"""What an account of a hub gets in place of a shell: one repository, by the protocol, within its role."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dsvc.errors import BusyError, DsvcError, NotARepositoryError
from dsvc.hub.attic import begin_putting_away, is_due
from dsvc.hub.audit import Entry, note
from dsvc.hub.folder import Hub, open_hub
from dsvc.hub.guarded import GuardedBackend, OverlayBackend
from dsvc.hub.located import Located, locate
from dsvc.hub.names import repository_folder, repository_name
from dsvc.hub.quarantine import Quarantine
from dsvc.hub.rules import may
from dsvc.hub.visitor import HubRefusedError, Visitor, absent, find_visitor, terms_for
from dsvc.refs.log import CELL as HEAD
from dsvc.refs.log import DELETED
from dsvc.refs.moved import RefMovedError
from dsvc.remotes.wire.forks import HubFork, Relative
from dsvc.remotes.wire.frames import Stream
from dsvc.remotes.wire.publish import Offer, Published
from dsvc.remotes.wire.server import serve
from dsvc.repo.family import UnfinishedForkError
from dsvc.repo.forking import TakenError, join_pool
from dsvc.repo.format import FAR, read_format, write_format
from dsvc.repo.member import HERE, member_of
from dsvc.storage.backend import Backend
from dsvc.storage.local import LocalBackend

if TYPE_CHECKING:  # the checks of a push, which a fetch does without
    from dsvc.hub.held import Held
    from dsvc.hub.publishing import Desk

_MOST_NOTED = 100  # refusals of one connection that are written down


def hub_shell(
    folder: Path,
    *,
    account: str,
    key: str,
    command: str | None,
    stream: Callable[[], Stream],
    now: Callable[[], tuple[int, int]],
    host: str,
    environment: Mapping[str, str],
) -> None:
    """Serve the repository that `command` (what the near end asked sshd to run) names, until the near end leaves.

    `now` gives the time in microseconds and the zone in minutes. `environment` is what hooks run in. Whatever is
    refused is written down in the hub and changes nothing.

    Raises:
        HubRefusedError: for any other command than `dsvc hub serve PATH`. RemoteError: what the near end was told.
    """
    hub = open_hub(folder)
    noted = 0

    def refused(error: DsvcError, repository: str = "") -> None:
        nonlocal noted
        noted += 1
        if noted <= _MOST_NOTED:
            time, zone = now()
            note(hub, Entry(time, zone, account, key, repository, "refused", error.message))

    try:
        path = served_path(command)
    except DsvcError as error:
        refused(error)
        raise

    visit = _Visit(hub, account, key, now=now, host=host, environment=environment, refused=refused)

    def open_backend(create: bool) -> tuple[Backend, Path]:  # noqa: FBT001
        name = ""
        try:
            name = repository_name(path)
            return visit.open(name, create=create)
        except DsvcError as error:
            refused(error, name)
            raise

    told = noted
    try:
        serve(open_backend, stream())
    except DsvcError as error:
        if noted == told:
            refused(error)
        raise


def served_path(command: str | None) -> str:
    """Return the path in `dsvc hub serve PATH`, however the first word leads to dsvc.

    Nothing of the command is ever run: it is only taken apart into words.

    Raises:
        HubRefusedError: for everything else.
    """
    if not command:
        raise HubRefusedError(
            "this account is for dsvc alone, there is no shell here", hint="dsvc clone ssh://HOST/REPOSITORY"
        )
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:1] and words[-3:-1] == ["hub", "serve"]:
        program = words[:-3]
        dsvc = len(program) == 1 and os.path.basename(program[0]) == "dsvc"
        if dsvc or (len(program) == 3 and program[1:] == ["-m", "dsvc"]):
            return words[-1]
    raise HubRefusedError(f"this account runs nothing but 'dsvc hub serve REPOSITORY', not {command[:200]!r}")


class _Visit:
    """One connection of an account."""

    def __init__(
        self,
        hub: Hub,
        account: str,
        key: str,
        *,
        now: Callable[[], tuple[int, int]],
        host: str,
        environment: Mapping[str, str],
        refused: Callable[[DsvcError, str], None],
    ) -> None:
        self._hub, self._account, self._key = hub, account, key
        self._now, self._host, self._environment = now, host, environment
        self._refused = refused

    def open(self, name: str, *, create: bool) -> tuple[Backend, Path]:
        """Return the guarded backend of a repository, and where its uploads arrive.

        Raises:
            RemoteError: when it is not there for this account.
        """
        visitor = find_visitor(self._hub, account=self._account, key=self._key, repository=name)
        try:
            located = locate(self._hub.repos, name)
        except NotARepositoryError as error:
            if not create or isinstance(error, UnfinishedForkError):
                raise absent(name, self._account) from error
            located = self._create(visitor)
        quarantine = Quarantine(self._hub.quarantine(name, visitor.account))
        quarantine.clean()
        pool = OverlayBackend(located.pool, quarantine)

        def desk() -> Desk:
            from dsvc.hub.publishing import Desk

            return Desk(
                self._hub, visitor, located, requests.hold, guarded.shown_packs, self._host, self._environment
            )

        requests = _Requests(desk, self._now, quarantine)
        if is_due(self._hub, located):  # whoever should have done it died
            begin_putting_away(self._hub, name)

        def note(error: DsvcError) -> None:
            if not isinstance(error, RefMovedError):
                self._refused(error, visitor.repository)

        guarded = GuardedBackend(
            located.seen(pool),
            quarantine,
            visitor,
            limits=self._hub.rules().limits,
            counter=requests,
            path_of=located.path,
            terms=lambda: terms_for(visitor, self._hub.rules()),
            refused=note,
        )
        return guarded, quarantine.staging()

    def _create(self, visitor: Visitor) -> Located:
        """Make the repository that somebody pushes to first.

        Raises:
            HubRefusedError: when they may not.
        """
        name = visitor.repository
        if not may(self._hub.rules().create, role=visitor.role, account=visitor.account):
            raise HubRefusedError(
                f"there is no repository {name}, and {visitor.account} ({visitor.role}) may not make one",
                hint="check the remote's address, or ask an owner to push to it first",
            )
        from dsvc.hub.publishing import create_repository

        folder = repository_folder(self._hub.repos, name)
        folder.mkdir(parents=True, exist_ok=True)
        time, zone = self._now()
        with closing(LocalBackend(folder)) as place, suppress(BusyError, TakenError):  # somebody else was faster
            record = read_format(place)
            if record is not None and record.pointer is not None:  # of a fork that was not finished, or is deleted
                write_format(place, FAR, before=record)
            if place.read_cell(HEAD) == DELETED:  # of a repository that was here, whose forks have their packs here
                join_pool(
                    place,
                    lambda member: create_repository(
                        member_of(place, member), place.staging, visitor, host=self._host, time=time, zone=zone
                    ),
                    place=HERE,
                )
            else:
                create_repository(place, place.staging, visitor, host=self._host, time=time, zone=zone)
        return locate(self._hub.repos, name)


class _Requests:
    """What an account asks for over one connection. What each needs is loaded when it is asked for."""

    def __init__(
        self, desk: Callable[[], Desk], now: Callable[[], tuple[int, int]], quarantine: Quarantine
    ) -> None:
        self._desk, self._now, self._quarantine = desk, now, quarantine
        self._held: Held | None = None

    def hold(self) -> Held:
        """Return the packs of what is pushed over this connection."""
        from dsvc.hub.held import Held

        if self._held is None:
            self._held = Held(self._quarantine)
        return self._held

    def end(self) -> None:
        """See `Counter.end`."""
        if self._held is not None:
            self._held.close()

    def publish(self, offer: Offer) -> Published:
        """See `Publisher.publish`."""
        from dsvc.hub.publishing import publish

        time, zone = self._now()
        return publish(self._desk(), offer, time=time, zone=zone)

    def fork(self, target: str) -> HubFork:
        """See `Forker.fork`."""
        from dsvc.hub.forks import fork_here

        time, zone = self._now()
        desk = self._desk()
        return fork_here(desk.hub, desk.located, desk.visitor, target, host=desk.host, time=time, zone=zone)

    def forks(self) -> list[Relative]:
        """See `Forker.forks`."""
        from dsvc.hub.forks import family_for

        desk = self._desk()
        return family_for(desk.hub, desk.located, desk.visitor.account)

    def unfork(self) -> int:
        """See `Unforker.unfork`."""
        from dsvc.hub.deleting import delete_own_fork

        time, zone = self._now()
        desk = self._desk()
        return delete_own_fork(desk.hub, desk.located, desk.visitor, time=time, zone=zone)

    def tells_parent(self) -> bool:
        """See `Counter.tells_parent`."""
        from dsvc.hub.forks import may_know_parent

        desk = self._desk()
        return may_know_parent(desk.hub, desk.located, desk.visitor.account)
