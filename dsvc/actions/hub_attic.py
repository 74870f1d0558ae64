"""Take off a hub's repository what its refs do not reach any more, and keep it where no account sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.gc import collect
from dsvc.atomic import temporary_name
from dsvc.history.ancestry import Ancestry
from dsvc.history.walk import walk
from dsvc.hub.attic import PutAway, bundle_path, in_attic, refuse_other_user, remove_old, settle_due, take_due, turn
from dsvc.hub.audit import keep_operations
from dsvc.hub.folder import Hub, open_hub
from dsvc.hub.located import Located, locate, opened
from dsvc.hub.names import repository_name
from dsvc.objects.ids import CommitId, Kind, ObjectId, OperationId
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.values import Operation
from dsvc.progress import Progress
from dsvc.refs.names import HEADS, NAMED, TAGS, short_name
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, View
from dsvc.remotes.transfer.bundling import NothingToBundleError, Sources, write_bundle
from dsvc.repo.reachable import Marks, mark
from dsvc.repo.repository import Repository
from dsvc.workspace import MAIN


class Removed(NamedTuple):
    """What a ref named, which no branch or tag reaches now; `now` is what it names instead."""

    ref: str
    before: Direct
    now: Direct | None


class PutAwayResult(NamedTuple):
    """What went to the attic, and the stored bytes that went off the list (roughly).

    `left_to_others`: somebody waits already to do the same.
    """

    bundles: tuple[PutAway, ...]
    freed: int
    left_to_others: bool = False


def attic(path: Path, repository: str | None = None) -> list[PutAway]:
    """Return what lies in the attic of a hub."""
    return list(in_attic(open_hub(path), None if repository is None else repository_name(repository)))


def put_away(path: Path, repository: str, *, now: int, always: bool = False, progress: Progress) -> PutAwayResult:
    """Bundle what branches and tags of a repository reached once, and list nothing any more that no ref reaches.

    The operation log is cut before the newest operation: what it said goes to the attic too, where `hub log` reads it.
    Without anything that was removed nothing is done, unless `always`. `now` is in microseconds. What lay in the attic
    for longer than the rules say goes.

    Raises:
        NotARepositoryError: where there is none. RequestError: for another user than the hub's. What
        `dsvc.actions.gc.collect` raises; then nothing went off the list.
    """
    hub = open_hub(path)
    name = repository_name(repository)
    located = locate(hub.repos, name)
    refuse_other_user(hub)
    remove_old(hub, now=now)
    with turn(hub, located) as mine:
        if not mine:
            return PutAwayResult((), 0, left_to_others=True)
        always = take_due(hub, name) or always
        located = locate(hub.repos, name)  # it may have been deleted, or made anew, while this one waited
        with opened(located) as repo:
            operations = list(repo.log.walk(repo.head.operation))
            removed = _removed(repo, operations)
            freed = 0
            if removed or always:
                if hub.rules().attic_days:
                    _bundle(hub, located, repo, removed, now=now, progress=progress)
                keep_operations(hub, name, operations)
                # What somebody else takes away meanwhile is reached by the operation that was the newest.
                freed = collect(repo, now=now, since=operations[0][0], progress=progress).freed
        settle_due(hub, name)
    return PutAwayResult(tuple(one for one in in_attic(hub, name) if one.time == now), freed)


def _removed(repo: Repository, operations: Sequence[tuple[OperationId, Operation]]) -> list[Removed]:
    """Return what branches, tags, models and deployments named at some operation, newest first, and no ref reaches now.

    Of several commits that one of them reaches it is that one; a tag object is named by itself.
    """
    view = repo.view()
    once: dict[tuple[str, Direct], None] = {}
    for _, operation in operations:
        after = View(repo.store, operation.view)
        for parent in operation.parents:
            with suppress(ObjectMissingError):  # the log was cut there
                before = repo.log.view(parent)
                for prefix in (HEADS, TAGS, *NAMED):
                    for name, old, _ in before.differences(after, prefix):
                        if isinstance(old, Direct) and old != view.get(name):
                            once[name, old] = None
    if not once:
        return []
    lost = _lost_commits(repo, view, once)
    others = {key[1] for key in once if key[1].kind != Kind.COMMIT and not lost.get(key)}
    gone = _not_reached(repo, view, others)
    found, taken = [], set[ObjectId]()
    for name, old in once:
        if old.id not in taken and (lost.get((name, old)) or old in gone):
            taken.add(old.id)
            now = view.get(name)
            found.append(Removed(name, old, now if isinstance(now, Direct) else None))
    return found


def _lost_commits(repo: Repository, view: View, once: Iterable[tuple[str, Direct]]) -> dict[tuple[str, Direct], bool]:
    """Say of refs to commits that no branch or tag reaches whether no other one of these reaches them either."""
    ancestry = Ancestry(repo.walked)
    commits = {key: CommitId(i) for key in once for kind, i in [_peeled(repo, key[1])] if kind == Kind.COMMIT}
    steps = walk(ancestry, sorted(set(commits.values())), hidden=_current_commits(repo, view)) if commits else ()
    lost = {step.id for step in steps}
    inner = {ancestry.id(p) for i in lost for p in ancestry.parents(ancestry.node(i))}
    return {key: commit not in inner for key, commit in commits.items() if commit in lost}


def _not_reached(repo: Repository, view: View, candidates: Collection[Direct]) -> set[Direct]:
    """Return the objects that no ref reaches."""
    tips = {(ref.kind, bytes(ref.id)) for _, ref in view.tips()}
    left = {ref for ref in candidates if (ref.kind, bytes(ref.id)) not in tips}
    if not left:
        return set()
    marks = Marks(repo.store.packs, repo.head.packs.packs)
    mark(repo.store, marks, tips, failed=lambda _target, _error: None)
    return {ref for ref in left if not marks.is_marked((ref.kind, bytes(ref.id)))}


def _current_commits(repo: Repository, view: View) -> list[CommitId]:
    """Return the commits that branches and tags name, sorted."""
    tips = {_peeled(repo, ref) for name, ref in view.tips() if name.startswith((HEADS, TAGS))}
    return sorted(CommitId(ObjectId(i)) for kind, i in tips if kind == Kind.COMMIT)


def _peeled(repo: Repository, ref: Direct) -> tuple[Kind, ObjectId]:
    return repo.peel(ref.kind, ref.id)


def _bundle(
    hub: Hub, located: Located, repo: Repository, removed: Sequence[Removed], *, now: int, progress: Progress
) -> None:
    ancestry = Ancestry(repo.walked)
    reached = _current_commits(repo, repo.view())
    there = {(one.ref, one.target) for one in in_attic(hub, located.name)}  # by one that came no further
    for one in removed:
        if (one.ref, one.before.id.hex()) in there:
            continue
        path = bundle_path(hub, located.name, time=now, ref=one.ref, target=one.before.id)
        sources = Sources(
            repo,
            ancestry,
            lambda ref: located.path(ref.key),
            located.pool / "tmp" / temporary_name("attic"),
            None,
            MAIN,
            Act("bundle", f"put away: {short_name(one.ref)}", "hub", "", "hub", now, 0),
            progress,
        )
        beside = _beside(repo, one)
        with suppress(NothingToBundleError):
            write_bundle(sources, path, {one.ref: one.before}, reached, using=beside)


def _beside(repo: Repository, one: Removed) -> list[CommitId]:
    """Return the commit that stands in the place of another one: most files are in both."""
    if one.now is None:
        return []
    kind, target = _peeled(repo, one.now)
    return [CommitId(target)] if kind == Kind.COMMIT else []
