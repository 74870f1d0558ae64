"""What an account of a hub gets in place of a shell: one repository, by the protocol, within its role."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from dsvc.errors import DsvcError
from dsvc.hub.audit import Entry, note_refusal
from dsvc.hub.folder import Hub, open_hub
from dsvc.hub.guarded import GuardedBackend, OverlayBackend
from dsvc.hub.names import is_repository, repository_folder, repository_name
from dsvc.hub.publishing import Desk, create_repository, publish
from dsvc.hub.quarantine import Quarantine
from dsvc.hub.rules import may
from dsvc.hub.visitor import HubRefusedError, Visitor, absent, find_visitor, terms_for
from dsvc.refs.transaction import RefMovedError
from dsvc.remotes.wire.frames import Stream
from dsvc.remotes.wire.publish import Offer, Published
from dsvc.remotes.wire.server import serve
from dsvc.storage.backend import Backend

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
            note_refusal(hub, Entry(time, zone, account, key, repository, "refused", error.message))

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
        folder = repository_folder(self._hub.repos, name)
        rules = self._hub.rules()
        fresh = not is_repository(folder)
        if fresh:
            if not create:
                raise absent(name, self._account)
            if not may(rules.create, role=visitor.role, account=visitor.account):
                raise HubRefusedError(
                    f"there is no repository {name}, and {visitor.account} ({visitor.role}) may not make one",
                    hint="check the remote's address, or ask an owner to push to it first",
                )
            folder.mkdir(parents=True, exist_ok=True)
        quarantine = Quarantine(self._hub.quarantine(name, visitor.account))
        quarantine.clean()
        repository = OverlayBackend(folder, quarantine)
        if fresh:
            time, zone = self._now()
            create_repository(repository, visitor, host=self._host, time=time, zone=zone)
        desk = Desk(self._hub, visitor, repository, quarantine, self._host, self._environment)
        return self._guarded(desk, visitor), quarantine.staging()

    def _guarded(self, desk: Desk, visitor: Visitor) -> GuardedBackend:
        def note(error: DsvcError) -> None:
            if not isinstance(error, RefMovedError):
                self._refused(error, visitor.repository)

        def take(offer: Offer) -> Published:
            time, zone = self._now()
            return publish(desk, offer, time=time, zone=zone)

        return GuardedBackend(
            desk.repository,
            desk.quarantine,
            visitor,
            limits=desk.hub.rules().limits,
            terms=lambda: terms_for(visitor, desk.hub.rules()),
            publish=take,
            refused=note,
        )
