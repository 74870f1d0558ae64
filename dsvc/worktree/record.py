"""Store what is in the working copy: files into the store, directories as trees, signatures into the index."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dsvc.objects import mapedit, trees
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.ids import ObjectId, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind, are_valid_names, is_valid_name
from dsvc.objects.trees import TREES
from dsvc.progress import Progress, Silent
from dsvc.worktree.guard import Watch
from dsvc.worktree.ignore import DirectoryRules, IgnoreRules
from dsvc.worktree.index import DIRECTORY, EMPTY, Block, Index, join, signature
from dsvc.worktree.measure import measure_folder
from dsvc.worktree.scan import CONTROL, Delta, Scanner, Skipped, UnreadableError, special
from dsvc.worktree.storing import store_file, store_small

if TYPE_CHECKING:
    from dsvc.worktree.delegation import Delegation

_MANY_NAMES = 50_000  # in one directory
_FILE, _EXECUTABLE = int(EntryKind.FILE), int(EntryKind.EXECUTABLE)


@dataclass(slots=True)
class Recorded:
    """What a recording found: the tree, the index that goes with it, and what it could not take."""

    tree: TreeId
    index: Index
    skipped: list[Skipped] = field(default_factory=list)
    changes: dict[bytes, Entry | None] = field(default_factory=dict)
    files: int = 0
    size: int = 0


class Recorder:
    """Records a working copy. It stores into `store` and leaves `index` alone: the result holds a new one.

    With `paths` only these files and directories are taken; all others stay as the index's tree has them. `changes`
    lists every changed path then (a whole run does without, to stay within bounds of memory). `guard` watches new
    files. `known_only` leaves files alone that the index does not know. `datasets` are the folders that a provider
    serves.
    """

    def __init__(
        self,
        store: ObjectStore,
        root: bytes,
        index: Index,
        ignore: IgnoreRules,
        *,
        stamp: int,
        paths: Sequence[bytes] = (),
        progress: Progress | None = None,
        list_changes: bool = False,
        guard: Watch | None = None,
        known_only: bool = False,
        datasets: Delegation | None = None,
    ) -> None:
        self._store = store
        self._root = root
        self._scanner = Scanner(root, index, ignore, paths)
        self._old = index
        self._progress = progress or Silent()
        self._list = list_changes or bool(paths)
        self._guard = guard
        self._known_only = known_only
        self._datasets = datasets
        # What was not looked at keeps its old time: racy entries there stay racy.
        new_stamp = min(stamp, index.stamp) if paths else stamp
        self._result = Recorded(
            index.tree,
            replace(index, stamp=new_stamp, blocks=dict(index.blocks)),
        )

    def run(self) -> Recorded:
        """Record and return the result.

        Raises:
            UnreadableError, UnstableFileError: naming the file; nothing is published then and the index is as before.
            OSError: when the store's disk refuses.
        """
        entry: Entry | None
        if not (self._scanner.paths or self._known_only) and not self._old.blocks.get(b"", EMPTY).names:
            rules = self._scanner.ignore.in_directory(b"")
            self._expect_folder(b"", rules)
            entry = self._new_tree(b"", rules) or trees.write_tree(self._store, ())
            self._result.index.blocks.setdefault(b"", EMPTY)
        else:
            self._scanner.prepare()
            entry = self._directory(b"", lambda: self._old.tree)
        self._result.tree = TreeId(ObjectId(entry.id if entry else self._old.tree))
        if self._datasets is not None:
            self._record_datasets(self._datasets)
        self._result.index.tree = self._result.tree
        return self._result

    def _record_datasets(self, datasets: Delegation) -> None:
        """Put the folders that a provider serves into the tree, by snapshots that are taken now."""
        found = datasets.record(self._result.tree, self._scanner.paths)
        if found:
            changed = trees.edit_tree(self._store, self._result.tree, found)
            self._result.tree = TreeId(ObjectId(changed.id))
            if self._list:
                self._result.changes |= found

    def _directory(self, path: bytes, old_tree: Callable[[], bytes | None]) -> Entry | None:
        """Record a directory that the index knows; return its new entry, or None when it is as before."""
        delta = self._scanner.compare(path)
        self._result.skipped += delta.skipped
        changes: dict[bytes, Entry | None] = {}
        touched: dict[bytes, bytes | None] = {}
        self._expect(delta)
        for name in delta.gone:
            self._gone(path, name, changes, touched)
        for name, sig in delta.changed.items():
            self._file(path, name, sig, changes, touched)
        for name, sig in delta.new.items():
            if not self._known_only or name in delta.gone:
                self._file(path, name, sig, changes, touched, guard=self._guard)
        for name in delta.directories:
            entry = self._directory(join(path, name), _below(self._store, old_tree, name))
            if entry is not None:
                if self._holds_nothing(join(path, name)):
                    self._gone(path, name, changes, touched)
                else:
                    changes[name] = entry
        if delta.new_directories and not self._known_only:
            rules = self._scanner.ignore.in_directory(path)
            for name in delta.new_directories:
                below = _below(self._store, old_tree, name)
                if self._scanner.anything_absent() and below() is not None:  # it is there, and was not checked out
                    entry = self._directory(join(path, name), below)
                else:
                    self._expect_folder(join(path, name), rules.enter(name))
                    entry = self._new_tree(join(path, name), rules.enter(name))
                if entry is not None:
                    changes[name], touched[name] = entry, DIRECTORY
        self._keep_references(path, old_tree, changes)
        if touched:
            self._result.index.blocks[path] = self._old.block(path).changed(touched)
        if not changes:
            return None
        tree_id = old_tree()
        if tree_id is None:
            return trees.write_tree(self._store, sorted((n, e) for n, e in changes.items() if e is not None))
        root = mapedit.update(self._store, TREES, ObjectId(tree_id), changes.items())
        return None if root.id == tree_id else Entry(EntryKind.TREE, root.id, root.weight)

    def _keep_references(
        self, path: bytes, old_tree: Callable[[], bytes | None], changes: dict[bytes, Entry | None]
    ) -> None:
        """Leave references alone whose file on disk was touched and still has their content."""
        elsewhere = self._store.elsewhere
        if not changes or elsewhere is None or not elsewhere.any_here() or (tree := old_tree()) is None:
            return
        for name, entry in list(changes.items()):
            old = trees.lookup(self._store, tree, name) if entry is not None else None
            if old is not None and old.kind == EntryKind.REFERENCE and elsewhere.here(old) == entry:
                del changes[name]
                self._result.changes.pop(join(path, name), None)

    def _expect(self, delta: Delta) -> None:
        """Tell who watches of the files of a known directory that will be stored."""
        new = {} if self._known_only else delta.new
        if delta.changed or new:
            count = len(delta.changed) + len(new)
            size = sum(int.from_bytes(sig[:8], "little") for sigs in (delta.changed, new) for sig in sigs.values())
            self._progress.expect(lambda: (count, size))

    def _expect_folder(self, path: bytes, rules: DirectoryRules) -> None:
        """Tell who watches of a new folder."""
        place = self._scanner.place(path) if path else self._root
        wanted = self._scanner.wanted if self._scanner.paths else None
        self._progress.expect(lambda: measure_folder(place, path, rules, wanted))

    def _new_tree(self, path: bytes, rules: DirectoryRules) -> Entry | None:
        """Record a directory that the index does not know; return None when nothing in it is to be versioned.

        Names stream from the listing into the tree, so that a directory of a million files takes little memory.
        """
        prefix = self._scanner.place(path) + b"/" if path else self._root + b"/"
        true_names = self._old.names.true_names(path)
        try:
            names = os.listdir(prefix)
        except OSError as error:
            raise UnreadableError(prefix, error) from error
        if true_names is not None:
            names = [true_names.get(name, name) for name in names]
        names.sort()
        disk_names = self._old.names.disk_names(path) or {}
        valid = are_valid_names(names)
        is_empty = not names
        stream = _streamed(names)
        kept = bytearray()  # the names, each with a NUL behind it
        signatures = bytearray()

        def entries() -> Iterator[tuple[bytes, Entry]]:
            for name in stream:
                full = prefix + (disk_names.get(name, name) if disk_names else name)
                found = self._new_entry(path, full, name, rules, valid=valid)
                if found is not None:
                    entry, sig = found
                    kept.extend(name + b"\0")
                    signatures.extend(sig)
                    yield name, entry

        entry = trees.write_tree(self._store, entries())
        if not kept and not is_empty:
            return None
        if self._list and not kept:
            self._result.changes[path] = entry
        joined = bytes(memoryview(kept)[:-1])
        kept.clear()  # before the signatures of a million files are copied
        self._result.index.blocks[path] = Block(joined, bytes(signatures))
        return entry

    def _new_entry(
        self, path: bytes, full: bytes, name: bytes, rules: DirectoryRules, *, valid: bool
    ) -> tuple[Entry, bytes] | None:
        if name in CONTROL:
            return None
        file_path = join(path, name)
        if self._scanner.paths and not self._scanner.wanted(file_path):
            return None
        try:
            st = os.lstat(full)
        except FileNotFoundError:
            return None
        mode = st.st_mode
        is_directory = stat.S_ISDIR(mode)
        if rules.ignored(name, is_directory=is_directory):
            return None
        is_file = stat.S_ISREG(mode)
        reason = None
        if not (valid or is_valid_name(name)):
            reason = "a name that no repository may hold"
        elif is_directory:
            if not os.path.lexists(full + b"/.dsvc"):
                folder = self._new_tree(file_path, rules.enter(name))
                return None if folder is None else (folder, DIRECTORY)
            reason = "a dsvc repository of its own"
        elif not is_file and not stat.S_ISLNK(mode):
            reason = special(mode)
        if reason is not None:
            self._result.skipped.append(Skipped(file_path, reason))
            return None
        size = st.st_size
        look = None
        if self._guard is not None:
            self._guard.new_file(file_path, size)
            look = _look(self._guard, file_path)
        sig = signature(st)
        file_id = store_small(self._store, full, sig, size, look) if is_file and size <= SMALL_LIMIT else None
        if file_id is not None:
            entry = Entry(_EXECUTABLE if mode & 0o100 else _FILE, file_id, size)
            self._progress.advance(items=1, size=size)
        else:
            try:
                entry, sig = store_file(self._store, full, sig, look, progress=self._progress)
            except FileNotFoundError:
                return None
        self._count(file_path, entry)
        return entry, sig

    def _holds_nothing(self, path: bytes) -> bool:
        """Say whether a directory lost all that was versioned in it and still has other things in it."""
        return not self._result.index.blocks.get(path, EMPTY).names and bool(os.listdir(self._scanner.place(path)))

    def _gone(
        self, path: bytes, name: bytes, changes: dict[bytes, Entry | None], touched: dict[bytes, bytes | None]
    ) -> None:
        changes[name] = touched[name] = None
        below = join(path, name)
        if below in self._result.index.blocks:
            self._result.index.forget(below)
        if self._list:
            self._result.changes[below] = None

    def _file(
        self,
        path: bytes,
        name: bytes,
        sig: bytes,
        changes: dict[bytes, Entry | None],
        touched: dict[bytes, bytes | None],
        *,
        guard: Watch | None = None,
    ) -> None:
        file_path = join(path, name)
        if guard is not None:
            guard.new_file(file_path, int.from_bytes(sig[:8], "little"))
        try:
            full = self._scanner.place(file_path)
            entry, sig = store_file(self._store, full, sig, _look(guard, file_path), progress=self._progress)
        except FileNotFoundError:
            if name in self._old.blocks.get(path, EMPTY).entries():
                self._gone(path, name, changes, touched)
            return
        changes[name] = entry
        touched[name] = sig
        self._count(file_path, entry)

    def _count(self, path: bytes, entry: Entry) -> None:
        self._result.files += 1
        self._result.size += entry.size
        if self._list:
            self._result.changes[path] = entry


def _streamed(names: list[bytes]) -> Iterator[bytes]:
    """Yield the names; a long list is emptied first, since a million short texts take five times their bytes."""
    if len(names) < _MANY_NAMES:
        return iter(names)
    joined = b"\0".join(names)
    names.clear()
    return (found[0] for found in re.finditer(rb"[^\0]+", joined))


def _below(store: ObjectStore, old_tree: Callable[[], bytes | None], name: bytes) -> Callable[[], bytes | None]:
    def find() -> bytes | None:
        parent = old_tree()
        entry = trees.lookup(store, parent, name) if parent is not None else None
        return entry.id if entry is not None and entry.kind == EntryKind.TREE else None

    return find


def _look(guard: Watch | None, path: bytes) -> Callable[[bytes], None] | None:
    return None if guard is None else lambda head: guard.content(path, head)
