"""Index the files of datasets, and check indexed ones out where there is no ZFS."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from dsvc.actions.checkout import checkout, keep_index_tree
from dsvc.actions.commit import CommitResult, NothingToCommitError, commit
from dsvc.actions.revision import ancestry_below
from dsvc.actions.state import require_no_state
from dsvc.errors import RequestError
from dsvc.history.walk import walk
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.snapshot import encode_snapshot
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.snapshots import Kept
from dsvc.workspace import Workspace
from dsvc.worktree.datasets import Place
from dsvc.worktree.delegation import Delegation, SnapshotAbsentError
from dsvc.worktree.ignore import IgnoreRules
from dsvc.worktree.index import DATASET, DIRECTORY, SIGNATURE, UNKNOWN, Index, join, signature
from dsvc.worktree.known import blocks_of_tree
from dsvc.worktree.record import Recorded, Recorder

_NEVER_RACY = 1 << 62  # a snapshot does not change


class NotIndexedError(RequestError):
    """A dataset has no index of its files, so that they cannot be checked out without ZFS."""


@dataclass(frozen=True, slots=True)
class DataIndexResult:
    """The datasets that were indexed, how many files of how many bytes were stored, and the commit that says so.

    `unchanged` files beside them were not read, because an earlier index has them.
    """

    paths: tuple[bytes, ...]
    files: int
    size: int
    unchanged: int
    commit: CommitResult


def index_datasets(workspace: Workspace, paths: Sequence[bytes] = (), *, message: str = "") -> DataIndexResult:
    """Store the files of the datasets at these paths (all, where none are given), and commit references with them.

    The files are read from a clone of the committed snapshot, which goes again: the folder may be written to meanwhile,
    but must be as it was committed when this begins. Every file is read once and stored like any other; where an
    earlier commit is indexed, of a snapshot that is still here, those alone that were written to since.

    Raises:
        RequestError: when a dataset was changed since. NothingToCommitError: when all of them are indexed.
    """
    require_no_state(workspace)
    datasets = workspace.datasets()
    index, store = workspace.index(), workspace.repo.store
    found = {
        path: entry
        for path in (datasets.paths(paths) if datasets is not None else ())
        if (entry := trees.lookup(store, index.tree, path)) is not None and entry.kind == EntryKind.SNAPSHOT
    }
    if datasets is None or not found:
        raise RequestError("no dataset serves a folder there", hint="dsvc data add PATH")
    changed = datasets.changed(index.tree, list(found))
    if changed:
        shown = os.fsdecode(next(iter(changed)))
        raise RequestError(f"{shown} was changed since its snapshot", hint="dsvc commit, then index it")
    lacking = {path: entry for path, entry in found.items() if datasets.snapshot(entry).tree is None}
    if not lacking:
        raise NothingToCommitError
    datasets.keep_off_gc(exclusive=False)
    files = size = unchanged = 0
    entries: dict[bytes, Entry | None] = {}
    for path, entry in lacking.items():
        recorded = _read(workspace, datasets, path, entry)
        files, size = files + recorded.files, size + recorded.size
        unchanged += _files_in(recorded.index) - recorded.files
        made = encode_snapshot(replace(datasets.snapshot(entry), tree=recorded.tree))
        entries[path] = Entry(EntryKind.SNAPSHOT, store.put(Kind.SNAPSHOT, made), entry.size)
    indexed = TreeId(ObjectId(trees.edit_tree(store, index.tree, entries).id))
    transaction = workspace.transaction()
    keep_index_tree(workspace, transaction, indexed)
    shown = ", ".join(os.fsdecode(path).encode("utf-8", "replace").decode() for path in lacking)
    workspace.publish(transaction, workspace.act("data index", f"data index: {shown}"))
    index.tree = indexed
    workspace.write_index(index)
    done = commit(workspace, message or f"Index the files of {shown}", paths=list(lacking), run_hooks=False)
    return DataIndexResult(tuple(lacking), files, size, unchanged, done)


def _read(workspace: Workspace, datasets: Delegation, path: bytes, entry: Entry) -> Recorded:
    """Store the files of a snapshot, of which an earlier index may know some."""
    snapshot, store = datasets.snapshot(entry), workspace.repo.store
    kept = datasets.find(path, snapshot.guid)
    if kept is None:
        raise SnapshotAbsentError(path, snapshot)
    known = _known(workspace, datasets, path, kept) or Index(trees.empty_tree(store), _NEVER_RACY)
    with _mounted(workspace, datasets, kept) as root:
        workspace.progress.start("Storing files")
        try:
            recorder = Recorder(
                store, root, known, IgnoreRules.nothing(root), stamp=_NEVER_RACY, progress=workspace.progress
            )
            return recorder.run()
        finally:
            workspace.progress.finish()


def _known(workspace: Workspace, datasets: Delegation, path: bytes, later: Kept) -> Index | None:
    """Return what an earlier index knows of the files of a snapshot; None where there is none that can be used.

    A file is known that had the same inode number and stat then, and in which the provider says that nothing was
    written: times alone do not tell, zfs-fuse counts them in seconds.
    """
    found = _indexed_before(workspace, datasets, path)
    if found is None:
        return None
    tree, kept = found
    written = datasets.provider.rewritten(kept.name, later.name)
    if written is None:
        return None
    with _mounted(workspace, datasets, kept) as root:

        def sign(below: bytes, entry: Entry) -> bytes:
            st = os.lstat(join(root, below))
            if entry.kind == EntryKind.TREE:
                return DIRECTORY
            same = stat.S_ISREG(st.st_mode) and st.st_size <= written.get(st.st_ino, st.st_size)
            return signature(st) if same else UNKNOWN

        return Index(tree, _NEVER_RACY, blocks_of_tree(workspace.repo.store, tree, sign))


def _indexed_before(workspace: Workspace, datasets: Delegation, path: bytes) -> tuple[TreeId, Kept] | None:
    """Return the files and the snapshot of the newest commit behind HEAD that has an index of a dataset."""
    head = workspace.head().commit_id
    store, tips = workspace.repo.store, [head] if head is not None else []
    for step in walk(ancestry_below(workspace, tips), tips, store=store, paths=[path]):
        entry = trees.lookup(store, workspace.repo.commit(step.id).tree, path)
        if entry is None or entry.kind != EntryKind.SNAPSHOT:
            continue
        snapshot = datasets.snapshot(entry)
        kept = datasets.find(path, snapshot.guid) if snapshot.tree is not None else None
        if snapshot.tree is not None and kept is not None:
            return snapshot.tree, kept
    return None


def _mounted(workspace: Workspace, datasets: Delegation, kept: Kept) -> AbstractContextManager[bytes]:
    return datasets.shown(kept, workspace.scratch / f"index-{secrets.token_hex(4)}")


def _files_in(index: Index) -> int:
    blocks = index.blocks.values()
    return sum(len(block.signatures) // SIGNATURE for block in blocks) - (len(blocks) - 1)


def check_out_files(workspace: Workspace, paths: Sequence[bytes]) -> tuple[bytes, ...]:
    """Check the files of indexed datasets out as plain files, here and from now on; return the folders.

    A commit keeps the reference as long as the files are as they were indexed. Safe to call again.

    Raises:
        NotIndexedError: for a dataset without an index. InTheWayError: when files stand where they would be written.
    """
    store = workspace.repo.store
    head = workspace.head().commit_id
    raw = workspace.repo.commit(head).tree if head is not None else trees.empty_tree(store)
    datasets = workspace.datasets(begin=True)
    assert datasets is not None
    before = workspace.head_tree()
    for path in paths:
        entry = trees.lookup(store, raw, path)
        if entry is None or entry.kind != EntryKind.SNAPSHOT:
            raise RequestError(f"{os.fsdecode(path)} is no dataset in the current commit", hint="dsvc ls")
        place = datasets.places.get(path) or Place("", "", active=False)
        if place.active:
            raise RequestError(f"{os.fsdecode(path)} is served by {place.dataset} here", hint="zfs list")
        if datasets.snapshot(entry).tree is None:
            raise NotIndexedError(
                f"the files of {os.fsdecode(path)} were not indexed, so that only ZFS can make them",
                hint=f"dsvc data index {os.fsdecode(path)}, on the machine whose pool has it; then push",
            )
    kept = dict(datasets.places)
    try:
        for path in paths:
            datasets.set_place(path, replace(kept.get(path) or Place("", "", active=False), files=True))
        _write(workspace, before)
    except BaseException:
        for path in paths:
            datasets.set_place(path, kept.get(path) or Place("", "", active=False))
        raise
    return tuple(paths)


def _write(workspace: Workspace, before: TreeId) -> None:
    goal = workspace.head_tree()
    index = workspace.index()
    if before != goal:
        index.tree = before
        index.update(dict.fromkeys(_datasets_of(workspace, before, goal), DATASET))
    checkout(
        workspace,
        before,
        goal,
        transaction=workspace.transaction(),
        verb="data get",
        description="data get: files of datasets",
        index=index,
        raw=True,
    )


def _datasets_of(workspace: Workspace, before: TreeId, goal: TreeId) -> list[bytes]:
    datasets = workspace.datasets()
    store = workspace.repo.store
    paths = datasets.places if datasets is not None else ()
    return [path for path in paths if trees.lookup(store, before, path) != trees.lookup(store, goal, path)]
