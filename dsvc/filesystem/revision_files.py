"""The revisions of one repository that this process reads from, each opened once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock

from dsvc.actions.bring import attach
from dsvc.actions.revision import revision_context
from dsvc.actions.tree_files import TreeFiles
from dsvc.errors import NotARepositoryError
from dsvc.history.revisions import UnknownRevisionError, resolve, resolve_tree
from dsvc.objects.ids import CommitId, Kind
from dsvc.objects.random_access import ContentReader
from dsvc.refs.names import HEADS, TAGS
from dsvc.tracking.opening import open_workspace
from dsvc.workspace import Workspace


class RevisionFiles:
    """Opens a repository when it is first asked for something. Threads may share it; a forked process opens anew."""

    def __init__(
        self, repo: Path, environment: Mapping[str, str], *, cache_bytes: int, ahead_bytes: int, offline: bool
    ) -> None:
        self._repo, self._environment = repo, environment
        self._cache_bytes, self._ahead_bytes, self._offline = cache_bytes, ahead_bytes, offline
        self._lock = RLock()
        self._process = 0
        self._workspace: Workspace | None = None
        self._reader: ContentReader | None = None
        self._trees: dict[str, tuple[TreeFiles, datetime]] = {}

    def tree(self, revision: str) -> TreeFiles:
        """Return the files of a revision: what it meant when it was first asked for.

        Raises:
            FileNotFoundError: where there is no such revision.
        """
        return self._found(revision)[0]

    def time(self, revision: str) -> datetime:
        """Return when a revision was committed."""
        return self._found(revision)[1]

    def revisions(self) -> Iterator[str]:
        """Yield the names of branches and tags."""
        workspace = self._open()
        for prefix in (HEADS, TAGS):
            for name, _ in workspace.view().items(prefix):
                yield name.removeprefix(prefix)

    def forget(self) -> None:
        """Let names be looked up anew."""
        with self._lock:
            self._trees.clear()
            if self._workspace is not None and self._process == os.getpid():
                self._workspace.repo.refresh()

    def close(self) -> None:
        """Give back threads and files."""
        with self._lock:
            if self._process == os.getpid():  # what was opened before a fork belongs to the parent
                if self._reader is not None:
                    self._reader.close()
                if self._workspace is not None:
                    self._workspace.close()
            self._workspace = self._reader = None
            self._trees.clear()

    def _found(self, revision: str) -> tuple[TreeFiles, datetime]:
        with self._lock:
            workspace = self._open()
            assert self._reader is not None
            found = self._trees.get(revision)
            if found is None:
                try:
                    context = revision_context(workspace)
                    tree_id = resolve_tree(context, revision)
                    resolved = resolve(context, revision)
                except UnknownRevisionError as error:
                    raise FileNotFoundError(error.message) from error
                kind, object_id = workspace.repo.peel(resolved.kind, resolved.id)
                moment = workspace.repo.commit(CommitId(object_id)).committer.time if kind == Kind.COMMIT else 0
                files = TreeFiles(workspace.repo.store, tree_id, self._reader)
                found = self._trees[revision] = files, datetime.fromtimestamp(moment / 1_000_000, UTC)
            return found

    def _open(self) -> Workspace:
        with self._lock:
            if self._workspace is None or self._process != os.getpid():
                self._trees = {}
                try:
                    self._workspace = open_workspace(self._repo, self._environment, ("dsvc://",))
                except NotARepositoryError:
                    raise NotARepositoryError(
                        f"{self._repo} is in no dsvc repository",
                        hint="name one: storage_options={'repo': '/path/to/project'}",
                    ) from None
                self._process = os.getpid()
                attach(self._workspace, offline=self._offline)
                self._reader = ContentReader(
                    self._workspace.repo.store, cache_bytes=self._cache_bytes, ahead_bytes=self._ahead_bytes
                )
            return self._workspace
