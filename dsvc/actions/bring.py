"""Fetch content into a partial clone when a command needs it, many files with one conversation."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from dsvc.actions.remote_access import open_remote
from dsvc.errors import BusyError, RemoteError, RequestError
from dsvc.objects.files import is_complete
from dsvc.objects.reliance import CollectedError
from dsvc.remotes.settings import RemoteSettings, read_remotes
from dsvc.remotes.transfer.arrivals import Arrivals
from dsvc.remotes.transfer.fetching import fetch_files
from dsvc.remotes.transfer.receiving import Received
from dsvc.repo.maintenance import list_packs
from dsvc.repo.tombstones import purged_files
from dsvc.workspace import Workspace

_ATTEMPTS = 5


class OfflineError(RemoteError):
    """Content is needed that is not here, and the remote may not be asked."""


class NotHereError(RequestError):
    """Content is needed that is not here, and no remote is known that has it."""


class BringResult(NamedTuple):
    """What was fetched of which remote."""

    remote: str
    received: Received


def attach(workspace: Workspace, *, offline: bool = False, jobs: int = 8) -> None:
    """Let a partial clone fetch content by itself whenever it is read; a full repository stays as it is.

    With `offline` reading content that is not here raises OfflineError instead.
    """
    if workspace.content_filter() is None:
        return

    lock = threading.Lock()  # threads that read ask too; whoever comes second finds the content here

    def fetch(file_ids: list[bytes]) -> None:
        with lock:
            repo = workspace.repo
            purged = purged_files(repo)  # those nobody has: whoever reads one says so, and the others come all the same
            lacking = [each for each in file_ids if each not in purged and not is_complete(repo.store, each)]
            if lacking:
                ask(lacking)

    def ask(file_ids: list[bytes]) -> None:
        if offline:
            raise OfflineError(
                f"the content of {_count(len(file_ids))} is not here, and this command is to stay offline",
                hint="leave --offline out, or fetch before: dsvc data get PATH",
                details={"ids": [file_id.hex() for file_id in file_ids[:100]]},
            )
        bring(workspace, file_ids, jobs=jobs)

    workspace.repo.store.bring = fetch


def bring(workspace: Workspace, file_ids: Sequence[bytes], *, jobs: int = 8) -> BringResult:
    """Fetch the content of files from the remotes of a partial clone, the first that has it.

    The content is stored for good when this returns.

    Raises:
        RemoteError, RemoteIncompleteError: of the last remote that was tried. NotHereError: when there is none.
    """
    remotes = [settings for settings in read_remotes(workspace.config).values() if "filter" in settings.options]
    failure: Exception | None = None
    for settings in remotes:
        try:
            return BringResult(settings.shown, _from(workspace, settings, file_ids, jobs=jobs))
        except (RemoteError, RequestError) as error:
            failure = failure or error
    if failure is not None:
        raise failure
    raise NotHereError(f"the content of {_count(len(file_ids))} is not here", hint="dsvc fsck")


def _from(workspace: Workspace, settings: RemoteSettings, file_ids: Sequence[bytes], *, jobs: int) -> Received:
    repo = workspace.repo
    with open_remote(workspace, settings) as remote:
        received = fetch_files(
            repo.store,
            remote.repo,
            file_ids,
            folder=remote.inbox,
            jobs=jobs,
            progress=workspace.progress,
            name=settings.shown,
        )
        for _ in range(_ATTEMPTS):
            try:
                repo.head = list_packs(repo.store, repo.head)
                Arrivals(remote.inbox).clear()
                return received
            except CollectedError:
                continue  # gc was faster than we: what it took is fetched again by whoever asks for it
    raise BusyError("the repository changes too often to take in what was fetched", hint="run the same command again")


def _count(files: int) -> str:
    return "one file" if files == 1 else f"{files} files"
