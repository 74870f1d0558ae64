"""Which refs of runs go along with a push and a fetch: names that are made once, exchanged as a set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.remote_access import OpenRemote
from dsvc.errors import IntegrityError
from dsvc.objects.ids import Kind
from dsvc.refs.names import RUNS
from dsvc.refs.removals import is_outranked
from dsvc.refs.view import Direct, View
from dsvc.remotes.settings import RemoteSettings
from dsvc.remotes.transfer.once import Level, Named, compare, lacking
from dsvc.remotes.transfer.view_nodes import bring_view_nodes
from dsvc.workspace import Workspace

OPTION = "runs"  # of a remote: false leaves runs and models out, "push" out of every fetch


class RunsToPush(NamedTuple):
    """What a push does with refs of runs, and the view here in which they were looked up."""

    updates: tuple[RefUpdate, ...]
    view: View


def takes_runs(
    settings: RemoteSettings, refspecs: Sequence[str], *, wanted: bool | None, push: bool = False
) -> bool:
    """Say whether runs and models go along: as told, else with everything that names no refs of its own."""
    if wanted is not None:
        return wanted
    told = str(settings.options.get(OPTION, True)).lower()
    return not refspecs and told != "false" and (push or told != "push")


def runs_to_push(workspace: Workspace, remote: OpenRemote, *, thorough: bool, mirror: bool) -> RunsToPush:
    """Return the runs here that the remote has not; `thorough` compares all, not only those that are new here.

    For a `mirror` also those that are there alone, which go.
    """
    ours, theirs = workspace.view(), remote.view()
    if mirror:
        found = compare(ours, theirs, RUNS)
        gone = [RefUpdate(name, None, ref, None, "deleted") for name, ref in found.theirs]
        return RunsToPush((*_new(found.ours), *gone), ours)
    since = None if thorough or remote.created else _level(workspace, remote).view(workspace.repo.store)
    lacks = lacking(ours, theirs, RUNS, since=since)
    return RunsToPush(_new((name, ref) for name, ref in lacks if not is_outranked(name, theirs)), ours)


def _new(found: Iterable[Named]) -> tuple[RefUpdate, ...]:
    return tuple(RefUpdate(name, name, None, ref, "new") for name, ref in found if ref.kind == Kind.RUN)


def note_pushed(workspace: Workspace, remote: OpenRemote, pushed: RunsToPush) -> None:
    """Remember that the remote has all runs of that view."""
    _level(workspace, remote).set(pushed.view)


def runs_to_fetch(workspace: Workspace, remote: OpenRemote, *, jobs: int) -> tuple[Named, ...]:
    """Return the runs of the remote that are not here, without those that were removed on either side."""
    ours, theirs = workspace.view(), remote.view()
    bring_view_nodes(remote.repo.store, theirs, RUNS, jobs=jobs)
    found = ((name, ref) for name, ref in compare(ours, theirs, RUNS).theirs if ref.kind == Kind.RUN)
    return tuple((name, ref) for name, ref in found if not (is_outranked(name, ours) or is_outranked(name, theirs)))


def note_fetched(workspace: Workspace, remote: OpenRemote) -> None:
    """Remember whether the remote has all runs that are here now, so that the next push need not compare them."""
    level, ours = _level(workspace, remote), workspace.view()
    left = compare(ours, remote.view(), RUNS).ours
    if not left:
        level.set(ours)
        return
    try:
        since = level.view(workspace.repo.store)
        if since is not None and any(since.get(name) is not None for name, _ in left):
            level.forget()  # the remote lost some, or is another one
    except IntegrityError:
        level.forget()


def require_runs(workspace: Workspace, remote: OpenRemote, runs: Sequence[tuple[str, Direct]]) -> None:
    """Make sure that the records of these runs have arrived.

    Raises:
        RemoteIncompleteError: naming the first one that has not.
    """
    from dsvc.remotes.transfer.fetching import RemoteIncompleteError

    for name, ref in runs:
        if not workspace.repo.store.has(ref.id, ref.kind):
            remedy = f"dsvc fsck --remote {remote.settings.typed}"
            raise RemoteIncompleteError(f"{remote.settings.shown} lacks {name}, which it names", hint=remedy)


def _level(workspace: Workspace, remote: OpenRemote) -> Level:
    return Level(workspace.cache / "remotes" / f"{remote.folder.name}.runs", remote.address)
