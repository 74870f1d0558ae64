"""Remove files that are not versioned, after storing them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsvc.actions.checkout import FILES
from dsvc.errors import RequestError
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind, is_valid_name
from dsvc.refs.names import saved_of
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace
from dsvc.worktree.ignore import DirectoryRules
from dsvc.worktree.index import EMPTY, Index, join, signature
from dsvc.worktree.scan import CONTROL, Skipped, UnreadableError, special
from dsvc.worktree.storing import store_file


@dataclass(frozen=True, slots=True)
class CleanResult:
    """The files that were removed, or would be, folders among them that became empty, and what was left and why."""

    files: tuple[bytes, ...]
    folders: tuple[bytes, ...]
    size: int
    skipped: tuple[Skipped, ...]
    dry_run: bool


def clean(
    workspace: Workspace,
    *,
    paths: Sequence[bytes] = (),
    folders: bool = False,
    ignored: bool = False,
    only_ignored: bool = False,
    dry_run: bool = True,
) -> CleanResult:
    """Remove the files that neither a commit nor `dsvc add` knows; `undo` brings them back.

    Folders that hold nothing versioned are entered with `folders` only. `ignored` takes ignored files too,
    `only_ignored` those alone. Repositories in the working copy are left alone. What is removed is stored first, and
    a file that changes in between stays.

    Raises:
        UnreadableError, UnstableFileError: naming a file that cannot be stored; nothing is removed then.
    """
    if ignored and only_ignored:
        raise RequestError("all ignored files, or only those?", hint="take one of -x and -X")
    search = _Search(workspace, paths, folders=folders, ignored=ignored, only_ignored=only_ignored)
    found = list(search.walk())
    size = sum(st.st_size for _, st in found if not stat.S_ISDIR(st.st_mode))
    result = CleanResult(
        tuple(path for path, st in found if not stat.S_ISDIR(st.st_mode)),
        tuple(path for path, st in found if stat.S_ISDIR(st.st_mode)),
        size,
        tuple(search.skipped),
        dry_run,
    )
    if dry_run or not found:
        return result
    seen = _store(workspace, search.index, found)
    for path, sig in seen.items():
        full = workspace.place(path)
        with contextlib.suppress(FileNotFoundError):
            if signature(os.lstat(full)) == sig:
                os.unlink(full)
    for folder in sorted(result.folders, reverse=True):
        with contextlib.suppress(OSError):  # something is in it again, which nobody asked to remove
            os.rmdir(workspace.place(folder))
    return result


def _store(workspace: Workspace, index: Index, found: Sequence[tuple[bytes, os.stat_result]]) -> dict[bytes, bytes]:
    """Store what will be removed and publish that; return the signatures of the files."""
    store = workspace.repo.store
    entries: dict[bytes, Entry | None] = {}
    seen: dict[bytes, bytes] = {}
    above = {path.rpartition(b"/")[0] for path, _ in found}
    workspace.progress.start("Storing files", total_items=len(found))
    try:
        for path, st in found:
            if stat.S_ISDIR(st.st_mode):
                if path not in above:
                    entries[path] = Entry(EntryKind.TREE, trees.empty_tree(store), 0)
                continue
            with contextlib.suppress(FileNotFoundError):
                entries[path], seen[path] = store_file(
                    store, workspace.place(path), signature(st), progress=workspace.progress
                )
        saved = TreeId(ObjectId(trees.edit_tree(store, index.tree, entries).id))
    except BaseException:
        store.abandon()
        raise
    finally:
        workspace.progress.finish()
    transaction = workspace.transaction()
    transaction.set(saved_of(workspace.worktree_id), Direct(Kind.TREE, ObjectId(saved)))
    what = f"clean: {len(seen)} file{'s' if len(seen) != 1 else ''}"
    act = workspace.act("clean", what, metadata={FILES: (saved, index.tree)})
    workspace.publish(transaction, act)
    return seen


class _Search:
    """Looks for what is not versioned."""

    def __init__(
        self, workspace: Workspace, paths: Sequence[bytes], *, folders: bool, ignored: bool, only_ignored: bool
    ) -> None:
        self.index = workspace.index()
        self.skipped: list[Skipped] = []
        self._root = workspace.root_bytes
        self._rules = workspace.ignore_rules()
        self._paths = tuple(path for path in paths if path)
        self._folders = folders or bool(self._paths)
        self._take_new = not only_ignored
        self._take_ignored = ignored or only_ignored

    def walk(self) -> Iterator[tuple[bytes, os.stat_result]]:
        """Yield (path, stat) of what is to be removed, a folder behind what is in it."""
        yield from self._known_folder(b"")

    def _known_folder(self, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        known = set(self.index.blocks.get(path, EMPTY).name_list())
        rules = self._rules.in_directory(path)
        for name, st in self._list(path):
            below = join(path, name)
            if not self._on_the_way(below):
                continue
            if name in known and stat.S_ISDIR(st.st_mode):
                if below in self.index.blocks:
                    yield from self._known_folder(below)
            elif name not in known:
                yield from self._unknown(below, name, st, rules, inside_ignored=False)

    def _unknown(
        self, path: bytes, name: bytes, st: os.stat_result, rules: DirectoryRules, *, inside_ignored: bool
    ) -> Iterator[tuple[bytes, os.stat_result]]:
        is_directory = stat.S_ISDIR(st.st_mode)
        ignored = inside_ignored or rules.ignored(name, is_directory=is_directory)
        take = self._take_ignored if ignored else self._take_new
        if not is_directory:
            if take and self._wanted(path):
                if stat.S_ISREG(st.st_mode) or stat.S_ISLNK(st.st_mode):
                    if is_valid_name(name):
                        yield path, st
                    else:
                        self.skipped.append(Skipped(path, "a name that no repository may hold"))
                else:
                    self.skipped.append(Skipped(path, special(st.st_mode)))
            return
        if not self._folders or (ignored and not take):
            return
        if any(os.path.lexists(self._place(path) + b"/" + control) for control in CONTROL):
            self.skipped.append(Skipped(path, "a repository of its own"))
            return
        inner = rules if ignored else rules.enter(name)
        left = False
        for inner_name, inner_st in self._list(path):
            count = 0
            for item in self._unknown(join(path, inner_name), inner_name, inner_st, inner, inside_ignored=ignored):
                yield item
                count += item[0] == join(path, inner_name)
            left = left or count == 0
        if take and not left and self._wanted(path):
            yield path, st

    def _list(self, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        full = self._place(path) if path else self._root
        true_names = self.index.names.true_names(path) or {}
        try:
            names = sorted(os.listdir(full))
        except OSError as error:
            raise UnreadableError(path, error) from error
        for name in names:
            if name not in CONTROL:
                with contextlib.suppress(FileNotFoundError):
                    yield true_names.get(name, name), os.lstat(full + b"/" + name)

    def _place(self, path: bytes) -> bytes:
        return join(self._root, self.index.names.on_disk(path))

    def _wanted(self, path: bytes) -> bool:
        return not self._paths or any(path == p or path.startswith(p + b"/") for p in self._paths)

    def _on_the_way(self, path: bytes) -> bool:
        return self._wanted(path) or any(p.startswith(path + b"/") for p in self._paths)
