"""The fsspec file system `dsvc`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from fsspec.spec import AbstractFileSystem

from dsvc.filesystem.file import ContentFile
from dsvc.filesystem.revision_files import RevisionFiles
from dsvc.objects.random_access import AHEAD_BYTES, CACHE_BYTES
from dsvc.objects.tree import Entry, EntryKind

_TYPES: dict[int, str] = {EntryKind.TREE: "directory", EntryKind.GITLINK: "directory"}


class _Here(type(AbstractFileSystem)):  # type: ignore[misc]
    """Names the repository in the options, by which fsspec knows instances again and makes them in other processes."""

    def __call__(cls, repo: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        folder = Path.cwd() if repo is None else Path(repo)
        return super().__call__(repo=str(folder.absolute()), **options)


class DsvcFileSystem(AbstractFileSystem, metaclass=_Here):  # type: ignore[misc]
    """Reads `dsvc://REV/path`: files of any commit, branch or tag of a repository, without a checkout.

    In REV, a slash is written as `%2F`. What a branch or tag names is looked up once; `invalidate_cache` looks again.
    Every byte is compared with its id. In a partial clone, content that is not here is fetched. Nothing is ever
    written. It can be pickled, and used after a fork.

    Options: `repo` (a folder of the repository, else the current one), `cache_bytes` (of content, 64 MiB), `read_ahead`
    (bytes, 8 MiB; 0: none), `offline` (fetch nothing).
    """

    protocol: ClassVar[str] = "dsvc"
    root_marker = ""
    cachable = True

    def __init__(
        self,
        repo: str,
        *,
        cache_bytes: int = CACHE_BYTES,
        read_ahead: int = AHEAD_BYTES,
        offline: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._files = RevisionFiles(
            Path(repo), os.environ, cache_bytes=cache_bytes, ahead_bytes=read_ahead, offline=offline
        )

    @classmethod
    def _strip_protocol(cls, path: str | list[str]) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        path = os.fspath(path)
        return path.removeprefix("dsvc://").strip("/")

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Return name, size, type (file or directory), id and kind of what a path leads to."""
        path = self._strip_protocol(path)
        if not path:
            return {"name": "", "size": 0, "type": "directory"}
        revision, inside = _split(path)
        with _named(path):
            _, entry = self._files.tree(revision).follow(inside)
        return self._info(path, entry)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """List a folder; without a revision, the branches and tags."""
        path = self._strip_protocol(path)
        found: list[dict[str, Any]]
        if not path:
            names = (quote(name, safe="") for name in self._files.revisions())
            found = [{"name": name, "size": 0, "type": "directory"} for name in names]
        else:
            revision, inside = _split(path)
            files = self._files.tree(revision)
            with _named(path):
                _, entry = files.follow(inside)
            if entry.kind in _TYPES:
                found = [self._seen(path, inside, name, below) for name, below in files.list(inside)]
            else:
                found = [self._info(path, entry)]
        return found if detail else [row["name"] for row in found]

    def _seen(self, path: str, inside: bytes, name: bytes, entry: Entry) -> dict[str, Any]:
        shown = f"{path}/{os.fsdecode(name)}"
        if entry.kind != EntryKind.SYMLINK:
            return self._info(shown, entry)
        try:
            _, target = self._files.tree(_split(path)[0]).follow(inside + b"/" + name if inside else name)
        except OSError:  # it leads nowhere
            return {"name": shown, "size": 0, "type": "other", "islink": True}
        return {**self._info(shown, target), "islink": True}

    def _info(self, path: str, entry: Entry) -> dict[str, Any]:
        kind = _TYPES.get(entry.kind, "file")
        return {
            "name": path,
            "size": entry.size if kind == "file" else 0,
            "type": kind,
            "id": entry.id.hex(),
            "executable": entry.kind == EntryKind.EXECUTABLE,
        }

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> ContentFile:
        if mode != "rb":
            raise _read_only(path)
        path = self._strip_protocol(path)
        revision, inside = _split(path)
        with _named(path):
            return ContentFile(self._files.tree(revision).open(inside), path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return a file, or a range of it; negative numbers count from its end."""
        path = self._strip_protocol(path)
        revision, inside = _split(path)
        with _named(path):
            content = self._files.tree(revision).open(inside)
        first, last, _ = slice(start, end).indices(content.size)
        return content.read(first, last - first)

    def modified(self, path: str) -> datetime:
        """Return when the revision of a path was committed."""
        return self._files.time(_split(self._strip_protocol(path))[0])

    created = modified

    def checksum(self, path: str) -> int:
        """Return a number that differs where contents do: the beginning of the id."""
        return int(str(self.info(path)["id"])[:16], 16)

    def ukey(self, path: str) -> str:
        """Return the id of what a path leads to."""
        return str(self.info(path)["id"])

    def invalidate_cache(self, path: str | None = None) -> None:
        """Look up anew what names stand for."""
        self._files.forget()
        super().invalidate_cache(path)

    def close(self) -> None:
        """Give back threads and files; what is used afterwards is opened again."""
        self._files.close()

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Refuse."""
        raise _read_only(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Refuse."""
        raise _read_only(path)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Refuse."""
        raise _read_only(path2)

    def _rm(self, path: str) -> None:
        raise _read_only(path)

    def rmdir(self, path: str) -> None:
        """Refuse."""
        raise _read_only(path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Refuse."""
        raise _read_only(path)


def _split(path: str) -> tuple[str, bytes]:
    """Return the revision and the path in it."""
    revision, _, inside = path.partition("/")
    return unquote(revision), os.fsencode(inside)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Let an error of a file in a revision name all of the address."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            error.filename = f"dsvc://{path}"
        raise


def _read_only(path: str) -> OSError:
    return OSError(errno.EROFS, "commits do not change: write into the working copy and commit that", path)
