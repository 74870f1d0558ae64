"""Store one file of the working copy, as it was at one moment."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from dsvc.atomic import temporary_name, write_all
from dsvc.errors import RequestError
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.ids import FileId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.wholes import LARGE, NAMED, seal, whole_file
from dsvc.progress import Progress
from dsvc.storage.cloning import clone_to, shared_bytes
from dsvc.worktree.guard import HEAD_BYTES
from dsvc.worktree.index import signature
from dsvc.worktree.scan import UnreadableError

_ATTEMPTS = 5
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class UnstableFileError(RequestError):
    """A file changed at every attempt to read it."""

    def __init__(self, path: bytes) -> None:
        super().__init__(
            f"{os.fsdecode(path)} changes while it is read",
            hint="wait until the program that writes it is done, or name it in .dsvcignore",
        )


def store_small(
    store: ObjectStore, path: bytes, sig: bytes, size: int, look: Callable[[bytes], None] | None
) -> FileId | None:
    """Store the regular file at `path`, of at most SMALL_LIMIT bytes, whose signature was `sig` just now.

    The short way for the many. Returns None where anything is not as expected: `store_file` finds out what it is.
    """
    try:
        fd = os.open(path, _FLAGS)
        try:
            data = os.read(fd, size + 1)
            now = os.fstat(fd)
        finally:
            os.close(fd)
    except OSError:
        return None
    if len(data) != size or signature(now) != sig:
        return None
    if look is not None and size <= HEAD_BYTES:
        look(data)
    return store.put_content(data)


def store_file(
    store: ObjectStore,
    path: bytes,
    sig: bytes,
    look: Callable[[bytes], None] | None = None,
    *,
    progress: Progress,
) -> tuple[Entry, bytes]:
    """Store the file or link at `path`, whose signature was `sig` just now; return its entry and signature.

    `look` is given the first bytes of a file that is no larger than such secrets are, and may raise.
    A file that changes while it is read is read again, a few times. `progress` hears of it piece by piece.

    Raises:
        FileNotFoundError: when it is gone, or is neither a file nor a link any more.
        UnreadableError, UnstableFileError: naming it.
    """
    for _ in range(_ATTEMPTS):
        try:
            found = _store_once(store, path, sig, look, progress)
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise UnreadableError(path, error) from error
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.EINVAL):
                raise
            found = signature(os.lstat(path))  # it has become a folder, or is no link any more
        if isinstance(found, tuple):
            entry = found[0]
            progress.advance(items=1, size=entry.size if entry.size <= SMALL_LIMIT else 0)
            return found
        sig = found
    raise UnstableFileError(path)


def _store_once(
    store: ObjectStore, path: bytes, sig: bytes, look: Callable[[bytes], None] | None, progress: Progress
) -> tuple[Entry, bytes] | bytes:
    """Store a file whose signature should be `sig`; return its entry, or the signature that it has now."""
    mode = int.from_bytes(sig[-4:], "little")
    if stat.S_ISLNK(mode):
        target = os.readlink(path)
        now = signature(os.lstat(path))
        if now != sig:
            return now
        return Entry(EntryKind.SYMLINK, store.put_content(target), len(target)), sig
    if not stat.S_ISREG(mode):
        raise FileNotFoundError(errno.ENOENT, "it is no file any more", path)
    try:
        fd = os.open(path, _FLAGS)
    except OSError as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        return signature(os.lstat(path))  # it has become a link or something else
    try:
        size = int.from_bytes(sig[:8], "little")
        if size >= LARGE and store.wholes is not None:
            found = _store_whole(store, path, fd, sig, progress)
            if found is not None:
                return found
        if size <= SMALL_LIMIT:
            data = _read(fd, size + 1)
            now = signature(os.fstat(fd))
            if now != sig or len(data) != size:
                return now
            if look is not None and size <= HEAD_BYTES:
                look(data)
            file_id = store.put_content(data)
        else:
            file_id, length = store.put_stream(lambda count: _watched(_read(fd, count), progress))
            now = signature(os.fstat(fd))
            if now != sig or length != size:
                return now
    finally:
        os.close(fd)
    return Entry(EntryKind.EXECUTABLE if mode & 0o100 else EntryKind.FILE, file_id, size), sig


def _store_whole(
    store: ObjectStore, path: bytes, fd: int, sig: bytes, progress: Progress
) -> tuple[Entry, bytes] | bytes | None:
    """Store a large open file as `_store_once` does, without cutting it up; None where the disk cannot do that.

    What is hashed is the store's own file, which nobody writes to: it is made at one moment, at which the working
    copy's looked as it was seen.
    """
    own = store.staging() / temporary_name(NAMED)
    shared = shared_bytes(fd)
    cloned = True
    try:
        copy = clone_to(fd, own, mode=0o600)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        if store.wholes != "hardlink" or os.stat(own.parent).st_dev != os.fstat(fd).st_dev:
            return None
        cloned = False
        copy = _copy(fd, own)
    try:
        seal(copy)
        os.close(copy)
        now = signature(os.fstat(fd))
        if now != sig:
            return now
        size = int.from_bytes(sig[:8], "little")
        with open(own, "rb", buffering=0) as source:
            file_id, length = store.put_whole(
                own, shared=shared, read=lambda count: _watched(source.read(count), progress)
            )
        if length != size:
            return signature(os.lstat(path))
        executable = int.from_bytes(sig[-4:], "little") & 0o100
        entry = Entry(EntryKind.EXECUTABLE if executable else EntryKind.FILE, file_id, size)
        if not cloned and entry.kind == EntryKind.FILE:
            taken = os.stat(own).st_nlink > 1
            kept = own if taken else whole_file(store.packs, file_id)  # it may have been stored before
            if kept is not None:
                sig = _link_back(path, kept, own.parent, sig)
        return entry, sig
    finally:
        own.unlink(missing_ok=True)


def _copy(fd: int, target: Path) -> int:
    """Copy an open file on the same disk."""
    copy = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        offset = 0
        while data := os.pread(fd, 1 << 20, offset):
            write_all(copy, data)
            offset += len(data)
    except BaseException:
        os.close(copy)
        os.unlink(target)
        raise
    return copy


def _link_back(path: bytes, kept: Path, folder: Path, sig: bytes) -> bytes:
    """Put the store's file, which is read-only, in the place of the one in the working copy that it is a copy of.

    `folder` is one for temporary files on its disk.

    Returns the new signature, or the old one where that cannot be; a file that was changed meanwhile stays.
    """
    try:
        found, stored = os.lstat(path), os.lstat(kept)
        if signature(found) == sig and (found.st_dev, found.st_ino) != (stored.st_dev, stored.st_ino):
            name = folder / temporary_name(NAMED)
            os.link(kept, name)
            try:
                os.replace(name, path)
            except BaseException:
                os.unlink(name)
                raise
            return signature(os.lstat(path))
    except OSError:  # another disk is mounted there
        pass
    return sig


def _watched(data: bytes, progress: Progress) -> bytes:
    progress.advance(size=len(data))
    return data


def _read(fd: int, count: int) -> bytes:
    try:
        return os.read(fd, count)
    except IsADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, "it is a folder by now") from error
