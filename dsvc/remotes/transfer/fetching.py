"""Bring what some refs of another repository reach into this one.

First the metadata that this side lacks, from packs that were not looked through before; then, by a walk through the
commits that are new, the files. Only indexes and wanted bytes are asked of the remote, never an object at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from dsvc.errors import IntegrityError
from dsvc.history.ancestry import Ancestry
from dsvc.objects.ids import CommitId, Kind
from dsvc.objects.packlist import PackClass, PackRef
from dsvc.objects.packs import PackSet
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.progress import Progress
from dsvc.remotes.transfer.absorbed import read_absorbed, write_absorbed
from dsvc.remotes.transfer.receiving import EarlyFiles, Received, Receiver
from dsvc.remotes.transfer.selection import Taker, Walk
from dsvc.remotes.wrappers.cached import sparing
from dsvc.repo.reachable import Marks, Target, references
from dsvc.repo.repository import Repository
from dsvc.storage.backend import BlobMissingError

_SHARED_KINDS = frozenset({Kind.COMMIT, Kind.TREE, Kind.TAG, Kind.RUN, Kind.ENVIRONMENT, Kind.SNAPSHOT})
_ATTEMPTS = 8
_KNOWN = 200_000  # ids of what came in whole packs that are kept in a set, which is 20 MB and answers at once


History = Callable[[Receiver], tuple[Received, list[Target]]]


class RemoteIncompleteError(IntegrityError):
    """A remote's refs reach what it does not have."""


def fetch_objects(
    local: ObjectStore,
    remote: Repository,
    tips: Iterable[Target],
    *,
    known: Collection[CommitId],
    ancestry: Callable[[], Ancestry],
    folder: Path,
    absorbed: Path,
    jobs: int,
    progress: Progress,
    name: str,
    files: bool = True,
    purged: Collection[bytes] = (),
    history: History | None = None,
    early: EarlyFiles | None = None,
) -> Received:
    """Take in everything that `tips` reach and the commits in `known`, which are complete here, do not.

    What was taken in exists for others when the caller publishes. `folder` is for what is under way: a fetch that is
    broken off goes on from there. `absorbed` is a file that may be deleted. Without `files` commits and trees come
    alone. Files in `purged` are left out. `history` brings commits and trees, where not all of them are wanted, and
    returns also further tips; `ancestry` is asked for afterwards. `early` is told of the
    content of some files as it arrives.

    Raises:
        RemoteIncompleteError: when the remote lacks what its refs reach. BadRemoteError: when it sends damaged data.
        RemoteError: when it cannot be reached any more.
    """
    wanted = list(tips)
    received = Received()
    for attempt in range(_ATTEMPTS):
        receiver = _receiver(local, remote, folder, jobs=jobs, progress=progress, name=name)
        try:
            more: list[Target] = []
            if history is None:
                # What the list names may be in a fetch that another process has not published, or be collected again.
                received += _metadata(local, remote, receiver, absorbed, trusted=not attempt)
            else:
                brought, more = history(receiver)
                received += brought
            if files:
                if early is not None:
                    early.begin(local)
                    receiver.early = early
                walk = _walk(local, ancestry(), [*wanted, *more], known)
                received += _files(local, remote, receiver, walk, name=name, purged=purged)
            return received
        except ObjectMissingError as error:
            if attempt:
                raise RemoteIncompleteError(
                    f"{name} lacks what its refs reach: {error.message}", hint=f"dsvc fsck --remote {name}"
                ) from error
        except BlobMissingError:
            before = remote.head.value
            remote.refresh()
            if remote.head.value == before:
                raise
    raise RemoteIncompleteError(f"{name} exchanged its packs again and again", hint="run the same command again")


def _metadata(
    local: ObjectStore, remote: Repository, receiver: Receiver, absorbed: Path, *, trusted: bool
) -> Received:
    """Take in what this side lacks of the metadata in packs that were not looked through yet, if that is `trusted`."""
    packs = remote.store.packs
    listed = [ref for ref in remote.head.packs.packs if ref.pack_class == PackClass.METADATA]
    done = read_absorbed(absorbed) if trusted else set()
    fresh = [ref for ref in listed if ref.id not in done]
    if not fresh:
        return Received()
    marks = Marks(packs, fresh)
    for ref in fresh:
        for object_id, place in packs.index(ref).objects():
            if place.kind in _SHARED_KINDS and not local.has(object_id, Kind(place.kind)):
                marks.mark((Kind(place.kind), object_id))
    received = receiver.receive(marks, label="Receiving history")
    write_absorbed(absorbed, {*done, *(ref.id for ref in fresh)}, listed={ref.id for ref in listed})
    return received


