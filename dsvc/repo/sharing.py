"""Give a second repository the packs of a first one without a second copy of their bytes.

A pack never changes once it has its name, so both may hold the same file: by a hard link, or by a reflink where the
disk clones files. Each side removes its own name only, so gc on one never takes anything from the other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

from dsvc.atomic import sync_directory, temporary_name
from dsvc.errors import BusyError, RequestError
from dsvc.objects.packlist import PackRef
from dsvc.progress import Progress
from dsvc.refs.log import Head
from dsvc.repo.repository import Repository
from dsvc.storage.cloning import clone_file

Method = Literal["hardlink", "reflink", "copy"]
_IMPOSSIBLE = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EINVAL,
    errno.ENOTTY,
    errno.EBADF,
}
_ATTEMPTS = 20


class CannotShareError(RequestError):
    """The disk cannot do what was asked for."""


class Shared(NamedTuple):
    """The head whose packs were shared, how many by which method, and the bytes that were shared and copied."""

    head: Head
    methods: dict[Method, int]
    shared: int
    copied: int


def share_packs(source: Repository, store: Path, target: Path, *, how: str, progress: Progress) -> Shared:
    """Put the packs that the head of `source` lists, which lie in the folder `store`, into the folder `target`.

    `how` is auto, hardlink, reflink or copy. Others may write to the source and collect its garbage meanwhile: when
    a pack is gone, its head is read again. Everything is durable afterwards.

    Raises:
        CannotShareError: when `how` names a method that the disk cannot do.
    """
    methods: tuple[Method, ...] = ("hardlink", "reflink", "copy") if how == "auto" else (_method(how),)
    done: dict[str, Method] = {}
    (target / "packs").mkdir(parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS):
        head = source.head
        progress.start("Sharing packs", total_items=len(head.packs.packs), unit="packs")
        try:
            for ref in head.packs.packs:
                if ref.key not in done:
                    done[ref.key] = _share(store / ref.key, target / ref.key, methods)
                progress.advance(items=1, size=ref.size)
        except FileNotFoundError:
            source.refresh()
            if source.head.value == head.value:
                raise
            continue
        finally:
            progress.finish()
        return _finish(head, target, done)
    raise BusyError("the repository changes too often to be forked", hint="run the same command again")


def _method(how: str) -> Method:
    methods: tuple[Method, ...] = ("hardlink", "reflink", "copy")
    for method in methods:
        if method == how:
            return method
    raise CannotShareError(f"store.link is {how!r}", hint="auto, hardlink, reflink or copy")


def _finish(head: Head, target: Path, done: dict[str, Method]) -> Shared:
    refs: dict[str, PackRef] = {ref.key: ref for ref in head.packs.packs}
    for key in done.keys() - refs.keys():  # of a list that was given up
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            (target / key).unlink()
        shutil.rmtree(target / key, ignore_errors=True)
    sync_directory(target / "packs")
    methods = Counter(done[key] for key in refs)
    copied = sum(ref.size for ref in refs.values() if done[ref.key] == "copy")
    return Shared(head, dict(methods), sum(ref.size for ref in refs.values()) - copied, copied)


def _share(source: Path, target: Path, methods: tuple[Method, ...]) -> Method:
    failure: OSError | None = None
    for method in methods:
        try:
            if source.is_dir():
                _share_folder(source, target, method)
            elif method == "hardlink":
                with contextlib.suppress(FileExistsError):
                    os.link(source, target, follow_symlinks=False)
            else:
                _clone_or_copy(source, target, clone=method == "reflink")
            return method
        except OSError as error:
            if error.errno not in _IMPOSSIBLE:
                raise
            failure = error
    assert failure is not None
    raise CannotShareError(
        f"{source} cannot be shared by {methods[0]}: {failure.strerror}", hint="dsvc -c store.link=auto fork ..."
    ) from failure


def _share_folder(source: Path, target: Path, method: Method) -> None:
    """Share a pack that has whole files; they keep their times, by which is seen that nobody wrote to them."""
    temporary = target.with_name(temporary_name("pack"))
    temporary.mkdir()
    try:
        for entry in os.scandir(source):
            if method == "hardlink":
                os.link(entry.path, temporary / entry.name, follow_symlinks=False)
                continue
            _clone_or_copy(Path(entry.path), temporary / entry.name, clone=method == "reflink")
            found = entry.stat(follow_symlinks=False)
            os.utime(temporary / entry.name, ns=(found.st_atime_ns, found.st_mtime_ns))
        sync_directory(temporary)
        with contextlib.suppress(FileExistsError):
            os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _clone_or_copy(source: Path, target: Path, *, clone: bool) -> None:
    temporary = target.with_name(temporary_name("pack"))
    try:
        with open(source, "rb") as read, open(temporary, "xb") as write:
            if clone:
                clone_file(read.fileno(), write.fileno())
            else:
                shutil.copyfileobj(read, write, 1 << 20)
            os.fchmod(write.fileno(), 0o444)
            write.flush()
            os.fsync(write.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
