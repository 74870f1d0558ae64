"""ZFS as a provider of snapshots: what zfs-fuse and OpenZFS share, and what is newer where it is there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from dsvc.config.settings import Config
from dsvc.errors import DsvcError
from dsvc.storage.snapshots import Dataset, FileChange, Kept, Read
from dsvc.zfs.changes import differs, file_changes, rewritten, written_bytes
from dsvc.zfs.errors import (
    BrokenStreamError,
    DatasetMissingError,
    PermissionMissingError,
    PoolFullError,
    ZfsFailedError,
)
from dsvc.zfs.mounts import mounted
from dsvc.zfs.program import Program
from dsvc.zfs.properties import carried, logical_sizes, rows, values
from dsvc.zfs.stream import is_clone

MADE = "dsvc:made"  # a user property of datasets that dsvc made, with the mark of the repository
LOOK = "dsvc-look-"  # names of snapshots that are there for a moment, to be compared
_NONE = "-"
_PIECE = 1 << 20
_NAMES = 500  # of snapshots in one call
_OTHERS = 3.0  # seconds for a program that works in a dataset to be done


def open_zfs(environment: Mapping[str, str], config: Config) -> ZfsProvider:
    """Return ZFS as programs in this environment see it, called by `sudo` where the configuration says so."""
    return ZfsProvider(Program(sudo=config.get_bool("zfs.sudo"), environment=dict(environment)))


class ZfsProvider:
    """Datasets of ZFS by the program zfs."""

    kind = "zfs"

    def __init__(self, program: Program | None = None) -> None:
        self._zfs = program or Program()
        self.in_turn = False
        self._counts = True  # what was written since a snapshot, until it turns out that it does not

    @property
    def program(self) -> Program:
        return self._zfs

    def available(self) -> bool:
        """Say whether there is a program zfs."""
        return self._zfs.find() is not None

    # Datasets.

    def dataset(self, name: str) -> Dataset | None:
        """See SnapshotProvider."""
        try:
            said = values(self._zfs, ("guid", "origin"), name)
        except DatasetMissingError:
            return None
        properties = said[name]
        places = [folder for folder, found in mounted().items() if found == name]
        origin = properties.get("origin", _NONE)
        return Dataset(name, properties["guid"], places[0] if places else None, "" if origin == _NONE else origin)

    def dataset_at(self, folder: Path) -> str | None:
        """See SnapshotProvider."""
        return mounted().get(Path(os.path.realpath(folder)))

    def make(self, name: str, folder: Path) -> None:
        """Create a dataset that is mounted at a folder. Access times are not kept: reading would count as a change."""
        self._zfs.call("create", "-o", "atime=off", "-o", f"mountpoint={folder}", name)

    def children(self, name: str) -> list[str]:
        """Return the datasets right below one."""
        said = self._zfs.call("list", "-H", "-r", "-d", "1", "-t", "filesystem", "-o", "name", name)
        return [line for line in said.splitlines() if line != name]

    def made(self, mark: str, near: Sequence[str]) -> list[str]:
        """Return the datasets that were made under `mark` in the pools of these datasets."""
        found: list[str] = []
        for pool in pools(near):
            said = self._zfs.call("get", "-Hp", "-r", "-o", "name,value", MADE, pool)
            found += [name for name, value in rows(said) if value == mark and "@" not in name]
        return found

    # Snapshots.

    def create(self, datasets: Sequence[str], label: str) -> list[Kept]:
        """See SnapshotProvider. Several in one pool are taken by one call, or one by one where ZFS is too old."""
        names = [f"{dataset}@{label}" for dataset in datasets]
        self.in_turn = len(pools(datasets)) > 1
        for pool in pools(datasets):
            here = [name for name in names if name.partition("/")[0].partition("@")[0] == pool]
            try:
                self._zfs.call("snapshot", *here)
            except ZfsFailedError:
                if len(here) == 1:
                    raise
                self.in_turn = True
                for name in here:  # a zfs that takes one name a call
                    self._zfs.call("snapshot", name)
        found = values(self._zfs, ("guid", "referenced"), *names)
        sizes = logical_sizes(self._zfs, names)
        return [Kept(n, found[n]["guid"], sizes.get(n, int(found[n]["referenced"]))) for n in names]

    def find(self, guids: Iterable[str], near: Sequence[str]) -> dict[str, Kept]:
        """See SnapshotProvider. The datasets themselves are looked at first, then their pools."""
        wanted, found = set(guids), dict[str, Kept]()

        def look(said: str) -> None:
            for name, guid in rows(said):
                if "@" in name and guid in wanted:
                    found.setdefault(guid, Kept(name, guid))

        for name in near:
            if not wanted <= found.keys():
                with suppress(DatasetMissingError):
                    look(self._zfs.call("get", "-Hp", "-r", "-d", "1", "-o", "name,value", "guid", name))
        for pool in pools(near):
            if not wanted <= found.keys():
                with suppress(DatasetMissingError):
                    look(self._zfs.call("get", "-Hp", "-r", "-o", "name,value", "guid", pool))
        return found

    def snapshots(self, dataset: str) -> list[Kept]:
        """See SnapshotProvider."""
        words = ("list", "-H", "-r", "-d", "1", "-t", "snapshot", "-o", "name", "-s")
        try:
            said = self._zfs.call(*words, "createtxg", dataset)
        except ZfsFailedError:  # zfs-fuse knows the second alone
            said = self._zfs.call(*words, "creation", dataset)
        names = [name for name in said.splitlines() if name.partition("@")[0] == dataset]
        found = values(self._zfs, ("guid", "referenced"), dataset, options=("-r", "-d", "1"))
        return [Kept(name, found[name]["guid"], int(found[name]["referenced"])) for name in names if name in found]

    def hold(self, snapshots: Sequence[str], tag: str) -> None:
        """See SnapshotProvider."""
        for at in range(0, len(snapshots), _NAMES):
            self._hold(snapshots[at : at + _NAMES], tag)

    def _hold(self, snapshots: Sequence[str], tag: str) -> None:
        try:
            self._zfs.call("hold", tag, *snapshots)
        except ZfsFailedError as error:
            if "already exists" not in error.message:
                raise
            for name in snapshots if len(snapshots) > 1 else ():  # those behind it may not have been tried
                self._hold([name], tag)

    def release(self, snapshot: str, tag: str) -> bool:
        """See SnapshotProvider."""
        try:
            self._zfs.call("release", tag, snapshot)
        except (DatasetMissingError, ZfsFailedError) as error:
            if isinstance(error, ZfsFailedError) and "no such tag" not in error.message:
                raise
            return False
        return True

    def destroy(self, name: str) -> bool:
        """See SnapshotProvider."""
        if "@" in name and int(values(self._zfs, ("userrefs",), name)[name]["userrefs"] or 0) > 0:
            return False
        try:
            self._zfs.call("destroy", name)
        except ZfsFailedError as error:
            if "dependent clones" in error.message or "has children" in error.message:
                return False
            raise
        except DatasetMissingError:
            pass
        return True

    def rollback(self, snapshot: str) -> None:
        """See SnapshotProvider. Without -r: it fails where there are newer snapshots, which it would destroy."""
        self._zfs.call("rollback", snapshot)

    def clone(self, snapshot: str, dataset: str, folder: Path | None, *, mark: str) -> None:
        """See SnapshotProvider."""
        where = "none" if folder is None else os.fspath(folder)
        words = ("clone", "-o", f"mountpoint={where}", "-o", f"{MADE}={mark}", "-o", "atime=off")
        kept = carried(self._zfs, snapshot.partition("@")[0])
        try:
            self._zfs.call(*words, *kept, snapshot, dataset)
        except PermissionMissingError:
            if not kept:
                raise
            self._zfs.call(*words, snapshot, dataset)  # each property is a permission, and none of them is needed
        if folder is not None:
            self.mount(dataset, folder)

    def mount(self, dataset: str, folder: Path) -> None:
        """See SnapshotProvider."""
        folder = Path(os.path.realpath(folder))
        if mounted().get(folder) == dataset:
            return
        self.unmount(dataset)
        self._zfs.call("set", f"mountpoint={folder}", dataset)  # OpenZFS mounts it by this, zfs-fuse does not
        if mounted().get(folder) != dataset:
            self._zfs.call("mount", dataset)

    def unmount(self, dataset: str) -> None:
        """See SnapshotProvider. Afterwards nothing mounts it by itself at the next start of the machine."""
        if dataset in mounted().values():
            self._zfs.call("unmount", dataset, patience=_OTHERS)
        self._zfs.call("set", "mountpoint=none", dataset)

    def unmount_below(self, folder: Path) -> None:
        """Unmount every dataset in a folder that is about to be removed."""
        place = Path(os.path.realpath(folder))
        for mountpoint, name in sorted(mounted().items(), reverse=True):
            if place == mountpoint or place in mountpoint.parents:
                self.unmount(name)

    # What differs.

    def differs(self, old: str, new: str) -> bool:
        """See SnapshotProvider."""
        return differs(self._zfs, old, new)

    def unchanged(self, dataset: str, since: str) -> bool:
        """See SnapshotProvider. zfs-fuse counts nothing of the kind."""
        return self._written_bytes(dataset, since) == 0

    def _written_bytes(self, dataset: str, since: str) -> int | None:
        if not self._counts:
            return None
        try:
            return written_bytes(self._zfs, dataset, since)
        except ZfsFailedError:
            self._counts = False
        return None

    def written(self, dataset: str, since: str) -> bool:
        """See SnapshotProvider. Where ZFS has written something, that may be no change: a snapshot is looked into.

        Without room for that snapshot what was written counts as a change.

        Raises:
            PoolFullError: when there is no room, and nothing tells that something was written.
        """
        count = self._written_bytes(dataset, since)
        if count == 0:
            return False
        name = f"{dataset}@{LOOK}{os.urandom(6).hex()}"
        try:
            self._zfs.call("snapshot", name)
        except PoolFullError as error:
            if count is None and len(set(self._referenced(dataset, since))) == 1:
                raise PoolFullError(
                    f"whether {dataset} was written to cannot be told: there is no room for the snapshot to compare",
                    hint=error.hint,
                ) from error
            return True
        try:
            return self.differs(since, name)
        finally:
            with suppress(DsvcError):
                self._zfs.call("destroy", name)

    def _referenced(self, *names: str) -> list[str]:
        return [found["referenced"] for found in values(self._zfs, ("referenced",), *names).values()]

    def diff(self, old: str, new: str) -> list[FileChange] | None:
        """See SnapshotProvider. zfs-fuse has no `zfs diff`."""
        return file_changes(self._zfs, old, new)

    def rewritten(self, old: str, new: str) -> dict[int, int] | None:
        """See SnapshotProvider. The inode of a file is its object in ZFS, and a stream names those."""
        return rewritten(self._zfs, old, new)

    # Streams.

    @contextmanager
    def send(self, snapshot: str, base: str | None) -> Iterator[Read]:
        """See SnapshotProvider. With large blocks, embedded and compressed data as they lie on disk, where it can."""
        between = ("-i", base) if base is not None else ()
        with self._zfs.reading("send", *self.send_options(snapshot), *between, snapshot) as read:
            yield read

    def send_options(self, snapshot: str) -> tuple[str, ...]:
        """Return the options with which a snapshot is sent: -w for an encrypted one, nothing where zfs knows none."""
        try:
            encrypted = values(self._zfs, ("encryption",), snapshot)[snapshot]["encryption"] not in ("off", _NONE)
        except (ZfsFailedError, KeyError):
            return ()
        return ("-w",) if encrypted else ("-Lec",)

    def receive(self, dataset: str, pieces: Iterable[bytes], guid: str, base: Kept | None, mark: str) -> Kept:
        """See SnapshotProvider. A snapshot that is not the expected one goes again.

        A clone's first stream names what it was cloned from, and ZFS finds that by its guid. Any other increment goes
        into a dataset that ends with its base: that of the base, if it is nobody's at the moment, or a copy of it.

        Raises:
            BrokenStreamError: when the stream is damaged, or makes another snapshot than `guid`.
        """
        stream = iter(pieces)
        first = next(stream, b"")
        target, options, copied = dataset, tuple[str, ...](), False
        if base is not None and not is_clone(first):
            if self.goes_on(base, mark):
                target = base.dataset
            elif self.is_openzfs():
                options = ("-o", f"origin={base.name}")
            else:
                self._copy(base, dataset)
                copied = True
        try:
            kept = self._receive(target, chain((first,), stream), guid, options)
            if target == dataset:
                self.note_made(dataset, mark)
        except BaseException:
            if copied:
                self._zfs.call("destroy", "-r", dataset)
            raise
        return kept

    def _receive(self, dataset: str, pieces: Iterable[bytes], guid: str, options: Sequence[str]) -> Kept:
        before = self.dataset(dataset)
        known = {kept.guid for kept in self.snapshots(dataset)} if before is not None else set[str]()
        self._zfs.write(pieces, "receive", "-u", *options, dataset)
        came = [kept for kept in self.snapshots(dataset) if kept.guid not in known]
        if [kept.guid for kept in came] == [guid]:
            return came[0]
        for kept in came:
            self.destroy(kept.name)
        if before is None:
            self.destroy(dataset)
        raise BrokenStreamError(
            f"the stream for {dataset} does not make the snapshot {guid} that it is said to make",
            hint="dsvc fsck --remote looks at what the remote has; nothing was kept of it here",
        )

    def note_made(self, dataset: str, mark: str) -> None:
        """Note that dsvc received a dataset, which is to be mounted nowhere by itself, without times of reading."""
        for setting in (f"{MADE}={mark}", "mountpoint=none", "atime=off"):
            self._zfs.call("set", setting, dataset)

    def goes_on(self, kept: Kept, mark: str) -> bool:
        """Say whether a dataset was made under `mark`, is mounted nowhere, and has nothing newer than a snapshot."""
        properties = values(self._zfs, (MADE, "mounted"), kept.dataset)[kept.dataset]
        if properties["mounted"] == "yes" or properties[MADE] != mark:
            return False
        return self.snapshots(kept.dataset)[-1].guid == kept.guid and not self.written(kept.dataset, kept.name)

    def is_openzfs(self) -> bool:
        """Say whether it is OpenZFS, by `zfs version`: that receives increments as clones, and resumes streams."""
        try:
            self._zfs.call("version")
        except ZfsFailedError:
            return False
        return True

    def _copy(self, kept: Kept, dataset: str) -> None:
        """Make a dataset that ends with a snapshot, by all of its bytes."""
        with self.send(kept.name, None) as read:
            self._zfs.write(iter(lambda: read(_PIECE), b""), "receive", "-u", dataset)


def pools(datasets: Iterable[str]) -> list[str]:
    """Return the pools in which datasets lie, each once."""
    return list(dict.fromkeys(name.partition("/")[0].partition("@")[0] for name in datasets))