def fetch_files(
    local: ObjectStore,
    remote: Repository,
    file_ids: Iterable[bytes],
    *,
    folder: Path,
    jobs: int,
    progress: Progress,
    name: str,
) -> Received:
    """Take in the content of single files; raises what `fetch_objects` raises."""
    ids = list(file_ids)
    for _ in range(_ATTEMPTS):
        receiver = _receiver(local, remote, folder, jobs=jobs, progress=progress, name=name)
        try:
            return _files(local, remote, receiver, _each(ids), name=name)
        except BlobMissingError:
            before = remote.head.value
            remote.refresh()
            if remote.head.value == before:
                raise
    raise RemoteIncompleteError(f"{name} exchanged its packs again and again", hint="run the same command again")


def fetch_states(
    local: ObjectStore,
    remote: Repository,
    ids: Iterable[bytes],
    *,
    folder: Path,
    jobs: int,
    progress: Progress,
    name: str,
) -> Received:
    """Take in single states that this side lacks; raises what `fetch_objects` raises."""
    lacking = [wanted for wanted in dict.fromkeys(ids) if not local.has(wanted, Kind.STATE)]
    for _ in range(_ATTEMPTS):
        try:
            held = {wanted: remote.store.packs.find(wanted, Kind.STATE) for wanted in lacking}
            refs = {found[0].id: found[0] for found in held.values() if found is not None}
            marks = Marks(remote.store.packs, refs.values())
            for wanted in lacking:
                if marks.mark((Kind.STATE, wanted)) is None:
                    raise RemoteIncompleteError(
                        f"{name} lacks what its refs name: state {wanted.hex()}", hint=f"dsvc fsck --remote {name}"
                    )
            receiver = _receiver(local, remote, folder, jobs=jobs, progress=progress, name=name)
            return receiver.receive(marks, label="Receiving requests")
        except (BlobMissingError, RemoteIncompleteError):
            before = remote.head.value
            remote.refresh()
            if remote.head.value == before:
                raise
    raise RemoteIncompleteError(f"{name} exchanged its packs again and again", hint="run the same command again")


def _walk(
    local: ObjectStore, ancestry: Ancestry, tips: list[Target], known: Collection[CommitId]
) -> Callable[[_Files], None]:
    return lambda files: Walk(local, files).add(ancestry, tips, known=known)


def _each(ids: Iterable[bytes]) -> Callable[[_Files], None]:
    def mark(files: _Files) -> None:
        for file_id in ids:
            files.take_any(file_id)

    return mark


def _receiver(
    local: ObjectStore, remote: Repository, folder: Path, *, jobs: int, progress: Progress, name: str
) -> Receiver:
    return Receiver(
        sparing(remote.backend),
        remote.head.packs.packs,
        local,
        folder,
        indexes=remote.store.packs,
        jobs=jobs,
        progress=progress,
        name=name,
    )


def _files(
    local: ObjectStore,
    remote: Repository,
    receiver: Receiver,
    mark: Callable[[_Files], None],
    *,
    name: str,
    purged: Collection[bytes] = (),
) -> Received:
    """Take in what `mark` marks, and what turns out to belong to it when maps arrive."""
    refs = [ref for ref in remote.head.packs.packs if ref.pack_class != PackClass.METADATA]
    marks = Marks(remote.store.packs, refs)
    wanted = _Files(local, remote.store.packs, marks, name, purged)
    mark(wanted)
    received = Received()
    while marks.count:
        whole = _mark_whole_packs(local, remote.store, marks, refs)
        received += receiver.receive(marks, label="Receiving files")
        wanted.arrived(remote.store.packs, whole)
        marks.clear()
        wanted.go_on()
    return received


