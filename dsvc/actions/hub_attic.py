"""Take off a hub's repository what its refs do not reach any more, and keep it where no account sees it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.gc import collect
from dsvc.atomic import temporary_name
from dsvc.history.ancestry import Ancestry
from dsvc.history.walk import walk
from dsvc.hub.attic import PutAway, bundle_path, in_attic, remove_old, turn
from dsvc.hub.audit import keep_operations
from dsvc.hub.folder import Hub, open_hub
from dsvc.hub.located import Located, locate, opened
from dsvc.hub.names import repository_name
from dsvc.objects.ids import CommitId, Kind, ObjectId, OperationId
from dsvc.objects.store import ObjectMissingError
from dsvc.objects.values import Operation
from dsvc.progress import Progress
from dsvc.refs.names import HEADS, TAGS, short_name
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, View
from dsvc.remotes.transfer.bundling import NothingToBundleError, Sources, write_bundle
from dsvc.repo.repository import Repository
from dsvc.workspace import MAIN

_DAY = 24 * 3600 * 1_000_000  # microseconds


class Removed(NamedTuple):
    """What a ref named, which no branch or tag reaches now; `now` is what it names instead."""

    ref: str
    before: Direct
    now: Direct | None


class PutAwayResult(NamedTuple):
    """What went to the attic, and the stored bytes that went off the list (roughly). `done`: others are at it."""

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
        NotARepositoryError: where there is none. What `dsvc.actions.gc.collect` raises; then nothing went off the list.
    """
    hub = open_hub(path)
    name = repository_name(repository)
    days = hub.rules().attic_days
    remove_old(hub, before=now - days * _DAY)
    with turn(hub, name) as mine:
        if not mine:
            return PutAwayResult((), 0, left_to_others=True)
        located = locate(hub.repos, name)
        with opened(located) as repo:
            operations = list(repo.log.walk(repo.head.operation))
            removed = _removed(repo, operations)
            if not removed and not always:
                return PutAwayResult((), 0)
            if days:
                _bundle(hub, located, repo, removed, now=now, progress=progress)
            keep_operations(hub, name, operations)
            # What somebody else takes away meanwhile is reached by the operation that was the newest.
            result = collect(repo, now=now, since=operations[0][0], progress=progress)
    bundles = tuple(one for one in in_attic(hub, name) if one.time == now)
    return PutAwayResult(bundles, result.freed)


def _removed(repo: Repository, operations: Sequence[tuple[OperationId, Operation]]) -> list[Removed]:
    """Return what refs named at some operation, newest first, and no branch or tag reaches now."""
    view = repo.view()
    once: dict[tuple[str, Direct], None] = {}
    for _, operation in operations:
        after = View(repo.store, operation.view)
        for parent in operation.parents:
            with suppress(ObjectMissingError):  # the log was cut there
                before = repo.log.view(parent)
                for prefix in (HEADS, TAGS):
                    for name, old, _ in before.differences(after, prefix):
                        if isinstance(old, Direct) and old != view.get(name):
                            once[name, old] = None
    if not once:
        return []
    ancestry = Ancestry(repo.walked)
    commits = {key: CommitId(ObjectId(i)) for key in once for kind, i in [_peeled(repo, key[1])] if kind == Kind.COMMIT}
    reached = current_commits(repo, view)
    lost = {step.id for step in walk(ancestry, sorted(set(commits.values())), hidden=reached)}
    inner = {ancestry.id(p) for i in lost for p in ancestry.parents(ancestry.node(i))}
    tags = {ref.id for name, ref in view.items(TAGS) if isinstance(ref, Direct)}
    found, taken = [], set[ObjectId]()
    for name, old in once:
        commit = commits.get((name, old))
        outer = commit in lost and commit not in inner
        if old.id not in taken and (outer or (old.kind == Kind.TAG and old.id not in tags)):
            taken.add(old.id)
            now = view.get(name)
            found.append(Removed(name, old, now if isinstance(now, Direct) else None))
    return found


def current_commits(repo: Repository, view: View) -> list[CommitId]:
    """Return the commits that branches and tags name, sorted."""
    tips = {_peeled(repo, ref) for name, ref in view.tips() if name.startswith((HEADS, TAGS))}
    return sorted(CommitId(ObjectId(i)) for kind, i in tips if kind == Kind.COMMIT)


def _peeled(repo: Repository, ref: Direct) -> tuple[Kind, ObjectId]:
    return repo.peel(ref.kind, ref.id)


def _bundle(
    hub: Hub, located: Located, repo: Repository, removed: Sequence[Removed], *, now: int, progress: Progress
) -> None:
    ancestry = Ancestry(repo.walked)
    reached = current_commits(repo, repo.view())
    for one in removed:
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
