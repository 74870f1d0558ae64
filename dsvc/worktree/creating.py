"""Create files, links and folders from what is stored, where there is nothing yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence

from dsvc.atomic import write_all
from dsvc.errors import IntegrityError
from dsvc.objects import trees
from dsvc.objects.ahead import groups_by_bytes
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.ids import Kind, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind
from dsvc.objects.wholes import LARGE, whole_file
from dsvc.progress import Progress
from dsvc.storage.cloning import clone_to
from dsvc.worktree.bulkread import Near, Pieces, chunk_places, read_carefully, read_in_order
from dsvc.worktree.drafts import Claims
from dsvc.worktree.index import DIRECTORY, GITLINK, signature

_TOGETHER = 4 << 20  # bytes of small files that are read before they are written


class Creator:
    """Creates entries of `store`.

    `place` says where a path lies on disk; the present file there may be that of the tree `base`. `drafts` have large
    files that were written already.
    """

    def __init__(
        self,
        store: ObjectStore,
        place: Callable[[bytes], bytes],
        base: TreeId,
        *,
        progress: Progress,
        drafts: Claims | None = None,
    ) -> None:
        self._store = store
        self._place = place
        self._base = base
        self._progress = progress
        self._drafts = drafts

    def create(self, full: bytes, entry: Entry, *, path: bytes | None = None, content: bytes | None = None) -> bytes:
        """Create a file, link or folder at `full`, where there is nothing; return its signature.

        `path` is the place in the repository whose present file the new one may share much with. `content` is that of
        a small file or link, where it was read already.
        """
        kind = entry.kind
        if kind in (EntryKind.TREE, EntryKind.GITLINK):
            os.mkdir(full)
            return DIRECTORY if kind == EntryKind.TREE else GITLINK
        small = entry.size <= SMALL_LIMIT
        if content is None and (small or kind == EntryKind.SYMLINK):
            content = self._store.get(entry.id, Kind.CHUNK)
        if kind == EntryKind.SYMLINK:
            assert content is not None
            if b"\0" in content:
                raise OSError(errno.EINVAL, "the link's target has a zero byte")
            os.symlink(content, full)
            return signature(os.lstat(full))
        if content is None and self._store.wholes is not None and entry.size >= LARGE and self._share(entry, full):
            return signature(os.lstat(full))
        if content is None and kind == EntryKind.FILE and self._move_draft(entry, full):
            return signature(os.lstat(full))
        mode = 0o777 if kind == EntryKind.EXECUTABLE else 0o666
        fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            if content is None:
                self._write_large(fd, entry, path)
            elif os.write(fd, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return signature(os.fstat(fd))
        finally:
            os.close(fd)

    def fill(self, folder: bytes, entries: Sequence[tuple[bytes, Entry]]) -> list[bytes]:
        """Create entries in a folder, given with their names on disk; return their signatures in the same order."""
        signatures: list[bytes] = []
        for group in groups_by_bytes(entries, _small_size, most=_TOGETHER):
            small = [entry.id for _, entry in group if _is_read_whole(entry)]
            contents = iter(self._store.get_chunks(small, small=True))
            size = 0
            for name, entry in group:
                content = next(contents) if _is_read_whole(entry) else None
                signatures.append(self.create(folder + b"/" + name, entry, content=content))
                size += 0 if content is None else len(content)
            self._progress.advance(items=sum(entry.kind in FILE_KINDS for _, entry in group), size=size)
        return signatures

    def _move_draft(self, entry: Entry, full: bytes) -> bool:
        draft = self._drafts.claim(entry.id) if self._drafts is not None else None
        if draft is None:
            return False
        try:
            os.rename(draft, full)
        except OSError:  # another disk is mounted there: the content is in the store, too
            return False
        self._progress.advance(size=entry.size)
        return True

    def _share(self, entry: Entry, full: bytes) -> bool:
        """Make the file from the one that the store keeps whole, without reading it; say whether there was one."""
        whole = whole_file(self._store.packs, entry.id)
        if whole is None:
            return False
        mode = 0o777 if entry.kind == EntryKind.EXECUTABLE else 0o666
        try:
            with open(whole, "rb", buffering=0) as source:
                os.close(clone_to(source.fileno(), full, mode=mode))
        except OSError:  # it lies on another disk, or on one that cannot
            if self._store.wholes != "hardlink" or entry.kind != EntryKind.FILE:
                return False
            try:
                os.link(whole, full)
            except OSError:
                return False
        self._progress.advance(size=entry.size)
        return True

    def _write_large(self, fd: int, entry: Entry, path: bytes | None) -> None:
        try:
            for pieces in self._large(entry, path):
                self._progress.advance(size=_write(fd, pieces))
        except IntegrityError:
            os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_SET))
            for pieces in read_carefully(self._store, entry.id):  # each chunk looked at, and every copy tried
                _write(fd, pieces)

    def _large(self, entry: Entry, path: bytes | None) -> Iterator[Pieces]:
        """Yield the content of a large file in pieces; what the file at `path` has of it is taken from there.

        The pieces are valid until the next ones are asked for.

        Raises:
            IntegrityError: when they were not the content; `read_carefully` may still find it.
        """
        old = trees.lookup(self._store, self._base, path) if path is not None else None
        if old is None or path is None or old.kind not in FILE_KINDS or old.size <= SMALL_LIMIT:
            yield from read_in_order(self._store, entry.id)
            return
        try:
            fd = os.open(self._place(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            yield from read_in_order(self._store, entry.id)
            return
        try:
            yield from read_in_order(self._store, entry.id, near=Near(fd, chunk_places(self._store, old.id)))
        finally:
            os.close(fd)


def _is_read_whole(entry: Entry) -> bool:
    return entry.kind == EntryKind.SYMLINK or (entry.kind in FILE_KINDS and entry.size <= SMALL_LIMIT)


def _small_size(item: tuple[bytes, Entry]) -> int:
    return item[1].size if _is_read_whole(item[1]) else 0


def _write(fd: int, pieces: Pieces) -> int:
    """Write all pieces; return how many bytes they have."""
    size = sum(map(len, pieces))
    done = os.writev(fd, pieces)
    if done < size:
        for piece in pieces:
            write_all(fd, memoryview(piece)[done:])
            done = max(0, done - len(piece))
    return size
