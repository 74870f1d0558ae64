"""A git repository that is written: objects into packs of ours, refs through libgit2."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from dsvc.errors import RequestError
from dsvc.gitbridge.gitsource import COMMIT, GitSource, common_folder
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.lfs import LfsObjects
from dsvc.gitbridge.packfile import GitPack, object_header

_PACK_OBJECTS = 200_000
_PACK_BYTES = 1 << 30
_UNPACK = 100  # objects; fewer are written as loose ones, as git does


class GitTarget:
    """An open git repository for writing. What is written becomes readable for others with `flush`."""

    def __init__(self, path: Path, *, branch: str = "main") -> None:
        """Open the repository at `path`; where nothing is there, make a bare one whose HEAD is `branch`.

        Raises:
            NotGitError: where something else is. UnusableGitError: for forms that cannot be written.
        """
        import pygit2

        self.created = not path.exists() or (path.is_dir() and not any(path.iterdir()))
        if self.created:
            try:
                pygit2.init_repository(str(path), bare=True, initial_head=branch)
            except pygit2.GitError as error:
                raise RequestError(f"no git repository can be made at {path}: {error}") from error
        pygit2.settings.enable_fsync_gitdir(True)  # noqa: FBT003 -- pygit2's signature
        self.source = GitSource(path)
        self.git = self.source.git
        self.folder = common_folder(Path(self.git.path))
        self.lfs: LfsObjects = self.source.lfs
        self._pack: GitPack | None = None

    def has(self, oid: Oid) -> bool:
        """Say whether an object is there or on its way."""
        return (self._pack is not None and oid in self._pack) or self.source.has(oid)

    def read(self, oid: Oid) -> bytes:
        """Return an object's content."""
        if self._pack is not None and oid in self._pack:
            return self._pack.read(oid)[1]
        return self.source.read(oid)

    def size(self, oid: Oid) -> int:
        """Return an object's length."""
        if self._pack is not None and oid in self._pack:
            return len(self._pack.read(oid)[1])
        return self.source.size(oid)

    def write(self, kind: int, data: bytes) -> Oid:
        """Store an object and return its id."""
        hasher = hashlib.sha1(object_header(kind, len(data)), usedforsecurity=False)
        hasher.update(data)
        oid = hasher.digest()
        if not self.has(oid):
            self._writer().add(kind, oid, data)
        return oid

    def write_stream(self, kind: int, size: int, pieces: Iterable[bytes]) -> Oid:
        """Store an object of `size` bytes that is given in pieces, and return its id."""
        return self._writer().add_stream(kind, size, pieces, known=self.source.has)

    def flush(self) -> None:
        """Make everything that was written durable and readable for git."""
        held, self._pack = self._pack, None
        if held is None:
            return
        if len(held) >= _UNPACK:
            held.finish()
            return
        try:
            for kind, data in held.objects():
                self.git.odb.write(kind, data)
        finally:
            held.abandon()

    def close(self) -> None:
        """Give back what is held open; what was not flushed is dropped."""
        if self._pack is not None:
            self._pack.abandon()
            self._pack = None
        self.source.close()

    def _writer(self) -> GitPack:
        if self._pack is not None and (len(self._pack) >= _PACK_OBJECTS or self._pack.size >= _PACK_BYTES):
            self.flush()
        if self._pack is None:
            self._pack = GitPack(self.folder / "objects" / "pack")
        return self._pack

    # Refs.

    def ref(self, name: str) -> Oid | None:
        """Return the object that a ref points to, None where there is no such ref."""
        try:
            target = self.git.lookup_reference(name).resolve().target
        except KeyError:
            return None
        return None if isinstance(target, str) else target.raw

    def set_ref(self, name: str, oid: Oid) -> None:
        """Let a ref point to an object."""
        import pygit2

        try:
            self.git.references.create(name, pygit2.Oid(raw=oid), force=True)
        except (pygit2.GitError, ValueError) as error:
            raise RequestError(f"git refuses to set {name}: {error}") from error

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        """Say whether a commit is another one or an ancestor of it."""
        import pygit2

        if self.source.header(old)[0] != COMMIT or self.source.header(new)[0] != COMMIT:
            return False
        return old == new or self.git.descendant_of(pygit2.Oid(raw=new), pygit2.Oid(raw=old))

    def checked_out(self) -> dict[str, Path]:
        """Return the branches that a working copy of the repository stands on, with that working copy's place."""
        found: dict[str, Path] = {}
        if not self.git.is_bare:
            found[_head(self.folder)] = Path(self.git.workdir or self.folder)
        for linked in sorted((self.folder / "worktrees").glob("*/HEAD")):
            found[_head(linked.parent)] = linked.parent
        found.pop("", None)
        return found


def _head(folder: Path) -> str:
    try:
        text = (folder / "HEAD").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    return text[4:].strip() if text.startswith("ref:") else ""
