"""Erase the content of files from the whole history."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dsvc.actions.hub_upkeep import PURGE, refuse_on_hub
from dsvc.actions.remote_access import open_remote, tended_remote
from dsvc.actions.signing import Sign, find_signer
from dsvc.actions.verify import Verifier
from dsvc.errors import BusyError, IntegrityError, RequestError
from dsvc.hub.attic import located_around, remove_holding
from dsvc.hub.forks import family_of
from dsvc.hub.located import locate
from dsvc.objects import trees
from dsvc.objects.ahead import gather_history
from dsvc.objects.filemap import decode_page
from dsvc.objects.ids import FileId, Kind, ObjectId
from dsvc.objects.tree import CONTENT_KINDS, EntryKind
from dsvc.progress import Progress, Silent
from dsvc.refs.transaction import Act
from dsvc.remotes.address import FolderAddress, parse_address
from dsvc.remotes.settings import RemoteSettings
from dsvc.repo.family import read_family
from dsvc.repo.leftovers import remove_unlisted_packs
from dsvc.repo.maintenance import clear_condemned
from dsvc.repo.member import member_of, pool_of
from dsvc.repo.reachable import Marks, Target, maps_of, mark
from dsvc.repo.removal import OperationMovedError, drop_objects
from dsvc.repo.repository import Repository
from dsvc.repo.sweeping import sweep
from dsvc.repo.tombstones import SignTombstone, Tombstone, all_tombstones, put_tombstone, tombstone_of
from dsvc.repo.whereabouts import commits_of
from dsvc.signing import Verdict
from dsvc.workspace import Workspace

_ATTEMPTS = 8


class NothingToPurgeError(RequestError):
    """No stored file is meant."""


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """Which files were erased, how many objects and packs that took, and chunks that stay for other files.

    `repositories` are those from which they were erased; the counts are of all of them together.
    """

    files: tuple[FileId, ...]
    objects: int
    packs: int
    shared: int
    repositories: int = 1


def purge(
    repo: Repository,
    files: Collection[FileId],
    *,
    reason: str,
    act: Act,
    sign: SignTombstone | None = None,
    progress: Progress | None = None,
) -> PurgeResult:
    """Erase the content of these files and leave tombstones, which `sign` signs; ids and history stay valid.

    Pieces that other files share stay, and are counted. First the tombstones are published as one operation, then
    the packs are written anew: when that is interrupted, the same call goes on. Copies in other repositories, forks
    among them, in the working copy and in backups are not touched. A writer that runs at the same moment may be told to
    repeat its work.

    Raises:
        NothingToPurgeError: when `files` is empty. BusyError: when others publish again and again.
    """
    if not files:
        raise NothingToPurgeError("no stored file is meant by this", hint="dsvc ls REV lists files with their ids")
    transaction = repo.transaction()
    for file_id in sorted(set(files)):
        if transaction.view.get(f"purged/{file_id.hex()}") is None:
            tombstone = Tombstone(file_id, act.user, act.time, act.zone, reason)
            transaction.set(*put_tombstone(repo, tombstone if sign is None else sign(tombstone)))
    repo.publish(transaction, act)
    gather_history(repo.backend, repo.store.packs, repo.head.packs.packs, progress=progress or Silent())
    own = parts_of(repo, files)
    for _ in range(_ATTEMPTS):
        repo.refresh()
        needed = needed_of(repo, frozenset(files), own, progress or Silent())
        try:
            packs = drop_objects(repo, own - needed, since=repo.head.operation)
        except OperationMovedError:
            continue  # a commit was made meanwhile, which may share something
        _remove_leftovers(repo, now=act.time)
        repo.refold()
        return PurgeResult(tuple(sorted(set(files))), len(own - needed), packs, len(needed))
    raise BusyError("the repository changes too often to purge something", hint="run the same command again")


@dataclass(frozen=True, slots=True)
class PurgedFile:
    """A note on erased content, and what its signature is worth."""

    tombstone: Tombstone
    verdict: Verdict


def purged_list(workspace: Workspace) -> Iterator[PurgedFile]:
    """Yield all notes on erased content that are known here, with their signatures checked.

    Raises:
        SigningProgramError, BadSignersFileError: where one is signed and cannot be checked.
    """
    verifier = Verifier(workspace, thorough=False)
    for tombstone in all_tombstones(workspace.repo):
        yield PurgedFile(tombstone, verifier.tombstone(tombstone))


def tombstone_signer(workspace: Workspace, sign: Sign) -> SignTombstone | None:
    """Return what signs notes, None where they are not signed: by default they are where user.signingKey names a key.

    A note that is left at two places is signed once.

    Raises:
        NoSigningKeyError: when nothing says which key.
    """
    if sign is None and workspace.config.get_str("user.signingKey"):
        sign = True
    signer = find_signer(workspace, sign or False)
    return None if signer is None else cache(signer.tombstone)


def _remove_leftovers(repo: Repository, *, now: int) -> None:
    """Remove what an interrupted run or a dead writer left behind: it may hold the content too."""
    if read_family(repo.backend) is not None:
        sweep(pool_of(repo.backend)[0], now=now, at_once=True, dry_run=False)
        repo.refresh()
        return
    clear_condemned(repo.store, repo.head.packs)
    repo.head = remove_unlisted_packs(repo.store, now=now, at_once=True, dry_run=False)[0] or repo.head
    clear_condemned(repo.store, repo.head.packs)


def purge_remote(
    workspace: Workspace,
    settings: RemoteSettings,
    files: Collection[FileId],
    *,
    reason: str,
    act: Act,
    sign: SignTombstone | None = None,
    forks: bool = False,
    jobs: int = 8,
) -> PurgeResult:
    """Erase the content of these files from every pack of a remote, and leave tombstones there; see `purge`.

    With `forks` the same is done for all repositories that share packs with it, each of which keeps its own. Fetches
    bring the tombstones from then on, and a push of the content is refused.

    Raises:
        OwnUpkeepError: for the repository of a working copy. HubUpkeepError: for one on a hub. RemoteError: when it
        cannot be reached.
    """
    with tended_remote(workspace, settings, jobs=jobs) as remote:
        what = "erase anything"
        refuse_on_hub(remote.publisher, remote.address, shown=settings.shown, what=what, command=PURGE)
        pool, member = pool_of(remote.repo.backend)
        family = read_family(pool) if forks else None
        others = [m.id for m in family.members.values() if m.ready and m.id != member] if family is not None else []
        result = purge(remote.repo, files, reason=reason, act=act, sign=sign, progress=workspace.progress)
        for other in others:
            repo = Repository.open(member_of(pool, other), remote.place.staging, far=True)
            done = purge(repo, files, reason=reason, act=act, sign=sign, progress=workspace.progress)
            result = PurgeResult(
                result.files,
                result.objects + done.objects,
                result.packs + done.packs,
                result.shared + done.shared,
                result.repositories + 1,
            )
        where = parse_address(remote.address, directory=Path("/"))
        if isinstance(where, FolderAddress):
            _purge_attic(where.path, files, forks=forks)
        return result


def _purge_attic(folder: Path, files: Collection[FileId], *, forks: bool) -> None:
    """Remove what a hub put away and holds these files, where a folder is a repository of one."""
    found = located_around(folder)
    if found is None:
        return
    hub, located = found
    for one in family_of(hub, located):
        if forks or one.name == located.name:
            remove_holding(hub, locate(hub.repos, one.name), files)


def files_on_remote(
    workspace: Workspace, settings: RemoteSettings, paths: Collection[bytes], *, jobs: int = 8
) -> set[FileId]:
    """Return the ids of all content that ever stood at or below these paths in a commit that a remote has."""
    with tended_remote(workspace, settings, jobs=jobs) as remote:
        refs = remote.repo.head.packs.packs
        gather_history(remote.repo.backend, remote.repo.store.packs, refs, progress=workspace.progress)
        return files_at(remote.repo, paths)


def is_on_remote(workspace: Workspace, settings: RemoteSettings, file_id: bytes) -> bool:
    """Say whether a remote has a file's content, or a note that it was erased."""
    with open_remote(workspace, settings, push=True) as remote:
        return remote.repo.store.has_file(file_id) or tombstone_of(remote.repo, file_id) is not None