def _mark_whole_packs(
    local: ObjectStore, remote: ObjectStore, marks: Marks, refs: Iterable[PackRef]
) -> list[PackRef]:
    """Mark all of each pack whose maps are all wanted: what else is in it are their chunks, and they come at once.

    So are packs that ended in the middle of a large file, when all maps are wanted: they have pages of its map, which
    lies in a later pack. Return those of which all is marked.
    """
    bulk = [ref for ref in refs if ref.pack_class == PackClass.BULK]
    empty = not any(ref.pack_class == PackClass.BULK for ref in local.packs.refs())
    whole: list[PackRef] = []
    others: list[PackRef] = []
    for ref in bulk:
        maps = remote.packs.index(ref).maps() if marks.marked_in(ref.id) else []
        if not maps or not all(marks.has(ref.id, p) for p in maps):
            others.append(ref)
            continue
        index = remote.packs.index(ref)
        if empty:
            marks.mark_all(ref.id, index.count)
            whole.append(ref)
            continue
        for object_id, place in index.objects():
            if not local.has(object_id, Kind(place.kind)):
                marks.mark((Kind(place.kind), object_id))
    if whole and not any(remote.packs.index(ref).maps() for ref in others):
        for ref in others:
            index = remote.packs.index(ref)
            if any(index.place_at(position).kind == Kind.MAP_PAGE for position in range(index.count)):
                marks.mark_all(ref.id, index.count)
                whole.append(ref)
    return whole


class _Files(Taker):
    """Marks file content that this side lacks; maps are gone through once they are here."""

    def __init__(
        self, local: ObjectStore, remote: PackSet, marks: Marks, name: str, purged: Collection[bytes]
    ) -> None:
        self._purged = purged
        self._local = local
        self._remote = remote
        self._marks = marks
        self._name = name
        self._maps: list[bytes] = []
        self._pages: set[bytes] = set()
        self._here: set[bytes] = set()

    def take(self, kind: Kind, wanted: bytes) -> None:
        """See `Taker.take`: metadata is here by now.

        Raises:
            ObjectMissingError: when it is not.
        """
        if kind in (Kind.STATE, Kind.VIEW, Kind.OPERATION) or not self._local.has(wanted, kind):
            raise ObjectMissingError(wanted, kind)

    def take_file(self, wanted: bytes, *, small: bool) -> None:
        """See `Taker.take_file`."""
        if wanted in self._purged or self._local.has(wanted, Kind.CHUNK):
            return
        if self._local.has(wanted, Kind.FILE_MAP):
            self._go_through(wanted)
        elif small and self._marks.mark((Kind.CHUNK, wanted)) is not None:
            return
        elif self._marks.mark((Kind.FILE_MAP, wanted)) is not None:
            self._maps.append(wanted)
        elif self._marks.mark((Kind.CHUNK, wanted)) is None:
            self._absent(Kind.CHUNK if small else Kind.FILE_MAP, wanted)

    def take_any(self, wanted: bytes) -> None:
        """Mark a file's content, or a single chunk of one, when nothing is known but its id."""
        is_map = self._local.has(wanted, Kind.FILE_MAP) or self._remote.find(wanted, Kind.FILE_MAP) is not None
        self.take_file(wanted, small=not is_map)

    def arrived(self, packs: PackSet, whole: Iterable[PackRef]) -> None:
        """Take note that these packs are here, so that their chunks need not be looked up one by one."""
        for ref in whole:
            if len(self._here) + ref.objects <= _KNOWN:
                index = packs.index(ref)
                self._here.update(index.id_at(p) for p in range(index.count) if index.place_at(p).kind == Kind.CHUNK)

    def go_on(self) -> None:
        """Mark what is below the maps and pages that have arrived."""
        arrived, self._maps = self._maps, []
        for wanted in arrived:
            self._go_through(wanted)

    def _go_through(self, file_id: bytes) -> None:
        pending = False
        for payload in self._local.file_maps(file_id):
            stack = list(references(Kind.FILE_MAP, payload))
            while stack:
                kind, wanted = stack.pop()
                if wanted in self._pages or (kind == Kind.CHUNK and wanted in self._here):
                    continue
                if self._local.has(wanted, kind):
                    if kind == Kind.MAP_PAGE:
                        self._pages.add(wanted)
                        stack += references(kind, self._local.get(wanted, kind))
                elif self._marks.mark((kind, wanted)) is None:
                    self._absent(kind, wanted)
                else:
                    pending = pending or kind == Kind.MAP_PAGE
        if pending:
            self._maps.append(file_id)

    def _absent(self, kind: Kind, wanted: bytes) -> None:
        what = kind.name.lower().replace("_", " ")
        raise RemoteIncompleteError(
            f"{self._name} lacks {what} {wanted.hex()}, which its refs reach",
            hint=f"dsvc fsck --remote {self._name}; a push from a clone that has it mends that",
            details={"id": wanted.hex(), "kind": what},
        )
