"""Let ZFS keep a folder: what is committed of it from then on are snapshots."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dsvc.actions.checkout import keep_index_tree
from dsvc.errors import RequestError, UsageError
from dsvc.objects import trees
from dsvc.objects.ids import ObjectId, TreeId
from dsvc.objects.snapshot import Snapshot
from dsvc.objects.tree import Entry, EntryKind
from dsvc.repo.format import SNAPSHOTS, raise_format
from dsvc.storage.snapshots import Dataset
from dsvc.workspace import Workspace
from dsvc.worktree.datasets import Place
from dsvc.worktree.delegation import Delegation
from dsvc.worktree.index import DATASET
from dsvc.zfs.provider import ZfsProvider, open_zfs


class NoDatasetError(RequestError):
    """A folder is no dataset's mountpoint, and cannot become one."""


@dataclass(frozen=True, slots=True)
class DataAddResult:
    """The folder, the dataset that serves it, whether that was made now, and its first snapshot."""

    path: bytes
    dataset: str
    created: bool
    snapshot: Snapshot
    entry: Entry


def add_dataset(workspace: Workspace, path: bytes, *, dataset: str | None = None) -> DataAddResult:
    """Let a dataset serve a folder of the working copy, and take its first snapshot, which a commit takes from then on.

    Without `dataset` that is the one which is mounted there. One that is mounted nowhere is mounted there, and one that
    does not exist is made, where the folder is empty or not there. Files of the folder that were committed before stay
    in the commits that have them. Safe to call again, and after the dataset was renamed.

    Raises:
        NoDatasetError: when the folder is none. What ZFS says, such as which permission is missing.
    """
    if not path:
        raise UsageError("the root of a working copy cannot be a dataset: it holds .dsvc", hint="dsvc data add FOLDER")
    zfs = open_zfs(workspace.surroundings.environment, workspace.config)
    folder = Path(os.fsdecode(workspace.place(path)))
    if dataset is not None and ("@" in dataset or dataset.startswith(("/", "-")) or not dataset):
        raise UsageError(f"{dataset!r} is not the name of a dataset", hint="a name is of the form tank/data")
    index = workspace.index()
    store = workspace.repo.store
    _refuse_nested(workspace, path, index.tree)
    found, created = _serve(zfs, folder, dataset)
    workspace.repo.require_writable()
    datasets = workspace.datasets(begin=True)
    assert datasets is not None
    known = datasets.places.get(path)
    own = tuple(dict.fromkeys((*(known.own if known is not None else ()), found.name)))
    datasets.set_place(path, Place(found.name, found.guid, own, known.near if known is not None else ()))
    entry = _entry(datasets, path, trees.lookup(store, index.tree, path))
    tree = TreeId(ObjectId(trees.edit_tree(store, index.tree, {path: entry}).id))
    raise_format(workspace.repo.backend, SNAPSHOTS)
    transaction = workspace.transaction()
    keep_index_tree(workspace, transaction, tree)
    shown = os.fsdecode(path).encode("utf-8", "replace").decode()
    workspace.publish(transaction, workspace.act("data add", f"data add: {shown}"))
    index.tree = tree
    index.update({path: DATASET})
    workspace.write_index(index)
    return DataAddResult(path, found.name, created, datasets.snapshot(entry), entry)


def _entry(datasets: Delegation, path: bytes, before: Entry | None) -> Entry:
    if before is not None and before.kind == EntryKind.SNAPSHOT and datasets.stands_at(path, before):
        return before
    return datasets.record_new(path)


def _serve(zfs: ZfsProvider, folder: Path, name: str | None) -> tuple[Dataset, bool]:
    """Return the dataset that serves a folder, mounted or made now where that is possible, and whether it was made."""
    present = zfs.dataset_at(folder)
    if present is not None and name in (None, present):
        found = zfs.dataset(present)
        assert found is not None
        return found, False
    if name is None:
        raise NoDatasetError(
            f"no dataset of ZFS is mounted at {folder}",
            hint="name one: dsvc data add FOLDER --zfs DATASET, which is made where there is none",
        )
    if present is not None:
        raise NoDatasetError(
            f"{folder} is served by {present}", hint=f"dsvc data add {folder.name} takes it; 'zfs unmount {present}'"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NoDatasetError(
            f"{folder} holds files, which a dataset that is mounted there would hide",
            hint=f"move them aside, say 'dsvc data add {folder.name} --zfs {name}' and move them back",
        )
    found = zfs.dataset(name)
    if found is not None and found.mounted_at is not None:
        raise NoDatasetError(
            f"the dataset {name} is mounted at {found.mounted_at} already",
            hint=f"zfs set mountpoint={folder} {name} moves it",
        )
    folder.mkdir(parents=True, exist_ok=True)
    if found is None:
        zfs.make(name, folder)
    zfs.mount(name, folder)
    made = zfs.dataset(name)
    assert made is not None
    return made, found is None


def _refuse_nested(workspace: Workspace, path: bytes, tree: TreeId) -> None:
    parent = path.rpartition(b"/")[0]
    while parent:
        entry = trees.lookup(workspace.repo.store, tree, parent)
        if entry is not None and entry.kind == EntryKind.SNAPSHOT:
            raise NoDatasetError(
                f"{os.fsdecode(path)} lies in {os.fsdecode(parent)}, which is a dataset itself",
                hint="a dataset in a dataset is a part of its snapshots only if it is added instead",
            )
        parent = parent.rpartition(b"/")[0]
