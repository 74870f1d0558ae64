"""The files of a commit as a file system has them: paths, folders, links, contents at any offset; read only."""

from __future__ import annotations

import errno
import os
import posixpath
from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock

from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.random_access import ContentReader, OpenContent
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind

_LINKS = 40  # as Linux has it
_KNOWN = 4096  # paths that are remembered


class TreeFiles:
    """Reads below one tree; errors are those of the operating system. Threads may share it."""

    def __init__(self, store: ObjectStore, tree_id: TreeId, reader: ContentReader) -> None:
        self._store, self.tree_id, self._reader = store, tree_id, reader
        self._known: OrderedDict[bytes, Entry] = OrderedDict()
        self._lock = Lock()

    def entry(self, path: bytes) -> Entry:
        """Return what stands at a path, itself.

        Raises:
            FileNotFoundError: where there is nothing.
        """
        with self._lock:
            found = self._known.get(path)
            if found is not None:
                self._known.move_to_end(path)
                return found
        found = trees.lookup(self._store, self.tree_id, path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(path))
        with self._lock:
            self._known[path] = found
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return found

    def follow(self, path: bytes) -> tuple[bytes, Entry]:
        """Return where a path leads when links are followed, inside the tree, and what stands there.

        Raises:
            FileNotFoundError: where it leads nowhere or out of the tree. OSError: for links that go round.
        """
        links = 0
        done: list[bytes] = []
        left = [name for name in path.split(b"/") if name]
        while left:
            name = left.pop(0)
            here = b"/".join([*done, name])
            entry = self.entry(here)
            if entry.kind != EntryKind.SYMLINK:
                done.append(name)
                continue
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))
            target = posixpath.normpath(posixpath.join(b"/".join(done), self.link(here)))
            if target.startswith((b"/", b"../")) or target == b"..":
                raise FileNotFoundError(errno.ENOENT, "it is a link out of the commit", os.fsdecode(path))
            left = [*(part for part in target.split(b"/") if part not in (b"", b".")), *left]
            done = []
        return b"/".join(done), self.entry(b"/".join(done))

    def link(self, path: bytes) -> bytes:
        """Return where a link points, as it says so."""
        return self._store.read_file(self.entry(path).id)

    def list(self, path: bytes) -> Iterator[tuple[bytes, Entry]]:
        """Yield (name, entry) of a folder, in order of names.

        Raises:
            NotADirectoryError, FileNotFoundError: at the first step.
        """
        _, entry = self.follow(path)
        if entry.kind == EntryKind.GITLINK:
            return
        if entry.kind != EntryKind.TREE:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fsdecode(path))
        yield from trees.entries(self._store, entry.id)

    def open(self, path: bytes) -> OpenContent:
        """Return a file for reading.

        Raises:
            FileNotFoundError, IsADirectoryError: where there is none.
        """
        _, entry = self.follow(path)
        if entry.kind not in (EntryKind.FILE, EntryKind.EXECUTABLE):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path))
        return self._reader.open(entry.id, entry.size)
