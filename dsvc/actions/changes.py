"""What the working copy has that a tree has not, and the other way round."""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsvc.history.datasets import diff_files
from dsvc.history.treediff import Change
from dsvc.objects import trees
from dsvc.objects.files import hash_content
from dsvc.objects.ids import ID_LENGTH, TreeId, content_id
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.workspace import Workspace
from dsvc.worktree.index import UNKNOWN, Index, changed_at, join, signature
from dsvc.worktree.scan import Scanner, Skipped, UnreadableError
from dsvc.worktree.storing import UnstableFileError

UNREAD = bytes(ID_LENGTH)
"""The id of files that were not read, because that they are new or changed is plain without."""


@dataclass(slots=True)
class WorkingChanges:
    """How the working copy differs from its index's tree.

    `entries` maps paths to what stands there now (None: gone); the ids are right, the content is not stored. `new` are
    those that the tree has not at all; `new_folders` are folders of which nothing is in the tree (with `collapse`, in
    place of their files). `refreshed` are signatures of files that turned out to be unchanged, `doubtful` those of
    changed files whose stat may be as before: an index with a later stamp must not trust it.
    """

    index: Index
    entries: dict[bytes, Entry | None]
    new: set[bytes]
    new_folders: list[bytes]
    skipped: list[Skipped]
    refreshed: dict[bytes, bytes]
    doubtful: dict[bytes, bytes]


def working_changes(
    workspace: Workspace,
    *,
    paths: Sequence[bytes] = (),
    collapse: bool = False,
    include_new: bool = True,
    ids: bool = True,
) -> WorkingChanges:
    """Compare the working copy with its index; files whose stat changed are read and hashed, nothing is stored.

    Without `ids` files that are new or have another size than before are not read: their ids are `UNREAD`.

    Raises:
        UnreadableError: naming a file or folder that may not be read.
    """
    index = workspace.index()
    scanner = Scanner(workspace.root_bytes, index, workspace.ignore_rules(), paths)
    found = WorkingChanges(index, {}, set(), [], [], {}, {})
    store, root = workspace.repo.store, workspace.root_bytes
    for delta in scanner.walk():
        found.skipped += delta.skipped
        if delta.is_clean():
            continue
        for name in delta.gone:
            found.entries[join(delta.path, name)] = None
        for name, sig in delta.changed.items():
            path = join(delta.path, name)
            old = trees.lookup(store, index.tree, path)
            place = index.names.on_disk(path)
            resized = not ids and old is not None and old.size != int.from_bytes(sig[:8], "little")
            entry = _unread(root, place) if resized else describe_file(root, place)
            if old is not None and old.kind == EntryKind.REFERENCE and store.elsewhere is not None:
                old = store.elsewhere.here(old)
            if entry is None or entry != old:
                found.entries[path] = entry
                if changed_at(sig) >= index.stamp:
                    found.doubtful[path] = UNKNOWN
            else:
                found.refreshed[path] = sig
        if not include_new:
            continue
        for name in delta.new:
            path = join(delta.path, name)
            found.entries[path] = (describe_file if ids else _unread)(root, index.names.on_disk(path))
            found.new.add(path)
        for name in delta.new_directories:
            _new_folder(workspace, scanner, join(delta.path, name), found, collapse=collapse, ids=ids)
    datasets = workspace.datasets()
    if datasets is not None:
        changed = datasets.changed(index.tree, paths)
        found.entries |= {path: entry._replace(id=UNREAD) for path, entry in changed.items()}
    return found


def _new_folder(
    workspace: Workspace, scanner: Scanner, path: bytes, found: WorkingChanges, *, collapse: bool, ids: bool
) -> None:
    files = new_files(scanner, path, found.skipped)
    if collapse and trees.lookup(workspace.repo.store, found.index.tree, path) is None:  # else it is absent on purpose
        if next(files, None) is not None:
            found.new_folders.append(path)
        return
    for file_path, st in files:
        if st is None:
            found.entries[file_path] = Entry(EntryKind.TREE, trees.empty_tree(workspace.repo.store), 0)
        else:
            place = scanner.index.names.on_disk(file_path)
            found.entries[file_path] = (describe_file if ids else _unread)(workspace.root_bytes, place)
        found.new.add(file_path)


