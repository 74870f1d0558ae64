"""A git repository that is read: objects by id, refs, and the order of its commits. All of pygit2's reading is here."""

from __future__ import annotations

import os
from collections.abc import Collection, Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dsvc.errors import IntegrityError, NotARepositoryError, RequestError
from dsvc.gitbridge.gitcommit import BadGitCommitError, parents_of
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.lfs import MAX_POINTER, LfsObjects, Pointer, parse_pointer

if TYPE_CHECKING:
    import pygit2

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4  # git's numbers of object types
TYPE_NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
_LARGE = 1 << 20  # bytes; larger blobs are not copied
_OBJECT_CACHE = 16 << 20  # bytes that libgit2 may keep of objects
_HELD_COMMITS = 20_000  # whose bytes are kept while their parents come first
_MAPPED = 128 << 20  # bytes of packs that libgit2 may map at once


class NotGitError(NotARepositoryError):
    """There is no git repository at a place that should be one."""


class UnusableGitError(RequestError):
    """A git repository is of a form that cannot be read or written."""


class GitObjectMissingError(IntegrityError):
    """A git object cannot be read."""


class GitRef(NamedTuple):
    """A ref of git by its full name, and the type and id of the object it points to."""

    name: str
    type: int
    oid: Oid


class GitSource:
    """An open git repository."""

    def __init__(self, path: Path) -> None:
        """Open the repository at `path`: its folder, a bare one, or a working copy's.

        Raises:
            NotGitError: where there is none. UnusableGitError: where it cannot be used.
        """
        self.git = open_git(path)
        self.path = path
        self._odb = self.git.odb

    def lfs(self, *, dry: bool = False) -> LfsObjects:
        """Return the LFS objects that the repository has; `dry` ones are never stored."""
        return LfsObjects(common_folder(Path(self.git.path)) / "lfs" / "objects", dry)

    def read(self, oid: Oid) -> bytes:
        """Return an object's bytes.

        Raises:
            GitObjectMissingError: when it is not there or damaged.
        """
        from pygit2 import Oid as PyOid

        try:
            data: bytes = self._odb.read(PyOid(raw=oid))[1]
        except (KeyError, self._error()) as error:
            raise self._missing(oid) from error
        return data

    def blob(self, oid: Oid) -> bytes | memoryview:
        """Return a blob's content; a large one's is not copied.

        Raises:
            GitObjectMissingError: when it is not there, damaged, or no blob.
        """
        kind, size = self.header(oid)
        if kind != BLOB:
            name = TYPE_NAMES.get(kind, "thing")
            raise GitObjectMissingError(
                f"git object {oid.hex()} of {self.path} is a {name} where a file is named", hint="git fsck"
            )
        if size <= _LARGE:
            return self.read(oid)
        from pygit2 import Oid as PyOid

        return memoryview(self.git[PyOid(raw=oid)])  # type: ignore[arg-type]

    def size(self, oid: Oid) -> int:
        """Return an object's length."""
        return self.header(oid)[1]

    def header(self, oid: Oid) -> tuple[int, int]:
        """Return an object's type and length."""
        from pygit2 import Oid as PyOid

        try:
            kind, size = self._odb.read_header(PyOid(raw=oid))
        except (KeyError, self._error()) as error:
            raise self._missing(oid) from error
        return int(kind), int(size)

    def pointer(self, oid: Oid) -> Pointer | None:
        """Return the LFS pointer that a blob is, or None."""
        return parse_pointer(self.read(oid)) if self.size(oid) <= MAX_POINTER else None

    def has(self, oid: Oid) -> bool:
        """Say whether there is such an object."""
        from pygit2 import Oid as PyOid

        return PyOid(raw=oid) in self._odb

    def refs(self) -> Iterator[GitRef | bytes]:
        """Yield all refs but HEAD, symbolic ones followed; the bare name of those that are not UTF-8 or broken."""
        for raw in sorted(self.git.raw_listall_references()):
            try:
                name = raw.decode()
                target = self.git.lookup_reference(name).resolve().target
                assert not isinstance(target, str), "a resolved ref points to an object"
                yield GitRef(name, self.header(target.raw)[0], target.raw)
            except (UnicodeDecodeError, KeyError, GitObjectMissingError, self._error()):
                yield raw

    def head_branch(self) -> str | None:
        """Return the full name of the branch that HEAD stands for, born or not; None when it is detached."""
        target = self.git.lookup_reference("HEAD").target
        return target if isinstance(target, str) else None

    def commits(self, tips: Collection[Oid], *, known: Container[Oid]) -> Iterator[tuple[Oid, bytes]]:
        """Yield (id, bytes) of the commits that `tips` reach, parents first, down to those that are `known`.

        The caller adds to `known` what was yielded. (libgit2's own walk stops at commits whose author line is damaged,
        of which old histories have some.)
        """
        stack = list(tips)
        held: dict[Oid, bytes] = {}
        while stack:
            oid = stack[-1]
            if oid in known:
                stack.pop()
                continue
            raw = held.pop(oid, None)
            if raw is None:
                raw = self.read(oid)
            try:
                waiting = [parent for parent in parents_of(raw) if parent not in known]
            except BadGitCommitError as error:
                raise BadGitCommitError(
                    f"git object {oid.hex()} of {self.path} cannot be imported: {error.message}", hint="git fsck"
                ) from error
            if waiting:
                if len(held) < _HELD_COMMITS:
                    held[oid] = raw
                stack += reversed(waiting)
                continue
            stack.pop()
            yield oid, raw

    def close(self) -> None:
        """Give back files and memory."""
        self.git.free()

    def _missing(self, oid: Oid) -> GitObjectMissingError:
        return GitObjectMissingError(
            f"git object {oid.hex()} is missing from {self.path} or damaged",
            hint="git fsck, or 'git fetch --refetch' in a partial clone",
        )

    @staticmethod
    def _error() -> type[Exception]:
        import pygit2

        return pygit2.GitError


def open_git(path: Path) -> pygit2.Repository:
    """Open a git repository at exactly `path`.

    Raises:
        NotGitError: where there is none. UnusableGitError: where it is shallow, not by SHA-1, or another user's.
    """
    import pygit2
    from pygit2.enums import RepositoryOpenFlag

    pygit2.settings.cache_max_size(_OBJECT_CACHE)
    pygit2.settings.mwindow_mapped_limit = _MAPPED
    try:
        repository = pygit2.Repository(os.fspath(path), RepositoryOpenFlag.NO_SEARCH)
    except (pygit2.GitError, KeyError) as error:
        if "not found" in str(error).lower():
            raise NotGitError(f"there is no git repository at {path}", hint="name the folder of one") from error
        raise UnusableGitError(f"the git repository {path} cannot be opened: {error}") from error
    if repository.is_shallow:
        raise UnusableGitError(
            f"the git repository {path} is a shallow clone, without its older commits",
            hint=f"git -C {path} fetch --unshallow",
        )
    return repository


def common_folder(git_folder: Path) -> Path:
    """Return the git folder that all worktrees of a repository share."""
    try:
        return (git_folder / (git_folder / "commondir").read_text().strip()).resolve()
    except OSError:
        return git_folder
