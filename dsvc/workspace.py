"""A workspace: a repository, one working copy of it, and who works there. What a command opens."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dsvc.errors import NotARepositoryError, RequestError
from dsvc.objects import trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId, Kind, ObjectId, OperationId, TreeId
from dsvc.objects.values import Person
from dsvc.progress import Progress, Silent
from dsvc.refs.names import HEADS, added_of, head_of, state_of
from dsvc.refs.transaction import Act, Transaction
from dsvc.refs.view import Direct, Symbolic, View
from dsvc.repo.fetched import Fetched
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.worktree.absent import read_absent
from dsvc.worktree.index import Index, file_clock, read_index, write_index
from dsvc.worktree.known import index_of_tree, lacking, not_checked_out, refit_index
from dsvc.worktree.name_map import NameMap, read_names, write_names
from dsvc.worktree.places import MAIN, PRIVATE, common_folder, find_private, store_folder, worktree_id
from dsvc.worktree.sparse import read_patterns

if TYPE_CHECKING:
    from dsvc.config.identity import Identity
    from dsvc.config.settings import Config
    from dsvc.config.signing import SigningSettings
    from dsvc.worktree.content_filter import ContentFilter
    from dsvc.worktree.delegation import Delegation
    from dsvc.worktree.ignore import IgnoreRules
    from dsvc.worktree.plan import LeavesOut


def _no_signing() -> SigningSettings:
    from dsvc.config.signing import SigningSettings

    return SigningSettings()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a workspace is told of the world: clock, person, command line. Only commands know these by themselves."""

    now: Callable[[], datetime]
    identity: Callable[[], Identity]
    user: str = "unknown"  # login name: for operations of people without an identity
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # for programs and services that are called
    signing: Callable[[], SigningSettings] = _no_signing
    limit_rate: int | None = None  # bytes a second to and from remotes, 0: no limit, None: as a remote's option says
    ask_secret: Callable[[str], str | None] = lambda _question: None  # a passphrase; None where nobody is there


class HeadState(NamedTuple):
    """Where a worktree stands: the full name of its branch (None: detached) and its commit (None: no commit yet)."""

    branch: str | None
    commit_id: CommitId | None