def new_files(
    scanner: Scanner, path: bytes, skipped: list[Skipped] | None = None
) -> Iterator[tuple[bytes, os.stat_result | None]]:
    """Yield (path, stat) of the files that a commit would take below a folder that the index does not know.

    An empty folder is yielded itself, with None.
    """
    delta = scanner.compare(path)
    if skipped is not None:
        skipped += delta.skipped
    if delta.bare:
        yield path, None
    for name in delta.new:
        file_path = join(path, name)
        yield file_path, os.lstat(scanner.place(file_path))
    for name in delta.new_directories:
        yield from new_files(scanner, join(path, name), skipped)


def _unread(root: bytes, path: bytes) -> Entry | None:
    """Return the entry of a file by its stat alone; None when it is gone."""
    try:
        st = os.lstat(join(root, path))
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(st.st_mode):
        return Entry(EntryKind.SYMLINK, UNREAD, st.st_size)
    if not stat.S_ISREG(st.st_mode):
        return None
    return Entry(EntryKind.EXECUTABLE if st.st_mode & 0o100 else EntryKind.FILE, UNREAD, st.st_size)


def describe_file(root: bytes, path: bytes) -> Entry | None:
    """Return the entry that a commit would make of a file now, without storing it; None when it is gone.

    Raises:
        UnreadableError: when it may not be read. UnstableFileError: when it changes all the time.
    """
    full = join(root, path)
    try:
        for _ in range(5):
            st = os.lstat(full)
            sig = signature(st)
            if stat.S_ISLNK(st.st_mode):
                target = os.readlink(full)
                return Entry(EntryKind.SYMLINK, content_id(target), len(target))
            if not stat.S_ISREG(st.st_mode):
                return None
            kind = EntryKind.EXECUTABLE if st.st_mode & 0o100 else EntryKind.FILE
            with open(full, "rb", buffering=0) as file:
                file_id = hash_content(file.read)
                if signature(os.fstat(file.fileno())) == sig:
                    return Entry(kind, file_id, st.st_size)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise UnreadableError(path, error) from error
    raise UnstableFileError(path)


def changes_against(
    workspace: Workspace, tree_id: TreeId, *, paths: Sequence[bytes] = (), found: WorkingChanges | None = None
) -> list[Change]:
    """Return what a commit of the working copy would change in a tree, in order of paths.

    The new entries' ids are right, unless `found` was made without; their content lies in the working copy and perhaps
    not in the store.
    """
    found = found if found is not None else working_changes(workspace, paths=paths)
    store = workspace.repo.store
    result = {c.path: c for c in diff_files(store, tree_id, found.index.tree, paths=paths)}
    carried = sorted(result)
    for path, seen in found.entries.items():
        entry = seen
        for below in _below(carried, path):
            result.pop(below, None)  # of a folder that is gone, or a file by now
        old = trees.lookup(store, tree_id, path)
        unread = entry is not None and entry.id == UNREAD and entry.kind != EntryKind.SNAPSHOT
        if unread and entry is not None and old is not None and old.size == entry.size:
            entry = describe_file(workspace.root_bytes, found.index.names.on_disk(path))
        if old == entry:
            result.pop(path, None)
            continue
        result[path] = Change(path, old, entry)
        if old is not None and old.kind == EntryKind.TREE:
            _folder_gone(result, path, old, entry, store=store)
    return [result[path] for path in sorted(result)]


def _below(paths: Sequence[bytes], folder: bytes) -> Sequence[bytes]:
    """Return those of the sorted paths that lie below a folder."""
    first = bisect_left(paths, folder + b"/")
    return paths[first : bisect_left(paths, folder + b"0", first)]  # "0" follows "/"


def _folder_gone(
    result: dict[bytes, Change], path: bytes, folder: Entry, now: Entry | None, *, store: NodeStore
) -> None:
    """Name the files that went with a folder; an empty one is named itself, with what stands in its place."""
    files = [(p, entry) for p, entry in trees.walk(store, folder.id, path + b"/") if entry.kind != EntryKind.TREE]
    if not files:
        return
    result |= {p: Change(p, entry, None) for p, entry in files}
    if now is None:
        del result[path]
    else:
        result[path] = Change(path, None, now)
