"""Make a repository that goes on from another one and shares what that has stored."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.checkout import checkout
from dsvc.config.editing import set_values
from dsvc.config.keys import Value
from dsvc.config.settings import Config, ConfigFiles, load_config
from dsvc.errors import DsvcError, NotARepositoryError, RequestError
from dsvc.history.datasets import stored_snapshots
from dsvc.objects import trees
from dsvc.objects.ids import CommitId
from dsvc.objects.store import ObjectMissingError
from dsvc.progress import Progress, Silent
from dsvc.refs.names import CUT, REQUESTS, SHARED, head_of
from dsvc.refs.transaction import Act, storable
from dsvc.refs.view import Ref
from dsvc.repo.format import read_format, write_format
from dsvc.repo.repository import Repository
from dsvc.repo.sharing import Method, Shared, share_packs
from dsvc.repo.tombstones import PURGED, explain_missing
from dsvc.storage.local import LocalBackend
from dsvc.workspace import MAIN, PRIVATE, Surroundings, Workspace
from dsvc.worktree.content_filter import configured_filter
from dsvc.worktree.datasets import LOCK, lock_datasets, read_datasets, repository_mark, seed_datasets
from dsvc.worktree.index import Index
from dsvc.worktree.name_map import read_names, seed_names
from dsvc.worktree.places import common_folder, find_private, make_private, make_root, store_folder, worktree_id
from dsvc.zfs.errors import ZfsMissingError
from dsvc.zfs.provider import ZfsProvider, open_zfs
from dsvc.zfs.taken import foreign


@dataclass(frozen=True, slots=True)
class ForkResult:
    """Where the fork and its parent lie, where it stands, and how the packs came to be in both.

    `methods` counts packs by method; `shared` and `copied` are bytes.
    """

    path: Path
    parent: Path
    branch: str | None
    commit_id: CommitId | None
    methods: dict[Method, int]
    shared: int
    copied: int


def fork(
    source: Path,
    target: Path,
    *,
    config: Config,
    surroundings: Surroundings,
    how: str | None = None,
    progress: Progress | None = None,
) -> ForkResult:
    """Make a repository in `target`, which must be empty or not there, with the branches and tags of `source`.

    Stored objects are shared (see dsvc.repo.sharing; `how` is auto, hardlink, reflink or copy), so either side may run
    gc and lose nothing. The source is only read, while others may write to it. HEAD's branch is checked out. The first
    operation and the configuration's section `fork` say where it came from. Snapshots of datasets are held for it too,
    those of all its branches. When it fails nothing is left.

    Raises:
        NotARepositoryError: when there is none at `source`. RequestError: when `target` is not empty.
    """
    if not source.is_dir():
        raise NotARepositoryError(f"there is no folder {source}", hint="dsvc fork SRC [DST]")
    private = find_private(source)
    if private is None:
        raise NotARepositoryError(f"{source} is in no dsvc repository", hint="dsvc fork SRC [DST]")
    target = Path(os.path.abspath(target))
    existed = target.exists()
    if existed and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(
            f"{target} exists and is not an empty folder", hint=f"dsvc fork {source} FOLDER takes another one"
        )
    if private == target or private in target.parents:
        raise RequestError(f"{target} lies in the folder of a repository", hint="choose another folder")
    make_root(target)
    try:
        return _fork(
            private,
            target,
            how=how or config.get_str("store.link") or "auto",
            config=config,
            surroundings=surroundings,
            progress=progress or Silent(),
        )
    except BaseException:
        _let_go(open_zfs(surroundings.environment, config), target)
        shutil.rmtree(target, ignore_errors=True)
        if existed:
            target.mkdir(exist_ok=True)
        raise


def _let_go(zfs: ZfsProvider, target: Path) -> None:
    """Destroy the datasets that were cloned for a fork which failed, and let its snapshots go."""
    zfs.unmount_below(target)
    with suppress(DsvcError, OSError):
        places = read_datasets(target / PRIVATE / "worktree" / "datasets")
        near = [name for place in places.values() for name in place.known()]
        if near:
            mark = repository_mark(target / PRIVATE / "datasets.mark")
            for name in zfs.made(mark, near):
                zfs.destroy(name)
            for kept in foreign(zfs, mark, near):
                zfs.release(kept.name, f"dsvc:{mark}")


def _fork(
    private: Path, target: Path, *, how: str, config: Config, surroundings: Surroundings, progress: Progress
) -> ForkResult:
    common = common_folder(private)
    lock = lock_datasets(common / LOCK, exclusive=False) if (private / "worktree" / "datasets").exists() else None
    try:
        shared = _make(private, common, target, how=how, surroundings=surroundings, progress=progress)
        return _check_out(target, private.parent, shared, config=config, surroundings=surroundings, progress=progress)
    finally:
        if lock is not None:
            os.close(lock)


def _make(
    private: Path, common: Path, target: Path, *, how: str, surroundings: Surroundings, progress: Progress
) -> Shared:
    store = store_folder(common)
    backend = LocalBackend(store)
    source = Repository.open(backend, backend.staging)
    own = target / PRIVATE
    make_private(own, "store", "worktree", "cache")
    made = LocalBackend(own / "store")
    try:
        record = read_format(backend)
        shared = share_packs(source, store, own / "store", how=how, progress=progress)
        if record is not None:
            write_format(made, record)
        view = source.log.view(shared.head.operation)
        refs: dict[str, Ref] = {name: ref for prefix in (*SHARED, PURGED, CUT) for name, ref in view.items(prefix)}
        refs = {name: ref for name, ref in refs.items() if not name.startswith(REQUESTS)}  # they stay where they are
        head = view.get(head_of(worktree_id(private)))
        if head is not None:
            refs[head_of(MAIN)] = head
        act = _act(surroundings, private.parent, shared)
        Repository.create(made, made.staging, act=act, refs=refs, packs=shared.head.packs.packs).close()
    finally:
        source.close()
    told: dict[str, Value] = {
        "fork.parent": storable(os.fspath(private.parent)),
        "fork.operation": shared.head.operation.hex(),
        **_remotes_of_partial(common),
    }
    set_values(own / "config.toml", told)
    seed_datasets(private / "worktree" / "datasets", own / "worktree" / "datasets")
    seed_names(private / "worktree" / "names", own / "worktree" / "names")
    return shared


def _remotes_of_partial(common: Path) -> dict[str, Value]:
    """Return the settings of the remotes that have what a partial clone has not, for its fork; none of a full one."""
    remotes = load_config(ConfigFiles(repo=common / "config.toml")).section("remote")
    return {f"remote.{key}": value for key, value in remotes.items()} if configured_filter(remotes) else {}


def _act(surroundings: Surroundings, parent: Path, shared: Shared) -> Act:
    now = surroundings.now()
    offset = now.utcoffset()
    path = os.fsencode(parent)
    return Act(
        verb="fork",
        description=f"fork of {path.decode('utf-8', 'replace')}",
        user=surroundings.user,
        host=socket.gethostname(),
        worktree=MAIN,
        time=int(now.timestamp() * 1_000_000),
        zone=int(offset.total_seconds()) // 60 if offset is not None else 0,
        command=surroundings.command,
        metadata={"parent": path, "operation": shared.head.operation},
    )


def _check_out(
    target: Path, parent: Path, shared: Shared, *, config: Config, surroundings: Surroundings, progress: Progress
) -> ForkResult:
    outer = [layer for layer in config.layers if layer.origin.scope not in ("repo", "worktree", "command")]
    own = load_config(ConfigFiles(repo=target / PRIVATE / "config.toml")).layers
    said = [layer for layer in config.layers if layer.origin.scope == "command"]
    layered = Config((*outer, *own, *said))  # not what a repository around here says
    workspace = Workspace.open(target, config=layered, surroundings=surroundings, progress=progress)
    try:
        if workspace.content_filter() is not None:
            from dsvc.actions.bring import attach

            attach(workspace)
        datasets = workspace.datasets()
        if datasets is not None:
            with suppress(ZfsMissingError):  # as where datasets are checked out as plain files
                datasets.keep({snapshot.guid for _, snapshot in stored_snapshots(workspace.repo.store)})
        empty = trees.empty_tree(workspace.repo.store)
        head = workspace.head()
        if head.commit_id is not None:
            checkout(
                workspace,
                empty,
                workspace.tree_of(head.commit_id),
                transaction=workspace.transaction(),
                verb="fork",
                description="fork: check out",
                index=Index(empty, 0, names=read_names(workspace.names_path)),
            )
    except ObjectMissingError as error:
        raise explain_missing(workspace.repo, error) from error
    finally:
        workspace.close()
    return ForkResult(
        target, parent, head.branch, head.commit_id, shared.methods, shared=shared.shared, copied=shared.copied
    )
