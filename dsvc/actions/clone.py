"""Make a repository here that has what a remote has, and follows it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dsvc.actions.bring import attach
from dsvc.actions.checkout import checkout, plan_checkout
from dsvc.actions.fetch import FetchResult, fetch
from dsvc.actions.parent import UPSTREAM, follow_parent
from dsvc.actions.remote_access import OpenRemote, open_remote, transfers
from dsvc.actions.upstream import set_upstream
from dsvc.atomic import write_file
from dsvc.config.editing import set_value
from dsvc.config.keys import Value, join_key
from dsvc.config.settings import Config, ConfigFiles, load_config
from dsvc.errors import BusyError, DsvcError, RequestError
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.progress import Progress, Silent
from dsvc.refs.names import HEADS, REMOTES, TAGS, head_of, short_name
from dsvc.refs.transaction import Act
from dsvc.refs.view import Direct, Symbolic
from dsvc.remotes.address import FolderAddress, parse_address
from dsvc.remotes.opening import PlaceMissingError, prepare_place
from dsvc.remotes.refspec import Refspec
from dsvc.remotes.settings import RemoteSettings, check_remote_name, find_remote
from dsvc.remotes.transfer.shallow import Wish
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import Tombstone, tombstone_of
from dsvc.storage.cloning import can_clone
from dsvc.storage.local import LocalBackend
from dsvc.workspace import MAIN, PRIVATE, Surroundings, Workspace
from dsvc.worktree.drafts import Drafts
from dsvc.worktree.index import Index
from dsvc.worktree.known import index_of_nothing
from dsvc.worktree.name_map import read_names
from dsvc.worktree.places import make_private, make_root

_UNFINISHED = "cloning"  # a file in .dsvc that names the address, as long as a clone is not complete


class CloneResult(NamedTuple):
    """Where the clone lies, what was fetched, where it stands (None: the remote is empty), whether it was resumed.

    `upstream` is the address of what the remote was forked from, which is a remote too, of that name. `left_out` are
    the files of the branch that are not there because their content was purged.
    """

    path: Path
    fetched: FetchResult
    branch: str | None
    commit_id: CommitId | None
    resumed: bool
    upstream: str | None = None
    left_out: tuple[tuple[bytes, Tombstone], ...] = ()


class NotReceivedError(RequestError):
    """A clone is there, and its datasets are not."""


def clone(
    url: str,
    target: Path,
    *,
    directory: Path,
    config: Config,
    surroundings: Surroundings,
    remote: str = "origin",
    branch: str | None = None,
    single_branch: bool = False,
    depth: int | None = None,
    make_checkout: bool = True,
    map_names: bool = False,
    tags: bool = True,
    options: Mapping[str, Value] | None = None,
    overrides: Sequence[str] = (),
    jobs: int = 8,
    progress: Progress | None = None,
) -> CloneResult:
    """Clone the repository at `url` into `target`, which must be empty, not there, or an unfinished clone of it.

    It stands on `branch`, or at a tag of that name, else on the remote's own branch; with `single_branch` that is all
    that is fetched, now and later. A clone that is broken off keeps what has arrived; the same call goes on with it.
    `depth` leaves out what is further than so many commits from a tip. `options` are written into the section of the
    remote before it is first reached. `map_names` is as in `switch`. The parent of a fork becomes the remote
    `upstream`. Where `zfs.parent` is configured, datasets are received and mounted, unless it is a partial clone.

    Raises:
        NotReceivedError: when the datasets could not be received; the clone stays.
        RequestError: when `target` is in use. PlaceMissingError: when there is no repository at `url`; nothing is
            left then. RemoteError: when it breaks off.
    """
    check_remote_name(remote)
    address = parse_address(url, directory=directory)
    text = str(address) if isinstance(address, FolderAddress) else url
    target = Path(os.path.abspath(target))
    private = target / PRIVATE
    resumed = _is_unfinished(private, text)
    existed = target.exists()
    if existed and not resumed and not _is_free(target):
        raise RequestError(
            f"{target} exists and is not an empty folder", hint=f"dsvc clone {url} FOLDER takes another one"
        )
    if isinstance(address, FolderAddress) and os.path.realpath(address.path) == os.path.realpath(target):
        raise PlaceMissingError(f"there is no repository at {text}", hint="check the address")
    threading.Thread(target=prepare_place, args=(address,), daemon=True).start()  # while the disk is waited for
    _begin(private, text, remote, surroundings=surroundings, options=options or {})
    kept = False
    workspace: Workspace | None = None
    ahead: _Ahead | None = None
    try:
        files = ConfigFiles(repo=private / "config.toml")
        outer = [layer for layer in config.layers if layer.origin.scope not in ("repo", "worktree")]
        layered = Config((*outer, *load_config(files, overrides).layers))  # not what a repository around here says
        workspace = Workspace.open(target, config=layered, surroundings=surroundings, progress=progress or Silent())
        settings = find_remote(layered, remote)
        source = _chosen(workspace, settings, branch) if single_branch or branch is not None else None
        if single_branch and source is not None:
            spec = Refspec(source, source.replace(HEADS, f"{REMOTES}{remote}/", 1), force=source.startswith(HEADS))
            set_value(private / "config.toml", join_key(("remote", remote, "fetch")), value=(str(spec),))
            settings = replace(settings, fetch=(spec,))
        attach(workspace, jobs=jobs)
        ahead = _Ahead(workspace, branch) if make_checkout else None
        fetched = fetch(
            workspace,
            settings,
            tags="follow" if tags else "none",
            wish=Wish(depth),
            ask_parent=True,
            early=ahead,
            jobs=jobs,
        )
        kept = True
        if map_names:
            workspace.map_names()
        default = fetched.default_branch
        where, commit_id = _stand(workspace, remote, branch, default=default, ahead=ahead)
        with contextlib.suppress(FileNotFoundError):
            (private / _UNFINISHED).unlink()
        shutil.rmtree(transfers(workspace, remote), ignore_errors=True)
        upstream = fetched.parent if remote != UPSTREAM else None
        if upstream is not None:
            follow_parent(workspace, settings, upstream)
        left_out = _purged(workspace, commit_id) if make_checkout and commit_id is not None else ()
        if make_checkout and commit_id is not None and "filter" not in (options or {}):
            _receive(workspace, settings)
        return CloneResult(target, fetched, where, commit_id, resumed, upstream, left_out)
    except PlaceMissingError as error:
        if not resumed:
            _remove(target if not existed else private)
        raise PlaceMissingError(error.message, hint="check the address") from error
    except BaseException:
        if not (kept or resumed or _has_arrived(private)):
            _remove(target if not existed else private)
        raise
    finally:
        if ahead is not None:
            ahead.close()
        if workspace is not None:
            workspace.close()


def _receive(workspace: Workspace, settings: RemoteSettings) -> None:
    """Receive the datasets of the commit and mount them, where the configuration says in which pool.

    Raises:
        NotReceivedError: when that fails; all else of the clone is there.
    """
    if workspace.config.get_str("zfs.parent") is None:
        return
    from dsvc.actions.stream_get import get_snapshots

    try:
        get_snapshots(workspace, remote=settings)
    except DsvcError as error:
        raise NotReceivedError(
            f"{workspace.root} was cloned, but not its datasets: {error.message}",
            hint=f"{error.hint or 'look into that'}; 'dsvc data get' in {workspace.root} goes on",
            details=error.details,
        ) from error


class _Ahead:
    """Writes the large files of the branch or tag that a clone will stand on while they arrive."""

    def __init__(self, workspace: Workspace, branch: str | None) -> None:
        self._workspace = workspace
        self._branch = branch
        self._drafts: Drafts | None = None

    def __call__(self, remote: OpenRemote) -> Drafts:
        """Return the drafts that a fetch from `remote` hands content to."""
        if self._drafts is None:
            branch = self._branch
            names = [HEADS + branch, TAGS + branch] if branch is not None else [remote.default_branch() or ""]
            refs = [ref for name in names if (ref := remote.view().resolve(name)[1]) is not None]
            self._drafts = Drafts(self._workspace.scratch / "drafts", lambda: self._tree(refs))
        return self._drafts

    def finished(self) -> Drafts | None:
        """Return what can be moved to its place, now that everything is here."""
        if self._drafts is not None:
            self._drafts.finish(self._workspace.repo.store)
        return self._drafts

    def close(self) -> None:
        if self._drafts is not None:
            self._drafts.close()

    def _tree(self, refs: Sequence[Direct]) -> TreeId | None:
        """Return the tree to check out; commits and trees are here by now."""
        for ref in refs[:1]:
            kind, target = self._workspace.repo.peel(ref.kind, ref.id)
            if kind == Kind.COMMIT:
                return self._workspace.tree_of(CommitId(ObjectId(target)))
        return None


def _purged(workspace: Workspace, commit_id: CommitId) -> tuple[tuple[bytes, Tombstone], ...]:
    """Return the files of a commit of which the content was purged, with the notes on that."""
    erased, repo = workspace.erased(), workspace.repo
    if not erased:
        return ()
    named = (pair for pair in trees.walk(repo.store, workspace.tree_of(commit_id)) if pair[1].id in erased)
    found = ((path, tombstone_of(repo, entry.id)) for path, entry in named if not repo.store.has_file(entry.id))
    return tuple((path, tombstone) for path, tombstone in found if tombstone is not None)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def _chosen(workspace: Workspace, settings: RemoteSettings, branch: str | None) -> str | None:
    """Return the full name of the remote's branch or tag of that name, or of the branch it stands on.

    Raises:
        RequestError: when it has none of that name, before anything is fetched.
    """
    with open_remote(workspace, settings) as there:
        if branch is None:
            return there.default_branch()
        for name in (HEADS + branch, TAGS + branch):
            if there.view().get(name) is not None:
                return name
        raise RequestError(
            f"{there.address} has no branch or tag {branch}", hint=f"dsvc ls-remote {shlex.quote(there.settings.url)}"
        )


def _begin(
    private: Path, url: str, remote: str, *, surroundings: Surroundings, options: Mapping[str, Value]
) -> None:
    """Make what is not there yet of an empty repository with a remote; first of all the note that it is unfinished."""
    make_root(private.parent)
    private.mkdir(exist_ok=True)
    write_file(private / _UNFINISHED, url.encode("utf-8", "surrogateescape"))
    make_private(private, "store", "worktree", "cache")
    backend = LocalBackend(private / "store")
    now = surroundings.now()
    offset = now.utcoffset()
    act = Act(
        verb="clone",
        description=f"clone of {url}",
        user=surroundings.user,
        host=socket.gethostname(),
        worktree=MAIN,
        time=int(now.timestamp() * 1_000_000),
        zone=int(offset.total_seconds()) // 60 if offset is not None else 0,
        command=surroundings.command,
    )
    refs = {head_of(MAIN): Symbolic(f"{HEADS}{MAIN}")}
    with contextlib.suppress(BusyError):  # it was made before the clone was broken off
        parted = can_clone(backend.staging())
        Repository.create(backend, backend.staging, act=act, refs=dict(refs), parted=parted).close()
    for key, value in {**options, "url": url}.items():
        set_value(private / "config.toml", join_key(("remote", remote, key)), value=value)


def _is_unfinished(private: Path, url: str) -> bool:
    try:
        noted = (private / _UNFINISHED).read_bytes()
    except OSError:
        return False
    return noted == url.encode("utf-8", "surrogateescape")


def _is_free(target: Path) -> bool:
    """Say whether a folder is empty, or has what is left of a clone that was killed before it noted anything."""
    if not target.is_dir():
        return False
    names = [path.name for path in target.iterdir()]
    return not names or (names == [PRIVATE] and not (target / PRIVATE / "store").exists())


def _has_arrived(private: Path) -> bool:
    """Say whether something of the remote is here, which a second attempt need not fetch again."""
    return any((private / "store" / "packs").glob("*")) and (private / "transfers").is_dir()


def _stand(
    workspace: Workspace, remote: str, branch: str | None, *, default: str | None, ahead: _Ahead | None
) -> tuple[str | None, CommitId | None]:
    """Make the branch to stand on, of an empty remote the one it begins with; with `ahead` its files are written."""
    view = workspace.view()
    prefix = f"{REMOTES}{remote}/"
    if branch is None:
        head = view.get(f"{prefix}HEAD")
        names = [name for name, ref in view.items(prefix) if isinstance(ref, Direct)]
        chosen = head.target if isinstance(head, Symbolic) else next(iter(names), None)
        if chosen is None:
            if default is not None:
                set_upstream(workspace, default, remote=remote, branch_there=default)
                transaction = workspace.transaction()
                transaction.set(head_of(MAIN), Symbolic(default))
                workspace.publish(transaction, workspace.act("clone", f"clone: {short_name(default)}"))
            return None, None
        branch = chosen.removeprefix(prefix)
    commit_id = view.commit(prefix + branch)
    detached = commit_id is None
    if commit_id is None:
        found = view.resolve(TAGS + branch)[1]
        if found is None:
            raise RequestError(f"the remote has no branch or tag {branch}", hint="dsvc branch -r lists what it has")
        commit_id = CommitId(ObjectId(workspace.repo.peel(found.kind, found.id)[1]))
    transaction = workspace.transaction()
    direct = Direct(Kind.COMMIT, ObjectId(commit_id))
    if detached:
        transaction.set(head_of(MAIN), direct)
    else:
        transaction.set(HEADS + branch, direct)
        transaction.set(head_of(MAIN), Symbolic(HEADS + branch))
        set_upstream(workspace, HEADS + branch, remote=remote, branch_there=HEADS + branch)
    if ahead is not None:
        empty, target = trees.empty_tree(workspace.repo.store), workspace.tree_of(commit_id)
        index = Index(empty, 0, names=read_names(workspace.names_path))
        plan, index = plan_checkout(workspace, empty, target, index=index)
        checkout(
            workspace,
            empty,
            target,
            transaction=transaction,
            verb="clone",
            description="clone: check out",
            plan=plan,
            index=index,
            drafts=ahead.finished(),
        )
    else:
        workspace.publish(transaction, workspace.act("clone", f"clone: {short_name(branch)}"))
        if workspace.content_filter() is not None:  # what was read later must not look deleted
            workspace.local.mkdir(parents=True, exist_ok=True)
            workspace.write_index(index_of_nothing(workspace.repo.store, workspace.tree_of(commit_id)))
    return None if detached else HEADS + branch, commit_id