def parts_of(repo: Repository, files: Iterable[FileId]) -> set[bytes]:
    """Return the ids of everything that files consist of, as far as it is stored."""
    found: set[bytes] = set()
    for file_id in files:
        found.add(file_id)
        pages: list[bytes] = []
        with contextlib.suppress(IntegrityError):
            pages = maps_of(repo.store, file_id) if repo.store.has(file_id, Kind.FILE_MAP) else []
        while pages:
            with contextlib.suppress(IntegrityError):  # of a purge that was interrupted
                page = decode_page(pages.pop())
                found.update(part.id for part in page.parts)
                for part in page.parts if page.level else ():
                    with contextlib.suppress(IntegrityError):
                        pages.append(repo.store.get(part.id, Kind.MAP_PAGE))
    return found


def needed_of(repo: Repository, files: frozenset[bytes], own: set[bytes], progress: Progress) -> set[bytes]:
    """Return those of the ids `own` that other files need."""
    marks = Marks(repo.store.packs, repo.head.packs.packs)
    shared: set[bytes] = set()

    def visit(kind: Kind, object_id: bytes, payload: bytes) -> None:
        del object_id
        progress.advance(items=1, size=len(payload))
        if kind in (Kind.FILE_MAP, Kind.MAP_PAGE):
            shared.update(part.id for part in decode_page(payload).parts if part.id in files)

    def failed(target: Target, error: IntegrityError) -> None:
        del target, error  # what cannot be read needs nothing that could be read

    progress.start("Looking for other uses", unit="objects")
    roots = [(Kind.OPERATION, bytes(i)) for i, _ in repo.log.walk(repo.head.operation)]
    mark(repo.store, marks, roots, failed=failed, visit=visit, skip=lambda target: target[1] in files)
    progress.finish()
    return shared | {i for i in own - files if any(marks.is_marked((kind, i)) for kind in (Kind.CHUNK, Kind.MAP_PAGE))}


def files_at(repo: Repository, paths: Collection[bytes]) -> set[FileId]:
    """Return the ids of all content that ever stood at or below these paths in a commit of the view."""
    found: set[FileId] = set()
    seen: set[bytes] = set()
    for _, commit, _ in commits_of(repo.store, repo.view()):
        for path in paths:
            entry = trees.lookup(repo.store, commit.tree, path)
            if entry is None or entry.id in seen:
                continue
            seen.add(entry.id)
            below = trees.walk(repo.store, entry.id) if entry.kind == EntryKind.TREE else ((path, entry),)
            found.update(FileId(ObjectId(e.id)) for _, e in below if e.kind in CONTENT_KINDS)
    return found
