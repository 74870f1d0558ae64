"""A push where history was cut: what is sent has its parents at the remote, whatever is here."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from dsvc.actions.remote_access import OpenRemote
from dsvc.actions.revision import ancestry_below
from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.history.walk import walk
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.values import decode_commit
from dsvc.remotes.transfer.history_reader import HistoryReader, NotThereError
from dsvc.repo.cuts import without_parents
from dsvc.repo.reachable import Target
from dsvc.workspace import Workspace

_MOST = 10_000  # commits of others that are looked through


class ShallowPushError(RequestError):
    """What would be pushed builds on commits that neither side has."""

    def __init__(self, commit_id: bytes, remote: OpenRemote) -> None:
        super().__init__(
            f"commit {commit_id.hex()[:10]} builds on one that was left out of this shallow clone, and "
            f"{remote.settings.shown} has neither; nothing was pushed",
            hint="dsvc fetch --unshallow brings what is missing; then push again",
            details={"commit": commit_id.hex()},
        )


def ancestry_for_push(workspace: Workspace, remote: OpenRemote, commits: Iterable[CommitId]) -> Ancestry:
    """Return the commits as a push walks through them: it stops where history is cut here, and there."""
    cut = remote.repo.cut
    if not cut:
        return ancestry_below(workspace, commits)
    repo = workspace.repo
    return Ancestry(lambda i: without_parents(repo.walked(i), cut), None)


def require_history_there(
    workspace: Workspace,
    remote: OpenRemote,
    ancestry: Ancestry,
    tips: Iterable[Target],
    *,
    known: Collection[CommitId],
    jobs: int,
) -> None:
    """Make sure that the remote has what commits build on that are to be sent and whose parents were left out here.

    Raises:
        ShallowPushError: naming the first one of which that is not so. RemoteError: when it breaks off.
    """
    cut = workspace.repo.cut
    if not cut:
        return
    peeled = (workspace.repo.peel(kind, ObjectId(wanted)) for kind, wanted in tips)
    starts = [CommitId(wanted) for kind, wanted in peeled if kind == Kind.COMMIT]
    sent = [step.id for step in walk(ancestry, starts, hidden=sorted(known))] if starts else []
    open_ = {i for i in sent if cut.intersection(workspace.repo.commit(i).parents)}
    if not open_:
        return
    parents = {i: cut.intersection(workspace.repo.commit(i).parents) for i in open_}
    reached = _reached_there(workspace, remote, open_ | {p for found in parents.values() for p in found}, jobs=jobs)
    for commit_id in sorted(open_):
        if commit_id not in reached and not parents[commit_id] <= reached:
            raise ShallowPushError(commit_id, remote)


def _reached_there(workspace: Workspace, remote: OpenRemote, wanted: set[CommitId], *, jobs: int) -> set[CommitId]:
    """Return those of some commits that the remote's refs reach, from the newest on until all are found."""
    folder = remote.berth.path() / "look"
    try:
        return wanted & _read_until(workspace, remote, wanted, folder, jobs=jobs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_until(
    workspace: Workspace, remote: OpenRemote, wanted: set[CommitId], folder: Path, *, jobs: int
) -> set[CommitId]:
    level = {CommitId(ref.id) for _, ref in remote.view().tips() if ref.kind == Kind.COMMIT}
    seen: set[CommitId] = set()
    reader = HistoryReader(workspace.repo.store, remote.repo, folder, jobs=jobs, name=remote.settings.shown)
    while level and not wanted <= seen | level and len(seen) < _MOST:
        seen |= level
        try:
            read = reader.read(((Kind.COMMIT, bytes(i)) for i in sorted(level)), mark=False)
        except NotThereError:
            break  # history is cut there, too
        level = {p for payload in read.values() for p in decode_commit(payload).parents if p not in seen}
    return seen | level


