"""A working copy in a folder with a store in memory: recorded, scanned and checked out without any refs."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dsvc.objects import trees
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.memory import MemoryBackend
from dsvc.worktree.checkout import Writer
from dsvc.worktree.ignore import IgnoreRules
from dsvc.worktree.index import Index, file_clock
from dsvc.worktree.known import index_of_tree
from dsvc.worktree.plan import Planner
from dsvc.worktree.record import Recorder
from dsvc.worktree.scan import Scanner

# What stands at a path: bytes of a file, (bytes, "x") of a program, ("link", target), or None for an empty folder.
FOLDER = None


@dataclass
class Copy:
    """`files` is the folder on disk as a dict of path -> content; `record`, `scan` and `move` are what is tested."""

    base: Path
    index: Index = field(init=False)

    def __post_init__(self):
        self.root = self.base / "copy"
        self.private = self.base / "private"
        self.root.mkdir()
        self.private.mkdir()
        self.store = ObjectStore(MemoryBackend(), lambda: self.private)
        self.index = index_of_tree(self.store, trees.empty_tree(self.store))

    @property
    def root_bytes(self):
        return os.fsencode(self.root)

    def put(self, files):
        for path, content in files.items():
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is FOLDER:
                place.mkdir(exist_ok=True)
            elif content[:1] == ("link",):
                place.symlink_to(content[1])
            else:
                data, program = content if isinstance(content, tuple) else (content, None)
                place.write_bytes(data)
                place.chmod(0o755 if program else 0o644)

    def remove(self, path):
        place = self.root / path
        if place.is_dir() and not place.is_symlink():
            for inner in list(place.iterdir()):
                self.remove(inner.relative_to(self.root))
            place.rmdir()
        else:
            place.unlink()

    def files(self):
        found = {}
        for folder, folders, names in os.walk(self.root):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in names + links:
                place = Path(folder, name)
                path = str(place.relative_to(self.root))
                status = place.lstat()
                if stat.S_ISLNK(status.st_mode):
                    found[path] = ("link", os.readlink(place))
                elif status.st_mode & 0o100:
                    found[path] = (place.read_bytes(), "x")
                else:
                    found[path] = place.read_bytes()
            if not folders and not names and folder != str(self.root):
                found[str(Path(folder).relative_to(self.root))] = FOLDER
        return found

    def tree_of(self, files):
        """Store these files and return their tree."""
        changes = {}
        for path, content in files.items():
            if content is FOLDER:
                entry = Entry(EntryKind.TREE, trees.empty_tree(self.store), 0)
            elif content[:1] == ("link",):
                entry = self._entry(EntryKind.SYMLINK, content[1].encode())
            elif isinstance(content, tuple):
                entry = self._entry(EntryKind.EXECUTABLE, content[0])
            else:
                entry = self._entry(EntryKind.FILE, content)
            changes[os.fsencode(path)] = entry
        return trees.edit_tree(self.store, trees.empty_tree(self.store), changes).id

    def _entry(self, kind, data):
        return Entry(kind, self.store.put_content(data), len(data))

    def in_tree(self, tree):
        """Return what a tree holds, in the form of `files`."""
        found = {}
        for name, entry in trees.walk(self.store, tree):
            path = os.fsdecode(name)
            if entry.kind == EntryKind.TREE:
                if next(trees.entries(self.store, entry.id), None) is None:
                    found[path] = FOLDER
            elif entry.kind == EntryKind.SYMLINK:
                found[path] = ("link", os.fsdecode(self.store.read_file(entry.id)))
            else:
                data = self.store.read_file(entry.id)
                found[path] = (data, "x") if entry.kind == EntryKind.EXECUTABLE else data
        return found

    def rules(self):
        return IgnoreRules(self.root_bytes)

    def record(self, **options):
        options.setdefault("stamp", file_clock(self.private))
        recorded = Recorder(self.store, self.root_bytes, self.index, self.rules(), **options).run()
        self.index = recorded.index
        return recorded

    def scan(self, *paths, trusting=False):
        """Return the deltas that are not clean; `trusting` takes no signature for racy."""
        if trusting:
            self.index.stamp = 1 << 62
        scanner = Scanner(self.root_bytes, self.index, self.rules(), paths)
        return {delta.path: delta for delta in scanner.walk() if not delta.is_clean() or delta.skipped}

    def plan(self, target, base=None, **options):
        planner = Planner(self.store, self.root_bytes, self.index, **options)
        return planner.plan(base if base is not None else self.index.tree, target)

    def apply(self, plan):
        changed = Writer(self.store, self.root_bytes, self.private / "tmp").apply(plan)
        self.index.update(changed)
        self.index.tree = plan.target

    def move(self, target):
        self.apply(self.plan(target))


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


@pytest.fixture(name="make_copy")
def _copy():
    return Copy
