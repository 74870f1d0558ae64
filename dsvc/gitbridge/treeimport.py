"""Bring git's trees and blobs into the store, by the cost of what changed from one commit to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsvc.gitbridge.gitsource import GitSource
from dsvc.gitbridge.gittree import BadGitTreeError, GitEntry, GitTree, Oid, kind_of, parse_tree
from dsvc.gitbridge.lfs import LfsObjects, Pointer
from dsvc.gitbridge.recent import Recent
from dsvc.objects import mapedit, trees
from dsvc.objects.ids import FileId, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import BadNameError, Entry, EntryKind, check_names
from dsvc.progress import Progress, Silent

_SMALL_DIRECTORY = 256  # entries; up to here a directory is written anew instead of edited
_REMEMBERED_ENTRIES = 60_000  # of parsed directories
_REMEMBERED_TREES = 50_000
_REMEMBERED_BLOBS = 50_000


@dataclass(frozen=True, slots=True)
class Base:
    """A git tree that is in the store already, from which the next one differs little."""

    oid: Oid
    tree_id: TreeId


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory on both sides; `entries` only of small ones."""

    git: GitTree
    entries: dict[bytes, Entry] | None


class TreeImporter:
    """Git trees into dsvc trees. What it remembers is bounded; forgetting costs time only."""

    def __init__(self, store: ObjectStore, source: GitSource, *, lfs: LfsObjects | None = None) -> None:
        """With `lfs` pointers are replaced by the content that they name."""
        self._store = store
        self._source = source
        self._lfs = lfs
        self._directories: Recent[Oid, _Directory] = Recent(_REMEMBERED_ENTRIES)
        self._trees: Recent[Oid, Entry] = Recent(_REMEMBERED_TREES)
        self._blobs: Recent[Oid, tuple[FileId, int]] = Recent(_REMEMBERED_BLOBS)
        self.progress: Progress = Silent()  # hears of the bytes of contents
        self.missing_lfs: dict[str, bytes] = {}  # SHA-256 -> a path that needs it
        self.met_odd = lfs is not None  # whether some tree so far is not in canonical form

    def tree(self, oid: Oid, base: Base | None = None, *, path: bytes = b"") -> Entry:
        """Store a git tree and all below it; return its entry.

        Raises:
            BadGitTreeError: naming the path, when a tree cannot be read or holds a name that dsvc refuses.
        """
        known = self._trees.get(oid)
        if known is None:
            if base is not None and base.oid == oid:
                known = trees.tree_entry(self._store, base.tree_id)
            else:
                known = self._new_tree(oid, base, path)
            self._trees.set(oid, known)
        return known

    def blob(self, oid: Oid, path: bytes) -> tuple[FileId, int]:
        """Store a git blob, or what it points to in LFS; return the file's id and length."""
        known = self._blobs.get(oid)
        if known is None:
            pointer = self._source.pointer(oid) if self._lfs is not None else None
            if pointer is not None:
                return self._resolve(oid, pointer, path)
            data = self._source.blob(oid)
            known = (self._store.put_content(data), len(data))  # type: ignore[arg-type]
            self.progress.advance(size=len(data))
            self._blobs.set(oid, known)
        return known

    def git_tree(self, oid: Oid, path: bytes) -> GitTree:
        """Return a parsed git tree."""
        return self._directory(oid, path).git

    def _resolve(self, oid: Oid, pointer: Pointer, path: bytes) -> tuple[FileId, int]:
        assert self._lfs is not None
        if not self._lfs.has(pointer):
            # All of them are gathered before the import fails.
            self.missing_lfs.setdefault(pointer.sha256, path)
            return self._store.put_content(pointer.encode()), 0
        known = FileId(self._lfs.read_into(pointer, self._store.put_stream)), pointer.size  # type: ignore[arg-type]
        self.progress.advance(size=pointer.size)
        self._blobs.set(oid, known)
        return known

    def _directory(self, oid: Oid, path: bytes) -> _Directory:
        found = self._directories.get(oid)
        if found is None:
            try:
                git = parse_tree(self._source.read(oid))
            except BadGitTreeError as error:
                raise BadGitTreeError(f"git tree {oid.hex()} at {_shown(path)}: {error.message}") from error
            found = _Directory(git, None)
            self._remember(oid, found)
        return found

    def _remember(self, oid: Oid, directory: _Directory) -> None:
        self.met_odd |= directory.git.listing is not None
        self._directories.set(oid, directory, weight=1 + len(directory.git.entries))

    def _new_tree(self, oid: Oid, base: Base | None, path: bytes) -> Entry:
        git = self._directory(oid, path).git
        old: Mapping[bytes, GitEntry] = {}
        if base is not None:
            before = self._directory(base.oid, path)
            old = before.git.entries
            changed = [name for name, entry in git.entries.items() if old.get(name) != entry]
        else:
            changed = list(git.entries)
        _check(changed, path)
        new = {name: self._entry(name, git.entries[name], base, old, path) for name in changed}
        if base is None:
            entries = new
        elif len(old) > _SMALL_DIRECTORY:
            changes: dict[bytes, Entry | None] = dict.fromkeys(name for name in old if name not in git.entries)
            changes.update(new)
            root = mapedit.update(self._store, trees.TREES, base.tree_id, changes.items())
            return Entry(EntryKind.TREE, root.id, root.weight)
        else:
            kept = before.entries if before.entries is not None else dict(trees.entries(self._store, base.tree_id))
            entries = {**kept, **new}
            for name in old.keys() - git.entries.keys():
                del entries[name]
        if len(entries) <= _SMALL_DIRECTORY:
            self._remember(oid, _Directory(git, entries))
        return trees.write_tree(self._store, sorted(entries.items()))

    def _entry(
        self, name: bytes, git: GitEntry, base: Base | None, old: Mapping[bytes, GitEntry], parent: bytes
    ) -> Entry:
        mode, oid = git
        kind = kind_of(mode)
        path = parent + b"/" + name if parent else name
        if kind == EntryKind.TREE:
            before = old.get(name)
            below: Base | None = None
            if base is not None and before is not None and kind_of(before[0]) == EntryKind.TREE:
                known = self._trees.get(before[1]) or trees.lookup(self._store, base.tree_id, name)
                if known is not None:
                    below = Base(before[1], TreeId(known.id))  # type: ignore[arg-type]
            return self.tree(oid, below, path=path)
        if kind == EntryKind.GITLINK:
            return Entry(kind, oid, 0)
        if kind == EntryKind.SYMLINK:
            target = bytes(self._source.blob(oid))
            return Entry(kind, self._store.put_content(target), len(target))
        return Entry(kind, *self.blob(oid, path))


def _check(names: list[bytes], parent: bytes) -> None:
    try:
        check_names(names)
    except BadNameError as error:
        raise BadGitTreeError(
            f"{error.message} (in {_shown(parent)})",
            hint="take it out of a copy of git's history, as with git filter-repo --invert-paths --path PATH",
        ) from error


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace")) if path else "the root folder"
