"""The folders of a working copy that a provider of snapshots serves: record them, and bring them to a snapshot.

Nothing here destroys anything: a folder goes to another state by a dataset that is mounted in the place of the one
before, which stays as it is, with what was written to it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from dsvc.errors import BusyError, RequestError
from dsvc.objects import trees
from dsvc.objects.ids import Kind, TreeId
from dsvc.objects.snapshot import Snapshot, decode_snapshot, encode_snapshot
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.snapshots import FileChange, Kept, SnapshotProvider
from dsvc.worktree.datasets import LOCK, Place, lock_datasets, read_datasets, repository_mark, write_datasets
from dsvc.worktree.index import join
from dsvc.worktree.plain_datasets import with_plain_files

_MADE = re.compile(r"-dsvc-[0-9a-f]{8}\Z")


class NotMountedError(RequestError):
    """The dataset of a folder is not mounted there."""


class SnapshotAbsentError(RequestError):
    """A snapshot that a commit names is in no pool here."""

    def __init__(self, path: bytes, snapshot: Snapshot) -> None:
        shown = os.fsdecode(path)
        super().__init__(
            f"the snapshot {snapshot.guid} of {shown} is in no pool of this machine",
            hint=f"dsvc data get {shown} receives it from a remote",
            details={"path": shown, "guid": snapshot.guid},
        )


def open_delegation(
    store: ObjectStore, root: bytes, local: Path, common: Path, provider: SnapshotProvider
) -> Delegation:
    """Return the delegated folders of the working copy at `root`; `local` and `common` are its folders in `.dsvc`.

    Raises:
        DamagedDatasetsError: when a file there is not of its form.
    """
    mark = repository_mark(common / "datasets.mark")
    return Delegation(store, root, local / "datasets", provider, mark=mark, lock=common / LOCK)


class Delegation:
    """The delegated folders of the working copy at `root`; `file` keeps which datasets serve them.

    `mark` is the repository's own on this machine: snapshots and datasets that it made carry it. `lock` is a file that
    keeps gc from taking what is not published yet.
    """

    def __init__(
        self, store: ObjectStore, root: bytes, file: Path, provider: SnapshotProvider, *, mark: str, lock: Path
    ) -> None:
        self._store = store
        self._root = root
        self._file = file
        self.provider = provider
        self.mark = mark
        self._lock = lock
        self._held: int | None = None
        self.places = read_datasets(file)

    @property
    def tag(self) -> str:
        """The tag under which this repository holds snapshots."""
        return f"dsvc:{self.mark}"

    def folder(self, path: bytes) -> Path:
        """Return where a delegated folder lies on disk."""
        return Path(os.fsdecode(join(self._root, path)))

    def snapshot(self, entry: Entry) -> Snapshot:
        """Return what a reference of a tree says."""
        return decode_snapshot(self._store.get(entry.id, Kind.SNAPSHOT))

    def paths(self, wanted: Sequence[bytes] = ()) -> list[bytes]:
        """Return the folders that are served now, of them those in, below or above the `wanted` paths."""
        return [
            path
            for path, place in sorted(self.places.items())
            if place.active and (not wanted or any(_related(path, other) for other in wanted))
        ]

    def here(self, tree: TreeId) -> TreeId:
        """Return a tree with the files of datasets that are checked out as plain files."""
        return with_plain_files(self._store, tree, self.places)

    # Recording.

    def record(self, tree: bytes, wanted: Sequence[bytes] = ()) -> dict[bytes, Entry]:
        """Take and hold a snapshot of each folder that `tree` has as a dataset; return the entries that differ.

        All are taken at one moment within a pool, and those that hold nothing new go again. What is returned must be
        published; gc keeps off until this process ends.

        Raises:
            NotMountedError: for a folder whose dataset is not there.
        """
        known = {path: entry for path in self.paths(wanted) if (entry := self._entry(tree, path)) is not None}
        return self._record(known)

    def record_new(self, path: bytes) -> Entry:
        """Take and hold a snapshot of a folder that no tree has as a dataset yet; return its entry."""
        return self._record({path: None})[path]

    def _record(self, known: Mapping[bytes, Entry | None]) -> dict[bytes, Entry]:
        if not known:
            return {}
        self.keep_off_gc(exclusive=False)
        datasets = {path: self._mounted(path) for path in known}
        if all(entry is not None and self._is_unchanged(path, entry) for path, entry in known.items()):
            return {}  # all of them: one alone would be looked at before the moment at which the others are taken
        label = f"dsvc-{self.mark}-{secrets.token_hex(6)}"
        taken = self.provider.create(list(datasets.values()), label)
        found: dict[bytes, Entry] = {}
        for (path, before), new in zip(known.items(), taken, strict=True):
            old = self.snapshot(before) if before is not None else None
            if old is not None and self._is_as(path, old, new):
                self.provider.destroy(new.name)
                continue
            self.provider.hold([new.name], self.tag)
            made = Snapshot(self.provider.kind, new.guid, new.size, old.guid if old is not None else "")
            found[path] = self._put(made)
        return found

    def _put(self, snapshot: Snapshot) -> Entry:
        return Entry(EntryKind.SNAPSHOT, self._store.put(Kind.SNAPSHOT, encode_snapshot(snapshot)), snapshot.size)

    def _is_as(self, path: bytes, old: Snapshot, new: Kept) -> bool:
        kept = self._find(path, [old.guid]).get(old.guid)
        return kept is not None and self.descends(new.dataset, kept) and not self.provider.differs(kept.name, new.name)

    def _entry(self, tree: bytes, path: bytes) -> Entry | None:
        entry = trees.lookup(self._store, tree, path)
        return entry if entry is not None and entry.kind == EntryKind.SNAPSHOT else None

    def _mounted(self, path: bytes) -> str:
        """Return the dataset that serves a folder.

        Raises:
            NotMountedError: when it is not mounted there, or has another name by now.
        """
        place, folder = self.places[path], self.folder(path)
        found = self.provider.dataset_at(folder)
        if found == place.dataset:
            return found
        shown = os.fsdecode(path)
        if found is not None:
            dataset = self.provider.dataset(found)
            renamed = dataset is not None and dataset.guid == place.guid
            raise NotMountedError(
                f"the dataset {place.dataset} of {shown} is called {found} now"
                if renamed
                else f"{shown} is served by {found}, and not by {place.dataset} as dsvc knows it",
                hint=f"dsvc data add {shown} --zfs {found}",
            )
        dataset = self.provider.dataset(place.dataset)
        if dataset is None:
            raise NotMountedError(
                f"the dataset {place.dataset} of {shown} is gone: renamed, destroyed or in a pool that is not imported",
                hint=f"'zpool import' lists such pools; after a rename: dsvc data add {shown} --zfs DATASET",
            )
        elsewhere = f", but at {dataset.mounted_at}" if dataset.mounted_at is not None else ""
        raise NotMountedError(
            f"the dataset {place.dataset} is not mounted at {shown}{elsewhere}",
            hint=f"zfs set mountpoint={folder} {place.dataset} && zfs mount {place.dataset}",
        )

    # Comparing.

    def changed(self, tree: bytes, wanted: Sequence[bytes] = ()) -> dict[bytes, Entry]:
        """Return the entries of those served folders to which something was written since the snapshot in `tree`."""
        found: dict[bytes, Entry] = {}
        for path in self.paths(wanted):
            entry = self._entry(tree, path)
            if entry is not None:
                self._mounted(path)
                if not self.stands_at(path, entry):
                    found[path] = entry
        return found

    def stands_at(self, path: bytes, entry: Entry) -> bool:
        """Say whether a folder is served, and holds just what a snapshot has."""
        place, old = self.places.get(path), self.snapshot(entry)
        if place is None or self.provider.dataset_at(self.folder(path)) != place.dataset:
            return False
        kept = self._find(path, [old.guid]).get(old.guid)
        return kept is not None and self._is_clean(place.dataset, kept)

    def files_between(self, path: bytes, old: Entry, new: Entry | None) -> list[FileChange] | None:
        """Return the files that differ between two states of a folder, as the provider tells them without reading any.

        Without `new` that is the folder as it stands. None where the provider cannot tell.
        """
        now = self.places[path].dataset if new is None and path in self.places else ""
        guids = [self.snapshot(entry).guid for entry in (old, new) if entry is not None]
        found = self._find(path, guids)
        names = [found[guid].name for guid in guids if guid in found] + ([now] if now else [])
        if len(names) != 2:
            return None
        forth = self.provider.diff(names[0], names[1])
        if forth is not None or new is None:
            return forth
        back = self.provider.diff(names[1], names[0])
        return [change.reversed() for change in back] if back is not None else None

    def is_mounted(self, path: bytes) -> bool:
        """Say whether a dataset that dsvc knows serves a folder now."""
        place = self.places.get(path)
        return place is not None and self._serves(place, path)

    def _serves(self, place: Place, path: bytes) -> bool:
        return bool(place.dataset) and self.provider.dataset_at(self.folder(path)) == place.dataset

    def is_here(self, path: bytes, entry: Entry) -> bool:
        """Say whether a pool of this machine has the snapshot of an entry."""
        if path not in self.places:
            return False
        guid = self.snapshot(entry).guid
        return guid in self._find(path, [guid])

    def _is_unchanged(self, path: bytes, entry: Entry) -> bool:
        """Say whether it is certain without a snapshot that a folder holds just what a snapshot has."""
        dataset, guid = self.places[path].dataset, self.snapshot(entry).guid
        kept = self._find(path, [guid]).get(guid)
        return kept is not None and self.descends(dataset, kept) and self.provider.unchanged(dataset, kept.name)

    def _is_clean(self, dataset: str, kept: Kept) -> bool:
        return self.descends(dataset, kept) and not self.provider.written(dataset, kept.name)

    def descends(self, dataset: str, kept: Kept) -> bool:
        """Say whether a snapshot is one of a dataset, or of those that it was cloned from."""
        if kept.dataset == dataset:
            return True
        found = self.provider.dataset(dataset)
        return found is not None and found.origin == kept.name

    def _find(self, path: bytes, guids: Iterable[str]) -> dict[str, Kept]:
        place = self.places.get(path)
        return self.provider.find(guids, place.known()) if place is not None else {}

    def find(self, path: bytes, guid: str) -> Kept | None:
        """Return a snapshot of a folder's datasets by its guid."""
        return self._find(path, [guid]).get(guid)

    def adopt(self, path: bytes, kept: Kept) -> None:
        """Hold a snapshot that was received for a folder, and note its dataset as one of the folder's."""
        self.provider.hold([kept.name], self.tag)
        place = self.places[path]
        self.set_place(path, replace(place, own=tuple(dict.fromkeys((*place.own, kept.dataset)))))

    def keep(self, guids: Iterable[str]) -> None:
        """Hold those of these snapshots that lie in pools here and that another repository took.

        Its gc would destroy them otherwise. Safe to call again.
        """
        near = list(dict.fromkeys(name for place in self.places.values() for name in place.known()))
        found = self.provider.find(guids, near) if near else {}
        lent = [kept for kept in found.values() if self._is_lent(kept)]
        if lent:
            self.provider.hold(sorted(kept.name for kept in lent), self.tag)

    def _is_lent(self, kept: Kept) -> bool:
        own = {name for place in self.places.values() for name in place.own}
        return kept.dataset not in own and not kept.name.partition("@")[2].startswith(f"dsvc-{self.mark}-")

    @contextmanager
    def shown(self, kept: Kept, folder: Path) -> Iterator[bytes]:
        """Show the files of a snapshot in a folder, by a clone that goes again with the folder."""
        folder.mkdir(parents=True)
        clone = self.clone_name(kept.dataset)
        try:
            self.provider.clone(kept.name, clone, folder, mark=self.mark)
            try:
                yield os.fsencode(folder)
            finally:
                self.provider.unmount(clone)
                self.provider.destroy(clone)
        finally:
            with suppress(OSError):
                folder.rmdir()

    # Moving.

    def bring(self, path: bytes, entry: Entry) -> None:
        """Let a folder hold what a snapshot has: by a dataset that holds just that, or a new clone.

        The dataset that served it stays, unmounted, with all that was written to it. Safe to call again.

        Raises:
            SnapshotAbsentError: when no pool here has the snapshot. What the provider raises, such as for a folder in
                which a program works.
        """
        if self.stands_at(path, entry):
            return
        wanted = self.snapshot(entry)
        kept = self._find(path, [wanted.guid]).get(wanted.guid)
        if kept is None:
            raise SnapshotAbsentError(path, wanted)
        if self._is_lent(kept):
            self.provider.hold([kept.name], self.tag)
        place, folder = self.places[path], self.folder(path)
        present = self.provider.dataset_at(folder)
        ready = self._ready(place, kept, present)
        if present is not None:
            self.provider.unmount(present)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if ready is None:
                ready = self.clone_name(kept.dataset)
                self.provider.clone(kept.name, ready, folder, mark=self.mark)
            else:
                self.provider.mount(ready, folder)
        except BaseException:
            if present is not None:
                with suppress(RequestError, BusyError):
                    self.provider.mount(present, folder)
            raise
        dataset = self.provider.dataset(ready)
        own = tuple(dict.fromkeys((*place.own, ready)))
        self.set_place(path, replace(place, dataset=ready, guid=dataset.guid if dataset else "", own=own, active=True))

    def _ready(self, place: Place, kept: Kept, present: str | None) -> str | None:
        """Return a dataset of this working copy that is mounted nowhere else and holds just what a snapshot has."""
        for name in dict.fromkeys((place.dataset, kept.dataset, *place.own)):
            if name in place.own:
                dataset = self.provider.dataset(name)
                free = dataset is not None and (dataset.mounted_at is None or name == present)
                if free and self._is_clean(name, kept):
                    return name
        return None

    def clone_name(self, dataset: str) -> str:
        """Return a new name for a dataset that goes on from a snapshot of this one, or of a clone of it."""
        return f"{_MADE.sub('', dataset)}-dsvc-{secrets.token_hex(4)}"

    def leave(self, path: bytes) -> None:
        """Let a folder be no dataset any more: it is unmounted and stays, with all it has. Safe to call again."""
        place, folder = self.places.get(path), self.folder(path)
        if place is None:
            return
        if place.dataset and self.provider.dataset_at(folder) == place.dataset:
            self.provider.unmount(place.dataset)
        with suppress(OSError):
            folder.rmdir()
        self.set_place(path, replace(place, active=False))

    def set_place(self, path: bytes, place: Place) -> None:
        """Keep which dataset serves a folder."""
        if self.places.get(path) != place:
            self.places[path] = place
            write_datasets(self._file, self.places)

    # Other processes.

    def keep_off_gc(self, *, exclusive: bool) -> None:
        """Hold the lock until `close`: many may take snapshots at once, and gc alone.

        Raises:
            BusyError: when the other side holds it for long.
        """
        if self._held is not None:
            return
        self._held = lock_datasets(self._lock, exclusive=exclusive)

    def close(self) -> None:
        """Let go of the lock."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _related(path: bytes, other: bytes) -> bool:
    return not other or path == other or path.startswith(other + b"/") or other.startswith(path + b"/")
