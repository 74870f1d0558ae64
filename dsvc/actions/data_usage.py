"""How much room the files of a commit take: as they are read, as they are stored, and in blocks that are shared."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.ls import NoSuchPathError
from dsvc.actions.revision import revision_context
from dsvc.errors import IntegrityError
from dsvc.history.revisions import RevisionContext, resolve_tree
from dsvc.objects import trees
from dsvc.objects.ids import Kind, PackId, TreeId
from dsvc.objects.packindex import Place
from dsvc.objects.packref import PackClass, PackRef
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.repo.reachable import Marks
from dsvc.storage.cloning import shared_bytes
from dsvc.storage.local import LocalBackend
from dsvc.storage.parts import PartedBlob, parted
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Usage:
    """Numbers of some files.

    `logical` bytes are their sizes. `stored` bytes are what packs take for their content, where equal pieces count
    once. `shared` of these lie in blocks, or in files, that something outside this store has as well: the working
    copy, a fork. `absent` bytes of content are not here, as in a partial clone or of references that were not fetched.
    """

    files: int = 0
    logical: int = 0
    stored: int = 0
    shared: int = 0
    absent: int = 0


@dataclass(frozen=True, slots=True)
class PathUsage:
    """What one file or folder takes, by itself: what it has in common with others counts in full."""

    path: bytes
    entry: Entry
    usage: Usage


@dataclass(frozen=True, slots=True)
class DataUsageResult:
    """The tree that was looked at, the files and folders in it, and all of them together."""

    tree_id: TreeId
    paths: tuple[PathUsage, ...]
    total: Usage


def data_usage(
    workspace: Workspace,
    revision: str = "HEAD",
    *,
    paths: Sequence[bytes] = (b"",),
    depth: int = 1,
    context: RevisionContext | None = None,
) -> DataUsageResult:
    """Measure what lies at `paths` of a revision, and each file and folder up to `depth` levels below them.

    Only indexes and maps of large files are read, no content. Memory grows with the store by a bit for each object.

    Raises:
        UnknownRevisionError, NoSuchPathError: before anything is measured.
    """
    tree_id = resolve_tree(context or revision_context(workspace), revision)
    store = workspace.repo.store
    roots: list[tuple[bytes, Entry]] = []
    for path in paths:
        entry = trees.lookup(store, tree_id, path)
        if entry is None:
            raise NoSuchPathError(path, revision)
        roots.append((path, entry))
    meter = _Meter(store)
    workspace.progress.start("Measuring", unit="files")
    try:
        found = tuple(
            PathUsage(path, entry, meter.measure(path, entry))
            for root, top in roots
            for path, entry in _rows(store, root, top, depth)
        )
        meter.clear()
        total = [meter.measure(path, entry, afresh=False) for path, entry in roots]
    finally:
        workspace.progress.finish()
    return DataUsageResult(tree_id, found, _sum(total))


def _rows(store: ObjectStore, path: bytes, entry: Entry, depth: int) -> Iterator[tuple[bytes, Entry]]:
    if entry.kind != EntryKind.TREE or depth < 1:
        yield path, entry
        return
    prefix = path + b"/" if path else b""
    for name, below in trees.entries(store, entry.id):
        yield prefix + name, below
        if below.kind == EntryKind.TREE and depth > 1:
            yield from _rows(store, prefix + name, below, depth - 1)


def _sum(usages: Sequence[Usage]) -> Usage:
    return Usage(
        sum(u.files for u in usages),
        sum(u.logical for u in usages),
        sum(u.stored for u in usages),
        sum(u.shared for u in usages),
        sum(u.absent for u in usages),
    )


class _Meter:
    """Adds up the places of chunks, each once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        refs = [ref for ref in store.packs.refs() if ref.pack_class != PackClass.METADATA]
        self._marks = Marks(store.packs, refs)
        self._sharing = _Sharing(store, refs)

    def clear(self) -> None:
        """Count everything anew."""
        self._marks.clear()

    def measure(self, path: bytes, entry: Entry, *, afresh: bool = True) -> Usage:
        """Return what a file, or all below a folder, takes."""
        if afresh:
            self.clear()
        below = trees.walk(self._store, entry.id, path) if entry.kind == EntryKind.TREE else [(path, entry)]
        files = logical = stored = absent = 0
        shared = 0.0
        elsewhere = self._store.elsewhere
        for _, leaf in below:
            found = leaf
            if leaf.kind == EntryKind.REFERENCE:
                kept = elsewhere.here(leaf) if elsewhere is not None and elsewhere.any_here() else None
                if kept is None:
                    files, logical, absent = files + 1, logical + leaf.size, absent + leaf.size
                    continue
                found = kept
            elif leaf.kind not in CONTENT_KINDS:
                continue
            files += 1
            logical += found.size
            for chunk_id, length in self._chunks(found):
                fresh = self._marks.mark((Kind.CHUNK, chunk_id))
                if fresh is None:
                    absent += length
                elif fresh:
                    place = self._store.packs.find(chunk_id, Kind.CHUNK)
                    assert place is not None
                    size = self._sharing.stored(*place)
                    stored += size
                    shared += size * self._sharing.part(*place)
        return Usage(files, logical, stored, round(shared), absent)

    def _chunks(self, entry: Entry) -> Iterator[tuple[bytes, int]]:
        if self._store.packs.find(entry.id, Kind.CHUNK) is not None:
            yield entry.id, entry.size
            return
        reached = 0
        if self._store.packs.find(entry.id, Kind.FILE_MAP) is not None:
            try:
                for offset, part in self._store.file_parts(entry.id):
                    yield part.id, part.length
                    reached = offset + part.length
            except IntegrityError:
                pass  # a page of its map is not here
        if reached < entry.size:
            yield entry.id, entry.size - reached  # which no pack has


