"""Check a remote from afar, and put sound copies in the place of what is damaged there or here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dsvc.actions.fsck import Damage, FsckResult, check
from dsvc.actions.hub_upkeep import REPAIR, refuse_on_hub
from dsvc.actions.remote_access import choose_remote, near_remote, tended_remote
from dsvc.errors import BusyError, IntegrityError, RequestError
from dsvc.objects.ids import Kind, PackId
from dsvc.progress import Progress
from dsvc.refs.salvage import mend_list, salvage_head
from dsvc.refs.transaction import Act
from dsvc.remotes.settings import RemoteSettings
from dsvc.repo.folding import fold
from dsvc.repo.mending import Harm, Mended, mend
from dsvc.repo.mendlog import LogMended, mend_head, mend_log
from dsvc.repo.poolclaims import claimed
from dsvc.repo.reachable import Target
from dsvc.repo.repository import Repository
from dsvc.workspace import Workspace

HERE = "."  # what one types to mean this repository
_ROUNDS = 20
_LOST = ("pack", "missing", "damaged")
_ATTEMPTS = 8


class RemoteCheck(NamedTuple):
    """What is wrong with a remote (None: here) now, and what was mended before: `found` counts what was damaged."""

    remote: RemoteSettings | None
    result: FsckResult
    found: int
    mended: MendResult
    segments: int


class MendResult(NamedTuple):
    """What is wrong after mending, and what was mended: objects and packs, and the operation log."""

    result: FsckResult
    objects: Mended
    log: LogMended


def check_remote(
    workspace: Workspace,
    settings: RemoteSettings,
    *,
    full: bool = False,
    repair_from: str | None = None,
    jobs: int = 8,
) -> RemoteCheck:
    """Check that a remote has everything which its refs and operations reach, and name whom damage hits.

    Without `full` packs are looked at by name, size and index, and history is read: everything but file content. With
    it every pack is read whole. With `repair_from`, a remote or `.` for this repository, sound copies from there
    replace what is damaged or missing, and the remote is checked again.

    Raises:
        OwnUpkeepError: for the repository of a working copy. HubUpkeepError: for one on a hub, with `repair_from`.
        RemoteError: when one of both cannot be reached.
        BadSourceError: when the copies are damaged too.
    """
    with tended_remote(workspace, settings, jobs=jobs, salvage=True) as remote:
        if repair_from is not None:
            what = "mend anything"
            refuse_on_hub(remote.publisher, remote.address, shown=settings.shown, what=what, command=REPAIR)
        repo = remote.repo
        result = _checked(workspace, settings, repo, full=full)
        found, segments = len(result.damage), 0
        mended = MendResult(result, Mended(), LogMended())
        if repair_from is not None and result.damage:
            segments = rewrite_segments(repo)
            if segments:
                result = _checked(workspace, settings, repo, full=full)
            with _source(workspace, settings, repair_from, jobs=jobs) as source:
                act = workspace.act("fsck", f"fsck: repair of {settings.shown}")
                mended = mend_from(
                    repo,
                    result,
                    source,
                    act=act,
                    check_again=lambda: _checked(workspace, settings, repo, full=full),
                    progress=workspace.progress,
                )
            result = mended.result
        return RemoteCheck(settings, result, found, mended, segments)


def repair_here(
    workspace: Workspace, source: RemoteSettings, *, deep: bool = True, partial: bool = False, jobs: int = 8
) -> RemoteCheck:
    """Check this repository, put sound copies from a remote in the place of what is damaged, and check again.

    Operations are on no remote: older ones that reach what is lost are cut off, and where the newest is lost the refs
    go back to those of the newest one that can be read.

    Raises:
        RemoteError: when the remote cannot be reached. BadSourceError: when the copies are damaged too.
    """
    repo = workspace.repo

    def look() -> FsckResult:
        return check(repo, deep=deep, partial=partial, progress=workspace.progress)

    result = look()
    found, segments = len(result.damage), 0
    mended = MendResult(result, Mended(), LogMended())
    if result.damage:
        segments = rewrite_segments(repo)
        if segments:
            result = look()
        act = workspace.act("fsck", f"fsck: repair from {source.shown}")
        try:
            back_to = mend_head(repo, act)  # without refs no remote can be opened
        except IntegrityError as error:
            error.hint = f"clone {source.shown} anew, and copy the files of this folder over"
            raise
        if back_to is not None:
            result = look()
        with near_remote(workspace, source, jobs=jobs) as remote:
            progress = workspace.progress
            mended = mend_from(repo, result, remote.repo, act=act, check_again=look, progress=progress)
        result = mended.result
        if back_to is not None:
            mended = mended._replace(log=mended.log._replace(back_to=back_to))
    return RemoteCheck(None, result, found, mended, segments)


def mend_from(
    repo: Repository,
    result: FsckResult,
    source: Repository,
    *,
    act: Act,
    check_again: Callable[[], FsckResult],
    progress: Progress,
) -> MendResult:
    """Mend what a check found with what `source` has, look again, and so on until nothing changes any more."""
    total, log = Mended(), LogMended()
    for _ in range(_ROUNDS):
        if not result.damage:
            break
        harm = harm_of(repo, result)
        step = mend(repo, harm, source.store, source.head.packs.packs, progress=progress)
        if not step.objects and not step.packs and not log.cut and log.back_to is None:
            log = mend_log(repo, act) if any(d.what in _LOST for d in result.damage) else log
            if not log.cut and log.back_to is None:
                break
        elif not step.objects and not step.packs:
            break
        total = Mended(total.objects + step.objects, total.size + step.size, total.packs + step.packs, step.unfound)
        repo.refresh()
        result = check_again()
    return MendResult(result, total, log)


def _checked(workspace: Workspace, settings: RemoteSettings, repo: Repository, *, full: bool) -> FsckResult:
    result = check(repo, deep=full, progress=workspace.progress)
    way = "--full --repair-from" if full else "--repair-from"  # without --full nobody would find it again
    hint = f"dsvc fsck --remote {settings.typed} {way} OTHER, a remote or '.', which is this repository"
    return result._replace(damage=tuple(d if d.what == "shape" else d._replace(hint=hint) for d in result.damage))


def rewrite_segments(repo: Repository) -> int:
    """Publish a list without segments that are lost, with new ones in their place; return how many were lost."""
    for _ in range(_ATTEMPTS):
        salvaged = salvage_head(repo.backend)
        if salvaged is None or not salvaged.lost:
            return 0
        repo.store.show(salvaged.head.packs)
        try:
            moved = mend_list(repo.backend, claimed(repo, salvaged))
        except BusyError:
            continue
        if moved is not None:
            repo.store.show(moved.packs)
            repo.head = fold(repo.store, moved)
            repo.lost = ()
            return len(salvaged.lost)
    raise BusyError("the remote changes too often to mend its list", hint="run the same command again")


@contextmanager
def _source(workspace: Workspace, settings: RemoteSettings, text: str, *, jobs: int) -> Iterator[Repository]:
    if text == HERE:
        yield workspace.repo
        return
    other = choose_remote(workspace, text)
    if other == settings:
        raise RequestError("a remote cannot be mended from itself", hint="name another one, or . for this repository")
    with near_remote(workspace, other, jobs=jobs) as remote:
        yield remote.repo


def harm_of(repo: Repository, result: FsckResult) -> Harm:
    """Return what a check found as what is to be mended."""
    unusable = {d.pack for d in result.damage if d.what == "pack" and d.pack is not None}
    damaged: set[tuple[PackId, bytes]] = set()
    needed: dict[Target, None] = {}
    for damage in result.damage:
        if damage.what not in ("damaged", "missing", "file") or damage.kind is None:
            continue
        needed[damage.kind, damage.id] = None
        if damage.pack is not None:
            damaged.add((damage.pack, damage.id))
        elif damage.what != "missing":
            damaged |= _copies(repo, damage, unusable)
    return Harm(frozenset(unusable), frozenset(damaged), tuple(needed))


def _copies(repo: Repository, damage: Damage, unusable: set[PackId]) -> set[tuple[PackId, bytes]]:
    """Return every copy of an object of which none can be used."""
    found = set()
    for ref in repo.head.packs.packs:
        if ref.id not in unusable:
            index = repo.store.packs.index(ref)
            if any(place.kind == (damage.kind or Kind.CHUNK) for place in index.find_all(damage.id)):
                found.add((ref.id, damage.id))
    return found
