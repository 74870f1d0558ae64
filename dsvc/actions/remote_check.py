"""Find out whether a remote's place does what a repository relies on, and how fast it is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.hub_upkeep import CHECK, refuse_on_hub
from dsvc.actions.remote_access import store_inside
from dsvc.config.keys import Value
from dsvc.config.settings import Config
from dsvc.config.values import as_bool
from dsvc.progress import Progress
from dsvc.remotes.address import FolderAddress, SshAddress, parse_address
from dsvc.remotes.check.checking import PlaceReport, check_place
from dsvc.remotes.opening import Place, PlaceMissingError, open_place, option
from dsvc.remotes.settings import SINGLE_WRITER, RemoteSettings, UnknownRemoteError, find_remote, read_remotes
from dsvc.remotes.wire.errors import RemoteAbsentError
from dsvc.storage.backend import Backend

MAKE_ONE = "a check makes no folder: check the address, or make an empty one there and try again"


@dataclass(frozen=True, slots=True)
class RemoteCheckResult:
    """Which place was looked at, and what was found."""

    remote: RemoteSettings
    address: str
    report: PlaceReport


def check_remote(
    settings: RemoteSettings,
    *,
    directory: Path,
    environment: Mapping[str, str],
    progress: Progress,
    quick: bool = False,
) -> RemoteCheckResult:
    """Try a remote's place, with a repository in it or not; what is written there is removed again.

    A relative folder counts from `directory`. No repository is needed on this side.

    Raises:
        PlaceMissingError, RemoteAbsentError: for a folder that is not there. HubUpkeepError: for one on a hub.
        RemoteError: when the place cannot be reached.
    """
    address = parse_address(settings.push_url or settings.url, directory=directory)
    inside = store_inside(address)
    told = settings.place_options
    single_writer = as_bool(option(told, "s3", SINGLE_WRITER, default=False)) is True
    with tempfile.TemporaryDirectory(prefix="dsvc-check-") as name:
        scratch = Path(name) / "scratch"
        scratch.mkdir()

        def at(options: Mapping[str, Value]) -> Place:
            try:
                return open_place(
                    FolderAddress(inside) if inside is not None else address,
                    options=options,
                    environment=environment,
                    staging=lambda: scratch,
                    limit_rate=0,
                )
            except (PlaceMissingError, RemoteAbsentError) as error:
                if error.hint is None or not error.hint.startswith("check the"):
                    raise  # it says what else is wrong there
                raise type(error)(error.message, hint=MAKE_ONE) from error

        def opened(unconditional: bool) -> Backend:  # noqa: FBT001
            return at({**told, SINGLE_WRITER: True} if unconditional else told).backend

        if isinstance(address, SshAddress):
            place = at(told)
            what = "write what the check would try"
            try:
                refuse_on_hub(place.publisher(), str(address), shown=settings.shown, what=what, command=CHECK)
            finally:
                place.backend.close()

        report = check_place(opened, scratch, single_writer=single_writer, quick=quick, progress=progress)
    return RemoteCheckResult(settings, str(address), report)


def remote_to_check(config: Config, text: str | None) -> RemoteSettings:
    """Return the remote of that name or at that address; without one origin, or the only one.

    Raises:
        UnknownRemoteError: when there is none.
    """
    if text is not None:
        return find_remote(config, text)
    remotes = read_remotes(config)
    if "origin" in remotes:
        return remotes["origin"]
    if len(remotes) == 1:
        return next(iter(remotes.values()))
    raise UnknownRemoteError(
        "which remote?", hint=f"there are: {', '.join(remotes)}" if remotes else "dsvc remote check ADDRESS"
    )