class Workspace:
    """An open workspace. `root` is the working copy, `private` its own `.dsvc`, `common` the `.dsvc` with the store."""

    def __init__(
        self,
        root: Path,
        private: Path,
        common: Path,
        repo: Repository,
        *,
        worktree_id: str,
        config: Config,
        surroundings: Surroundings,
        progress: Progress | None = None,
    ) -> None:
        self.root = root
        self.private, self.common = private, common
        self.repo = repo
        self.worktree_id = worktree_id
        self.config = config
        self.surroundings = surroundings
        self.progress: Progress = progress or Silent()
        self.published = False
        self.recovered: str | None = None  # what became of a checkout that was broken off: finished or taken back
        self.left_out: dict[bytes, bytes] = {}  # path -> file id of what the last checkout left out: it was purged
        self.fetched = repo.store.elsewhere = Fetched(repo)
        self._datasets: Delegation | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        config: Config,
        surroundings: Surroundings,
        progress: Progress | None = None,
        recover: bool = True,
    ) -> Workspace:
        """Open the workspace that contains `path`; finish or take back a checkout that was killed in it.

        Raises:
            NotARepositoryError: where neither the folder nor one above it has a `.dsvc`, and in the folder of a
                worktree that was removed.
        """
        private = find_private(path)
        if private is None:
            raise NotARepositoryError(f"{path} is in no dsvc repository", hint="dsvc init")
        common = common_folder(private)
        backend = LocalBackend(store_folder(common))
        level, link = config.get_int("store.compression"), config.get_str("store.link") or "auto"
        repo = Repository.open(backend, backend.staging, level=level, link=link)
        workspace = cls(
            private.parent, private, common, repo,
            worktree_id=worktree_id(private),
            config=config,
            surroundings=surroundings,
            progress=progress,
        )
        if common != private and workspace.view().get(head_of(workspace.worktree_id)) is None:
            raise NotARepositoryError(
                f"the worktree {workspace.root} was removed from the repository at {common.parent}",
                hint="copy out what you need of it and remove the folder; 'dsvc worktree add' makes a new one",
            )
        if recover and workspace.journal_path.exists():
            from dsvc.worktree.recovery import recover as recover_files

            workspace.recovered = recover_files(workspace, repo.store, repo.log, repo.head.operation)
        return workspace

    # Paths.

    @property
    def local(self) -> Path:
        """The folder of what belongs to this worktree alone."""
        return self.private / "worktree"

    @property
    def index_path(self) -> Path:
        """Where the index lies."""
        return self.local / "index"

    @property
    def journal_path(self) -> Path:
        """Where the journal of a checkout lies."""
        return self.local / "journal"

    @property
    def sparse_path(self) -> Path:
        """Where the patterns of a partial working copy are kept beside the index."""
        return self.local / "sparse"

    @property
    def names_path(self) -> Path:
        """Where it is kept which paths lie under other names on disk."""
        return self.local / "names"

    @property
    def scratch(self) -> Path:
        """A folder for unfinished files, on the disk of the working copy."""
        return self.local / "tmp"

    @property
    def cache(self) -> Path:
        """A folder for what can be computed again."""
        return self.common / "cache"

    @property
    def root_bytes(self) -> bytes:
        """The working copy's path as the file system spells it."""
        return os.fsencode(self.root)

    def repo_path(self, path: str | Path, directory: Path) -> bytes:
        """Return a path given on the command line, seen from `directory`, as a path inside the repository.

        Raises:
            RequestError: when it lies outside of the working copy.
        """
        full = os.path.normpath(os.path.join(os.path.realpath(directory), os.fspath(path)))
        root = os.path.realpath(self.root)
        if full != root and not full.startswith(root.rstrip("/") + "/"):
            raise RequestError(f"{os.fspath(path)} lies outside of the working copy {self.root}")
        relative = os.path.relpath(full, root)
        return b"" if relative == "." else read_names(self.names_path).true_path(os.fsencode(relative))

    def place(self, path: bytes) -> bytes:
        """Return where a path inside the repository lies on disk, as the file system spells it."""
        return os.path.join(self.root_bytes, read_names(self.names_path).on_disk(path))

    # Where we stand.

    def view(self) -> View:
        """Return all refs."""
        return self.repo.view()

    def head(self) -> HeadState:
        """Return where this worktree stands."""
        view = self.view()
        ref = view.get(head_of(self.worktree_id))
        if isinstance(ref, Symbolic):
            return HeadState(ref.target, view.commit(ref.target))
        if ref is not None:
            return HeadState(None, CommitId(ref.id))
        return HeadState(f"{HEADS}{self.config.get_str('init.defaultBranch') or MAIN}", None)

    def head_tree(self) -> TreeId:
        """Return the tree of HEAD's commit, the empty tree where there is none."""
        commit_id = self.head().commit_id
        return self.tree_of(commit_id) if commit_id is not None else trees.empty_tree(self.repo.store)

    def tree_of(self, commit_id: CommitId) -> TreeId:
        """Return a commit's tree as it is checked out here."""
        return self.here(self.repo.commit(commit_id).tree)

    def here(self, tree: TreeId) -> TreeId:
        """Return a tree with the files of datasets that are checked out as such."""
        return tree if (datasets := self.datasets()) is None else datasets.here(tree)

    # Who and when.

    def person(self) -> Person:
        """Return who makes a commit now.

        Raises:
            MissingIdentityError: when nothing says who that is.
        """
        identity = self.surroundings.identity()
        time, zone = self.time()
        return Person(identity.name, identity.email, time, zone)

    def time(self) -> tuple[int, int]:
        """Return the present moment: microseconds since 1970 UTC, and the zone in minutes east of it."""
        now = self.surroundings.now()
        offset = now.utcoffset()
        zone = int(offset.total_seconds()) // 60 if offset is not None else 0
        return int(now.timestamp()) * 1_000_000 + now.microsecond, zone

    def act(
        self,
        verb: str,
        description: str,
        *,
        reverts: OperationId | None = None,
        metadata: Mapping[str, Value] | None = None,
    ) -> Act:
        """Return what an operation of this worktree records."""
        time, zone = self.time()
        import socket

        user = self.surroundings.user
        with suppress(RequestError):
            identity = self.surroundings.identity()
            user = f"{identity.name} <{identity.email}>"
        return Act(
            verb=verb,
            description=description,
            user=user,
            host=socket.gethostname(),
            worktree=self.worktree_id,
            time=time,
            zone=zone,
            command=self.surroundings.command,
            reverts=reverts,
            metadata=dict(metadata or {}),
        )

    def transaction(self) -> Transaction:
        """Begin to change refs; publishing fails when somebody moves this worktree meanwhile."""
        transaction = self.repo.transaction()
        transaction.require(head_of(self.worktree_id))
        transaction.require(state_of(self.worktree_id))
        return transaction

    def publish(self, transaction: Transaction, act: Act) -> OperationId:
        """Publish a transaction as one operation."""
        operation_id = self.repo.publish(transaction, act)
        self.published = True
        return operation_id

    def move_head(self, transaction: Transaction, commit_id: CommitId) -> None:
        """Let the branch we are on, or a detached HEAD, point to a commit."""
        head = self.head()
        transaction.set(head.branch or head_of(self.worktree_id), Direct(Kind.COMMIT, ObjectId(commit_id)))

    # The working copy.

    def index(self) -> Index:
        """Return the index, made anew where there is none, and made to fit where it stands for another tree.

        Raises:
            DamagedIndexError: when it is damaged.
        """
        index = self._index()
        index.partial, index.store = self.content_filter() is not None or bool(self.erased()), self.repo.store
        return index

    def _index(self) -> Index:
        index, tree = read_index(self.index_path), self.kept_tree()
        if index is None:
            names, sparse = read_names(self.names_path), read_patterns(self.sparse_path)
            return index_of_tree(self.repo.store, tree, sparse=sparse, names=names, leaves_out=self._not_fetched())
        index.names = read_names(self.names_path)
        if index.tree == tree:
            return index
        return refit_index(self.repo.store, index, tree, leaves_out=self._not_fetched())

    def content_filter(self) -> ContentFilter | None:
        """Return which content is kept here when this is a partial clone, None for a full repository."""
        from dsvc.worktree.content_filter import configured_filter

        return configured_filter(self.config.section("remote"))

    def erased(self) -> frozenset[bytes]:
        """Return the ids of the files of which a note says that their content was purged."""
        from dsvc.repo.tombstones import purged_files

        return purged_files(self.repo)

    def says_erased(self) -> LeavesOut | None:
        """Return what says whether a file cannot be checked out because its content was purged; None for none."""
        return lacking(self.repo.store, None, self.erased())

    def leaves_out(self) -> LeavesOut | None:
        """Return what says whether a checkout leaves a file out, because its content is not here and not wanted."""
        wanted = self.content_filter()
        return lacking(self.repo.store, None if wanted is None else wanted.wants, ())

    def _not_fetched(self) -> LeavesOut | None:
        """Return what says whether a file cannot have been checked out, where no index tells."""
        wants, names = self.content_filter(), read_names(self.names_path)
        return not_checked_out(self.repo.store, wants, self.erased(), root=self.root_bytes, names=names)

    def kept_tree(self) -> TreeId:
        """Return the tree that the index stood for when refs were last published: HEAD's, or with added files."""
        ref = self.view().get(added_of(self.worktree_id))
        return TreeId(ref.id) if isinstance(ref, Direct) and ref.kind == Kind.TREE else self.head_tree()

    def write_index(self, index: Index) -> None:
        """Keep an index, and its names on disk without those of files that it does not know any more."""
        self.local.mkdir(parents=True, exist_ok=True)
        write_index(self.index_path, index)
        if index.names.enabled:
            index.names = index.names.only(lambda path: index.get(path) is not None)
            self.keep_names(index.names)

    def keep_names(self, names: NameMap) -> None:
        """Keep the names on disk: before a file is written under one of them."""
        if names != read_names(self.names_path):
            self.local.mkdir(parents=True, exist_ok=True)
            write_names(self.names_path, names)

    def map_names(self) -> None:
        """Let names that this disk does not tell apart get other ones here, from now on."""
        names = read_names(self.names_path)
        if not names.enabled:
            self.keep_names(NameMap(names.pairs, enabled=True))

    def clock(self) -> int:
        """Return the file system's time in nanoseconds, for an index's stamp."""
        self.local.mkdir(parents=True, exist_ok=True)
        return file_clock(self.local)

    def ignore_rules(self) -> IgnoreRules:
        """Return the rules of `.dsvcignore`, `.gitignore` and the repository's exclude file."""
        from dsvc.worktree.ignore import IgnoreRules

        partial = self.sparse_path.exists() or self.content_filter() is not None
        return IgnoreRules(
            self.root_bytes,
            read_gitignore=self.config.get_bool("core.gitignore"),
            exclude_file=os.fsencode(self.common / "exclude"),
            on_disk=read_names(self.names_path).on_disk,
            read_absent=read_absent(self.repo.store, self.index) if partial else None,
        )

    def datasets(self, *, begin: bool = False) -> Delegation | None:
        """Return the folders that ZFS serves; None where there are none, unless this is to `begin` with some."""
        if self._datasets is None and (begin or (self.local / "datasets").exists()):
            from dsvc.worktree.delegation import open_delegation
            from dsvc.zfs.provider import open_zfs

            zfs = open_zfs(self.surroundings.environment, self.config)
            self._datasets = open_delegation(self.repo.store, self.root_bytes, self.local, self.common, zfs)
        return self._datasets

    def close(self) -> None:
        """Give back files and threads."""
        if self._datasets is not None:
            self._datasets.close()
        self.repo.close()


__all__ = ["MAIN", "PRIVATE", "HeadState", "Surroundings", "Workspace", "common_folder", "find_private", "store_folder"]
