"""Decide what a checkout will do, and find everything that stands in its way before anything is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsvc.history.treediff import diff_trees, is_empty
from dsvc.objects import trees
from dsvc.objects.files import hash_content
from dsvc.objects.ids import ObjectId, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.worktree.absent import Absent
from dsvc.worktree.index import ABSENT, DATASET, DIRECTORY, GITLINK, Index, changed_at, join, parents, signature
from dsvc.worktree.names import CollidingNamesError, find_collisions, respelled
from dsvc.worktree.obstacles import FOLDER, LAST_COPY, NEW, PARENT, Checked, InTheWayError, Obstacle, blocking_parent
from dsvc.worktree.sparse import Includes, Sparse
from dsvc.worktree.steps import LeavesOut, Plan

if TYPE_CHECKING:
    from dsvc.worktree.delegation import Delegation

__all__ = ["InTheWayError", "LeavesOut", "Obstacle", "Plan", "Planner"]


@dataclass(slots=True)
class Planner:
    """Makes plans for the working copy at `root`, whose index is `index`."""

    store: ObjectStore
    root: bytes
    index: Index
    overwrite: bool = False
    fold_names: bool = False
    datasets: Delegation | None = None
    leaves_out: LeavesOut | None = None  # of a partial clone: what comes new is not on disk where this says yes
    erased: LeavesOut | None = None  # whether content was purged, so that it never comes
    respelled: Collection[bytes] = ()  # new paths at which this disk shows a file that goes

    def plan(self, base: TreeId, target: TreeId, *, paths: Sequence[bytes] = ()) -> Plan:
        """Return what leads from `base`, which the working copy stands for, to `target`, limited to `paths`.

        Nothing is written. `obstacles` names every file that stands in the way; with `overwrite` none does. On a disk
        that does not tell some of the names apart, the index's map gets other ones for them where it is enabled.

        Raises:
            CollidingNamesError: on such a disk otherwise.
        """
        return self._with_names(target, lambda: self._plan(base, target, paths))

    def _plan(self, base: TreeId, target: TreeId, paths: Sequence[bytes]) -> Plan:
        plan = Plan(base, target)
        same = base == self.index.tree
        checked: Checked = {b"": True}
        sparse = Sparse(self.index.sparse) if self.index.sparse else None
        absent = Absent(self.index.blocks)
        found = diff_trees(self.store, base, target, paths=paths)
        changes, self.respelled = respelled(found) if self.fold_names else (found, frozenset[bytes]())
        for path, old, new in changes:
            if self._stays_absent(path, old, new, sparse):
                absent.add(path)
                continue
            old, new = self._here(old), self._here(new)  # noqa: PLW2901
            present = old if same else self._known(path)
            if new is not None and self.erased is not None and self.erased(path, new):
                if not self._left_out(plan, path, old, present, new, checked=checked):
                    absent.add(path)
            elif _is_dataset(old) or _is_dataset(new):
                self._dataset(plan, path, old, present, new, checked=checked)
            elif new is not None and new.kind == EntryKind.TREE:
                self._directory(plan, path, old, present, new, checked=checked)
            elif old is not None and old.kind == EntryKind.TREE and new is None:
                self._folder_gone(plan, path, checked)
            else:
                self._file(plan, path, old, present, new, checked=checked)
        plan.folders |= parents([*plan.removals, *plan.folders]) - {b""}
        plan.settled |= absent.settle(self.store, target, dict(plan.writes), plan.settled)
        if self.fold_names:
            self._find_collisions(target, plan, sparse)
        if plan.removals or any(o.reason == FOLDER for o in plan.obstacles):
            self._settle_folders(plan)
        if self.overwrite:
            plan.obstacles = [o for o in plan.obstacles if o.reason == PARENT]
        return plan

    def plan_sparse(self, sparse: Includes | None) -> Plan:
        """Return what makes the working copy hold just the files that `sparse` takes in (None: all that a clone wants).

        Files that hold something else than the index's tree are left as they are: obstacles name them.

        Raises:
            CollidingNamesError: on a disk that does not tell some of the names apart, unless other ones are enabled.
        """
        return self._with_names(self.index.tree, lambda: self._plan_sparse(sparse))

    def _plan_sparse(self, sparse: Includes | None) -> Plan:
        plan = Plan(self.index.tree, self.index.tree)
        checked: Checked = {b"": True}
        for path, entry in trees.walk(self.store, self.index.tree):
            present = self.index.get(path) not in (None, ABSENT)
            wanted = sparse.includes(path) if sparse is not None else present or not self._is_out(path, entry)
            if entry.kind == EntryKind.SNAPSHOT:
                continue
            if entry.kind == EntryKind.REFERENCE:
                wanted = wanted and (present or not self._is_out(path, entry))
                entry = self._here(entry) or entry  # noqa: PLW2901
            if entry.kind == EntryKind.TREE:
                if is_empty(self.store, TreeId(ObjectId(entry.id))):
                    if wanted and not present:
                        self._directory(plan, path, None, None, entry, checked=checked)
                    elif present and not wanted:
                        self._folder_gone(plan, path, checked)
            elif wanted and not present:
                self._file(plan, path, None, None, entry, checked=checked)
            elif present and not wanted:
                self._file(plan, path, entry, entry, None, checked=checked)
        plan.folders |= parents([*plan.removals, *plan.folders]) - {b""}
        if self.fold_names:
            self._find_collisions(self.index.tree, plan, sparse)
        return plan

    def _find_collisions(self, target: TreeId, plan: Plan, sparse: Includes | None) -> None:
        paths = [path for path, _ in plan.writes] + [path for path, sig in plan.settled.items() if sig is not None]
        find_collisions(self.store, target, paths, sparse=sparse, disk_names=self.index.names.disk_names)

    def _with_names(self, target: TreeId, make: Callable[[], Plan]) -> Plan:
        """Return what `make` does, with other names on disk for those that fall together where that is enabled."""
        try:
            return make()
        except CollidingNamesError as error:
            index = self.index
            if not index.names.enabled:
                raise
            index.names = index.names.extended(
                self.store, target, self.root, error.pairs, is_known=lambda path: index.get(path) not in (None, ABSENT)
            )
        return make()

    def _place(self, path: bytes) -> bytes:
        """Return where a path lies on disk."""
        return join(self.root, self.index.names.on_disk(path))

    def _stays_absent(self, path: bytes, old: Entry | None, new: Entry | None, sparse: Sparse | None) -> bool:
        refers = EntryKind.REFERENCE in (old and old.kind, new and new.kind)
        if sparse is None and self.leaves_out is None and not refers:
            return False
        known = self.index.get(path)
        if known is not None:
            return known == ABSENT and (sparse is not None or not refers or new is None or self._is_out(path, new))
        if self.leaves_out is not None or refers:
            if self.index.is_absent(path):
                return new is None or self._is_out(path, new)
            if new is not None and self._is_out(path, new):
                return True
        return sparse is not None and not sparse.includes(path)

    def _known(self, path: bytes) -> Entry | None:
        entry = trees.lookup(self.store, self.index.tree, path)
        return None if entry is not None and entry.kind == EntryKind.TREE else self._here(entry)

    def _here(self, entry: Entry | None) -> Entry | None:
        """Return an entry, of a reference that was fetched that of its content."""
        if entry is None or entry.kind != EntryKind.REFERENCE or self.store.elsewhere is None:
            return entry
        return self.store.elsewhere.here(entry) or entry

    def _is_out(self, path: bytes, entry: Entry) -> bool:
        """Say whether what comes new is not written: a reference that was not fetched, or what a clone left out."""
        if entry.kind == EntryKind.REFERENCE:
            return self._here(entry) is entry
        return self.leaves_out is not None and self.leaves_out(path, entry)

    def _file(
        self,
        plan: Plan,
        path: bytes,
        old: Entry | None,
        present: Entry | None,
        new: Entry | None,
        *,
        checked: Checked,
    ) -> None:
        """Plan a path at which `old` is to become `new`, where the index knows `present`.

        Only content that is `old` may go: what was added or committed elsewhere is stored too, and still a change.
        """
        st = self._lstat(path) if self._parents_are_folders(path, checked) else None
        if st is None:
            if new is None:
                plan.settled[path] = None
                for folder in parents([path]) - {b""}:
                    self._folder_gone(plan, folder, checked)
            else:
                self._needs_folders(plan, path, checked)
                plan.writes.append((path, new))
            return
        if stat.S_ISDIR(st.st_mode):
            if new is None:  # what was a file is a folder now, which nobody asked to remove
                plan.settled[path] = None
                if old is not None and old.kind == EntryKind.GITLINK:
                    plan.folders.add(path)
                return
            if new.kind == EntryKind.GITLINK:
                plan.settled[path] = GITLINK
                return
            plan.obstacles.append(Obstacle(path, FOLDER))
            plan.writes.append((path, new))
            return
        sig = signature(st)
        if self._untouched(path, sig, present):
            same_as_new, same_as_old = present == new, present == old
        else:
            same_as_new = new is not None and self._is(path, st, new)
            same_as_old = not same_as_new and old is not None and self._is(path, st, old)
        if same_as_new:
            plan.settled[path] = sig
            return
        if not same_as_old:
            reason = NEW if old is None else "changed since the last commit"
            plan.obstacles.append(Obstacle(path, reason))
        elif old is not None and self.erased is not None and self.erased(path, old):
            plan.obstacles.append(Obstacle(path, LAST_COPY))
        plan.seen[path] = sig
        if new is None:
            plan.removals.append(path)
        else:
            plan.writes.append((path, new))

    def _left_out(
        self,
        plan: Plan,
        path: bytes,
        old: Entry | None,
        present: Entry | None,
        new: Entry,
        *,
        checked: Checked,
    ) -> bool:
        """Plan a path whose content was purged: what stands there goes, nothing comes; say whether something does."""
        st = self._lstat(path) if self._parents_are_folders(path, checked) else None
        if st is not None and self._is(path, st, new):
            plan.settled[path] = signature(st)
            return True
        plan.left_out[path] = new.id
        if st is not None:
            self._file(plan, path, old, present, None, checked=checked)
        return st is not None

    def _directory(
        self,
        plan: Plan,
        path: bytes,
        old: Entry | None,
        present: Entry | None,
        new: Entry,
        *,
        checked: Checked,
    ) -> None:
        """Plan an empty directory."""
        st = self._lstat(path) if self._parents_are_folders(path, checked) else None
        if st is not None and stat.S_ISDIR(st.st_mode):
            plan.settled[path] = DIRECTORY
            return
        if st is not None:
            self._file(plan, path, old, present, None, checked=checked)
        else:
            self._needs_folders(plan, path, checked)
        plan.writes.append((path, new))

    def _dataset(
        self,
        plan: Plan,
        path: bytes,
        old: Entry | None,
        present: Entry | None,
        new: Entry | None,
        *,
        checked: Checked,
    ) -> None:
        """Plan a folder that is or becomes a dataset: what was written to it since its snapshot stands in the way."""
        served = self.datasets if self.datasets is not None and self.datasets.is_mounted(path) else None
        if new is not None and served is not None and _is_dataset(new) and served.stands_at(path, new):
            plan.settled[path] = DATASET
            return
        if served is not None:
            known = [entry for entry in (old, present) if entry is not None and _is_dataset(entry)]
            if not any(served.stands_at(path, entry) for entry in known):
                plan.obstacles.append(Obstacle(path, "changed since the last commit"))
        if new is None or not _is_dataset(new):
            if served is not None:
                plan.leaving.append(path)
            checked[path] = None  # what lies in the dataset is no part of the folder that comes
            if new is not None:
                plan.writes.append((path, new))
            else:
                plan.settled[path] = None
            return
        if not _is_dataset(old):
            self._file(plan, path, old, present, None, checked=checked)
            st = self._lstat(path) if checked.get(path, True) is not None else None
            if st is not None and stat.S_ISDIR(st.st_mode):
                plan.obstacles.append(Obstacle(path, FOLDER))
        if self.datasets is not None and self.datasets.is_here(path, new):
            plan.datasets.append((path, new))
        else:
            if served is not None:
                from dsvc.worktree.delegation import SnapshotAbsentError

                raise SnapshotAbsentError(path, served.snapshot(new))
            plan.not_here.append(path)
            plan.settled[path] = DATASET

    def _folder_gone(self, plan: Plan, path: bytes, checked: Checked) -> None:
        """Plan a folder that goes when it is empty; the index forgets one that is none, or lies behind a link."""
        if self._is_folder(path, checked):
            plan.folders.add(path)
        elif (known := trees.lookup(self.store, plan.target, path)) is None or known.kind != EntryKind.TREE:
            plan.settled.setdefault(path, None)

    def _needs_folders(self, plan: Plan, path: bytes, checked: Checked) -> None:
        """Note what stands where a path needs a folder and does not go."""
        if not self._parents_are_folders(path, checked):
            blocking = blocking_parent(path, checked)
            if blocking and blocking not in plan.seen:  # what is there and was seen goes
                obstacle = Obstacle(blocking, PARENT)
                if not plan.obstacles or plan.obstacles[-1] != obstacle:
                    plan.obstacles.append(obstacle)

    def _settle_folders(self, plan: Plan) -> None:
        """Let a folder in the way pass when nothing but files that will be removed is in it."""
        going = set(plan.removals)
        kept: list[Obstacle] = []
        for obstacle in plan.obstacles:
            if obstacle.reason == FOLDER:
                plan.folders.add(obstacle.path)
                for path, is_folder in self._below(obstacle.path):
                    if is_folder:
                        plan.folders.add(path)
                    elif path not in going:
                        kept.append(Obstacle(path, NEW))
            elif obstacle.reason == PARENT and obstacle.path in going:
                continue
            else:
                kept.append(obstacle)
        plan.obstacles = kept

    def _below(self, path: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield (path, whether it is a folder) of everything on disk below a folder."""
        with os.scandir(self._place(path)) as found:
            for item in found:
                inside = join(path, item.name)
                is_folder = item.is_dir(follow_symlinks=False)
                yield inside, is_folder
                if is_folder:
                    yield from self._below(inside)

    def _lstat(self, path: bytes) -> os.stat_result | None:
        """Return what stands at a path whose parents are folders."""
        try:
            return None if path in self.respelled else os.lstat(self._place(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _untouched(self, path: bytes, sig: bytes, old: Entry | None) -> bool:
        return old is not None and self.index.get(path) == sig and changed_at(sig) < self.index.stamp

    def _is(self, path: bytes, st: os.stat_result, entry: Entry) -> bool:
        """Say whether the file on disk has the content and kind of an entry."""
        full = self._place(path)
        if stat.S_ISLNK(st.st_mode):
            return entry.kind == EntryKind.SYMLINK and os.readlink(full) == self.store.read_file(entry.id)
        if not stat.S_ISREG(st.st_mode) or st.st_size != entry.size:
            return False
        if entry.kind != (EntryKind.EXECUTABLE if st.st_mode & 0o100 else EntryKind.FILE):
            return False
        try:
            with open(full, "rb", buffering=0) as file:
                return hash_content(file.read) == entry.id
        except OSError:
            return False

    def _parents_are_folders(self, path: bytes, checked: Checked) -> bool:
        return self._is_folder(path.rpartition(b"/")[0], checked)

    def _is_folder(self, path: bytes, checked: Checked) -> bool:
        """Say whether a path and all above it are folders, not links to some."""
        if path not in checked:
            st = self._lstat(path) if self._parents_are_folders(path, checked) else None
            checked[path] = None if st is None else stat.S_ISDIR(st.st_mode)
        return checked[path] is True


def _is_dataset(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == EntryKind.SNAPSHOT
