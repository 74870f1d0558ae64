"""The runs that belong to a merge request: those its commits name, and those that explain what its merge makes."""

from __future__ import annotations

from collections.abc import Iterable

from dsvc.actions.fetch import bring_tips
from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.remote_access import steadily
from dsvc.actions.request_access import RequestPlace
from dsvc.actions.run_refs import note_fetched, require_runs, runs_to_fetch, takes_runs
from dsvc.actions.runs import run_of
from dsvc.actions.tracking import publish_tracking
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import only_in
from dsvc.objects.ids import CommitId, Kind, ObjectId, RunId
from dsvc.refs.view import Direct, Ref, View
from dsvc.remotes.transfer.arrivals import Arrivals
from dsvc.runs.names import removal_ref, run_ref


def bring_runs(place: RequestPlace, ancestry: Ancestry, base: CommitId, head: CommitId, *, jobs: int) -> list[RunId]:
    """Make known here what runs the remote has, and return those that a request's commits name.

    Whoever opens a request need not be somebody who may record runs in the remote: records come with the commits that
    name them, and have no names there.

    Raises:
        RemoteError, IntegrityError: see `fetch`.
    """
    workspace, remote = place.workspace, place.remote
    brought = only_in(ancestry, head, [base])
    named = list(dict.fromkeys(run for commit in brought for run in workspace.repo.commit(commit).runs))
    along = takes_runs(place.settings, (), wanted=None)

    def once() -> None:
        there = runs_to_fetch(workspace, remote, jobs=jobs) if along else ()
        bring_tips(workspace, remote, [ref for _, ref in there], jobs=jobs)
        require_runs(workspace, remote, there)
        changes: dict[str, Ref | None] = {**_names(place, named, workspace.view()), **dict(there)}
        publish_tracking(workspace, changes, workspace.act("fetch", f"fetch {place.settings.shown}: runs"))
        Arrivals(remote.inbox).clear()
        if along:
            note_fetched(workspace, remote)

    steadily(workspace, remote, once)
    return named


def run_updates(place: RequestPlace, runs: Iterable[RunId]) -> list[RefUpdate]:
    """Return the names that the remote is to have of these runs with a merge; none where runs are left out."""
    if not takes_runs(place.settings, (), wanted=None, push=True):
        return []
    names = _names(place, runs, place.remote.view())
    return [RefUpdate(name, None, None, ref, "new") for name, ref in names.items()]


def _names(place: RequestPlace, runs: Iterable[RunId], view: View) -> dict[str, Direct]:
    """Return the refs that a view lacks of these runs, but for those that were removed or whose name is taken."""
    found: dict[str, Direct] = {}
    for run_id in runs:
        run = run_of(place.workspace, run_id)
        if run is not None and view.get(run_ref(run.key)) is None and view.get(removal_ref(run.key)) is None:
            found[run_ref(run.key)] = Direct(Kind.RUN, ObjectId(run_id))
    return found
