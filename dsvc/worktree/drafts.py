"""Large files that are written while their content arrives: a checkout then only moves them to their places.

Whoever receives chunks hands each of them on once it matched its id, and it is written where the file's map says. A
draft is given out when all of it is there and the whole matches the file's id; anything else is thrown away, and the
checkout writes that file from the store as usual. So drafts can be wrong, cut off or missing without harm.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from blake3 import blake3

from dsvc.errors import IntegrityError
from dsvc.objects import trees
from dsvc.objects.filemap import Part
from dsvc.objects.ids import Kind, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import EntryKind

LARGE = 8 << 20  # a smaller file gains less than its map costs, which is asked for ahead of the rest
_MOST_CHUNKS = 200_000  # whose places are kept in memory: about 40 MB, and 13 GB of files
_OPEN = 16  # files at a time
_READ = 1 << 20


class Claims(Protocol):
    """Whoever has large files that are written already."""

    def claim(self, file_id: bytes) -> Path | None:
        """Return a file with this content, once: it is the caller's from then on."""


class _Draft:
    """One file: `left` bytes of it are missing, and its first `hashed` bytes went through `hasher` as they came."""

    __slots__ = ("hashed", "hasher", "left", "path", "size")

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size, self.left = path, size, size
        self.hashed, self.hasher = 0, blake3()


class Drafts:
    """Files of the tree that `root` names, in `folder`, which is emptied at first and removed at the end."""

    def __init__(self, folder: Path, root: Callable[[], TreeId | None]) -> None:
        self._folder = folder
        self._root = root
        self._wanted: set[bytes] | None = None
        self._drafts: dict[bytes, _Draft] = {}
        self._places: dict[bytes, list[tuple[_Draft, int]]] = {}
        self._chunks = 0
        self._open: OrderedDict[Path, int] = OrderedDict()
        shutil.rmtree(folder, ignore_errors=True)

    def begin(self, store: ObjectStore) -> None:
        """Find out which files are wanted; commits and trees are in `store` by now. Safe to call again."""
        if self._wanted is None:
            tree = self._root()
            self._wanted = set() if tree is None else set(_large_files(store, tree))

    def wanted(self) -> Collection[bytes]:
        """Return the ids of files of which no map was seen yet."""
        return self._wanted or ()

    def expect(self, file_id: bytes, parts: Iterable[tuple[int, Part]]) -> None:
        """Begin a draft of a file of which these chunks are said to be the content."""
        if self._wanted is None or file_id not in self._wanted:
            return
        listed = list(parts)
        self._wanted.remove(file_id)
        if self._chunks + len(listed) > _MOST_CHUNKS:
            return
        self._chunks += len(listed)
        with contextlib.suppress(OSError):  # then nothing can be written, which is no harm
            self._folder.mkdir(parents=True, exist_ok=True)
        draft = _Draft(self._folder / file_id.hex(), sum(part.length for _, part in listed))
        self._drafts[file_id] = draft
        for offset, part in listed:
            self._places.setdefault(part.id, []).append((draft, offset))

    def take(self, chunk_id: bytes, content: bytes | memoryview) -> None:
        """Write a chunk, which matched its id, to every place where it belongs.

        A thread for that was tried: it takes more processor time, and the clone no less time.
        """
        for draft, offset in self._places.pop(chunk_id, ()):
            self._write(draft, offset, content)

    def finish(self, store: ObjectStore) -> None:
        """Fill what did not come by from `store`, and keep those drafts that match their ids."""
        holes: dict[Path, list[tuple[int, bytes]]] = {}
        for chunk_id, places in self._places.items():
            for draft, offset in places:
                holes.setdefault(draft.path, []).append((offset, chunk_id))
        self._places = {}
        for file_id, draft in list(self._drafts.items()):
            if not self._is_whole(store, file_id, draft, sorted(holes.get(draft.path, ()))):
                del self._drafts[file_id]
                self._close(draft.path)
                draft.path.unlink(missing_ok=True)
            self._close(draft.path)

    def claim(self, file_id: bytes) -> Path | None:
        """Return the finished draft of a file, once: it is the caller's from then on."""
        draft = self._drafts.pop(file_id, None)
        return None if draft is None else draft.path

    def close(self) -> None:
        """Remove what nobody took."""
        for path in list(self._open):
            self._close(path)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_whole(
        self, store: ObjectStore, file_id: bytes, draft: _Draft, holes: list[tuple[int, bytes]]
    ) -> bool:
        if draft.left < 0 or draft.left > draft.size // 2:  # to write it afresh costs no more
            return False
        try:
            for offset, chunk_id in holes:
                self._write(draft, offset, store.get(chunk_id, Kind.CHUNK))
            if draft.left:
                return False
            if draft.hashed < draft.size:
                with open(draft.path, "rb", buffering=0) as file:
                    file.seek(draft.hashed)
                    while piece := file.read(_READ):
                        draft.hasher.update(piece)
            return draft.hasher.digest() == file_id
        except (IntegrityError, OSError):
            return False

    def _write(self, draft: _Draft, offset: int, content: bytes | memoryview) -> None:
        if draft.left < 0:
            return
        try:
            if os.pwrite(self._descriptor(draft.path), content, offset) != len(content):
                draft.left = -1  # the disk is full: whoever stores what arrives will say so
                return
        except (OSError, OverflowError):  # the offset is what a map claims
            draft.left = -1
            return
        draft.left -= len(content)
        if offset == draft.hashed:
            draft.hasher.update(content)
            draft.hashed += len(content)

    def _descriptor(self, path: Path) -> int:
        fd = self._open.get(path)
        if fd is None:
            while len(self._open) >= _OPEN:
                self._close(next(iter(self._open)))
            fd = self._open[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return fd

    def _close(self, path: Path) -> None:
        fd = self._open.pop(path, None)
        if fd is not None:
            with contextlib.suppress(OSError):
                os.close(fd)


def _large_files(store: ObjectStore, tree: TreeId) -> Iterator[bytes]:
    """Yield the ids of the large files of a tree; directories that hold too little to have any are not read."""
    stack: list[bytes] = [tree]
    while stack:
        for _, entry in trees.entries(store, stack.pop()):
            if entry.size >= LARGE and entry.kind == EntryKind.TREE:
                stack.append(entry.id)
            elif entry.size >= LARGE and entry.kind == EntryKind.FILE:
                yield entry.id
