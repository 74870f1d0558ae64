"""What a mounted commit answers to the kernel: FUSE's calls (fuse.h of libfuse) over the files of a tree."""

from __future__ import annotations

import errno
import functools
import os
import stat
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, ClassVar, ParamSpec, TypeVar

from dsvc.actions.tree_files import TreeFiles
from dsvc.errors import DsvcError
from dsvc.objects.random_access import OpenContent
from dsvc.objects.tree import Entry, EntryKind

_P = ParamSpec("_P")
_T = TypeVar("_T")
_MODES: dict[int, int] = {
    EntryKind.TREE: stat.S_IFDIR | 0o555,
    EntryKind.GITLINK: stat.S_IFDIR | 0o555,
    EntryKind.FILE: stat.S_IFREG | 0o444,
    EntryKind.EXECUTABLE: stat.S_IFREG | 0o555,
    EntryKind.SYMLINK: stat.S_IFLNK | 0o777,
}


def _answering(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let an error of the store be one of the operating system; who mounted hears what it was."""

    @functools.wraps(call)
    def answer(*arguments: _P.args, **named: _P.kwargs) -> _T:
        try:
            return call(*arguments, **named)
        except DsvcError as error:
            mounted = arguments[0]
            assert isinstance(mounted, MountedTree)
            mounted.failed(error)
            raise OSError(errno.EIO, error.message) from error

    return answer


class MountedTree:
    """Reads only. Many threads of the kernel's side may call at once.

    `ready` is called once, when the mount is there; `failed` hears of contents that could not be read.
    """

    use_ns: ClassVar[bool] = True

    def __init__(
        self, files: TreeFiles, *, time: int, ready: Callable[[], None], failed: Callable[[DsvcError], None]
    ) -> None:
        """`time` is that of all files, in microseconds since 1970."""
        self._files, self._time = files, time * 1000
        self._ready, self.failed = ready, failed
        self._owner = os.getuid(), os.getgid()
        self._open: dict[int, OpenContent] = {}
        self._next = 1
        self._lock = Lock()

    def init_with_config(self, _connection: Any, config: Any) -> None:
        """Say that the mount is there, and that the kernel may keep what it has read: a commit does not change."""
        if config is not None:  # None with libfuse 2, which takes this as options
            config.kernel_cache = 1
            config.entry_timeout = config.attr_timeout = 3600.0
        self._ready()

    @_answering
    def getattr(self, path: str, _handle: int | None = None) -> dict[str, Any]:
        """Return what stat(2) says."""
        return self._stat(self._files.entry(_inside(path)))

    @_answering
    def readdir(self, path: str, _handle: int) -> Iterator[str]:
        """Return the names in a folder."""
        return iter([".", "..", *(os.fsdecode(name) for name, _ in self._files.list(_inside(path)))])

    @_answering
    def readlink(self, path: str) -> str:
        """Return where a link points."""
        return os.fsdecode(self._files.link(_inside(path)))

    @_answering
    def open(self, path: str, flags: int) -> int:
        """Open a file for reading."""
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        content = self._files.open(_inside(path))
        with self._lock:
            handle, self._next = self._next, self._next + 1
            self._open[handle] = content
        return handle

    @_answering
    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        """Return a range of an open file."""
        content = self._open.get(handle)
        return (content or self._files.open(_inside(path))).read(offset, size)

    def release(self, _path: str, handle: int) -> int:
        """Forget an open file."""
        with self._lock:
            self._open.pop(handle, None)
        return 0

    def statfs(self, _path: str) -> dict[str, int]:
        """Return what statvfs(3) says: nothing is free."""
        blocks = -(-self._files.entry(b"").size // 4096)
        return {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": blocks, "f_bfree": 0, "f_bavail": 0, "f_namemax": 255}

    def _stat(self, entry: Entry) -> dict[str, Any]:
        folder = entry.kind in (EntryKind.TREE, EntryKind.GITLINK)
        return {
            "st_mode": _MODES.get(entry.kind, stat.S_IFREG),
            "st_nlink": 2 if folder else 1,
            "st_size": 0 if folder else entry.size,
            "st_blocks": 0 if folder else -(-entry.size // 512),
            "st_uid": self._owner[0],
            "st_gid": self._owner[1],
            "st_mtime": self._time,
            "st_ctime": self._time,
            "st_atime": self._time,
        }


def _inside(path: str) -> bytes:
    return os.fsencode(path.strip("/"))
