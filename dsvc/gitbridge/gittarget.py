"""A git repository that is written: its refs through libgit2, its objects through packs of ours."""

from __future__ import annotations

from pathlib import Path

from dsvc.errors import RequestError
from dsvc.gitbridge.gitsource import COMMIT, GitSource, common_folder
from dsvc.gitbridge.gittree import Oid
from dsvc.gitbridge.gitwriter import GitWriter


class GitTarget:
    """An open git repository for writing."""

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
        self.objects = GitWriter(self.source, self.folder / "objects" / "pack", lfs=self.source.lfs())

    def close(self) -> None:
        """Give back what is held open; objects that were not flushed are dropped."""
        self.objects.abandon()
        self.source.close()

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