class _Sharing:
    """Says how many bytes an object takes, and which share of it others have too."""

    def __init__(self, store: ObjectStore, refs: Sequence[PackRef]) -> None:
        self._packs = store.packs
        self._root = store.backend.root if isinstance(store.backend, LocalBackend) else None
        self._blobs: dict[PackId, PartedBlob] = {}
        self._names: Counter[tuple[int, int]] = Counter()  # how many names an inode has in this store
        self._known: dict[tuple[PackId, int | None], float] = {}
        for ref in refs:
            blob = parted(store.backend, ref.key)
            if blob is not None:
                blob.close()
                self._blobs[ref.id] = blob
                for number in range(len(blob.parts)):
                    found = blob.path(number).stat()
                    self._names[found.st_dev, found.st_ino] += 1

    def stored(self, ref: PackRef, place: Place) -> int:
        """Return the bytes that an object takes; of a group its share."""
        frame = self._packs.index(ref).frame(place.frame)
        return frame.stored * place.length // max(frame.plain, 1) if place.length < frame.plain else frame.stored

    def part(self, ref: PackRef, place: Place) -> float:
        """Return which part of the file that an object lies in is shared, from 0 to 1."""
        if self._root is None:
            return 0.0
        blob, number = self._blobs.get(ref.id), None
        if blob is not None:
            number = blob.part_at(self._packs.index(ref).frame(place.frame).offset)
        known = self._known.get((ref.id, number))
        if known is None:
            path = self._root / ref.key if blob is None else blob.path(number) if number is not None else None
            known = self._known[ref.id, number] = 0.0 if path is None else self._look(path)
        return known

    def _look(self, path: Path) -> float:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0.0
        try:
            found = os.fstat(fd)
            if found.st_nlink > self._names.get((found.st_dev, found.st_ino), 1):
                return 1.0
            return min(1.0, (shared_bytes(fd) or 0) / max(found.st_size, 1))
        finally:
            os.close(fd)
