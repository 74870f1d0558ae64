"""Carry out a plan: write files beside their place and rename them in, keep a journal to resume after a kill.

A new directory is filled under another name and renamed into place once its own files are complete, which spares a
rename a file. Files that are replaced are written to a temporary file on the same disk first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from dsvc.atomic import temporary_name
from dsvc.errors import RequestError
from dsvc.objects import trees
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, FILE_KINDS, Entry, EntryKind
from dsvc.progress import Progress, Silent
from dsvc.worktree.creating import Creator
from dsvc.worktree.drafts import Claims
from dsvc.worktree.index import ABSENT, DATASET, DIRECTORY, GITLINK, join, signature
from dsvc.worktree.name_map import NameMap
from dsvc.worktree.plan import InTheWayError, Obstacle, Plan

if TYPE_CHECKING:
    from dsvc.worktree.delegation import Delegation

Writes = Sequence[tuple[bytes, Entry]]
_STAGED_BYTES = 64 << 20  # a new directory with more in it is filled in place, so that a killed checkout keeps it


class UnwritableError(RequestError):
    """A file or folder of the working copy may not be written."""

    def __init__(self, path: bytes, error: OSError) -> None:
        super().__init__(
            f"{os.fsdecode(path)} cannot be written: {error.strerror}",
            hint="run the same command again when that is mended: it resumes",
        )


class Writer:
    """Writes entries of the store below `root`; `scratch` is a folder on the same disk for unfinished files.

    `names` says which paths lie under other names there. `drafts` have large files that were written already.
    `datasets` are the folders that a provider serves.
    """

    def __init__(
        self,
        store: ObjectStore,
        root: bytes,
        scratch: Path,
        *,
        names: NameMap | None = None,
        progress: Progress | None = None,
        drafts: Claims | None = None,
        datasets: Delegation | None = None,
    ) -> None:
        self._store = store
        self._root = root
        self._names = names or NameMap()
        self._scratch = os.fsencode(scratch)
        self._progress = progress or Silent()
        self._drafts = drafts
        self._datasets = datasets
        os.makedirs(self._scratch, exist_ok=True)

    def apply(self, plan: Plan) -> dict[bytes, bytes | None]:
        """Carry out a plan; return path -> new signature (None: gone), for the index.

        Safe to call again with a plan made afresh after it was broken off at any point.

        Raises:
            InTheWayError: when the plan has obstacles; nothing was written then. Also when a file was changed after
                the plan was made; part of the files are written then.
            UnwritableError: when the disk refuses; part of the files are written then.
        """
        if plan.obstacles:
            raise InTheWayError(plan.obstacles)
        self._bring_references(plan)
        self._store.complete(entry.id for _, entry in plan.writes if entry.kind in CONTENT_KINDS)
        changed: dict[bytes, bytes | None] = dict(plan.settled)
        for path in plan.leaving:
            assert self._datasets is not None
            self._datasets.leave(path)
        for path in plan.removals:
            with self._naming(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._refuse_changed(path, plan)
                os.unlink(self._place(path))
            changed[path] = ABSENT if path in plan.left_out else None
        self._remove_folders(plan, changed)
        self._write_all(plan, changed)
        for path, entry in plan.datasets:
            assert self._datasets is not None
            self._datasets.bring(path, entry)
            changed[path] = DATASET
        return changed

    def _bring_references(self, plan: Plan) -> None:
        """Put the content of references in their place, which is fetched where it is not here."""
        references = [entry for _, entry in plan.writes if entry.kind == EntryKind.REFERENCE]
        elsewhere = self._store.elsewhere
        if references and elsewhere is not None:
            elsewhere.bring(references)
            plan.writes = [
                (path, (elsewhere.here(entry) or entry) if entry.kind == EntryKind.REFERENCE else entry)
                for path, entry in plan.writes
            ]

    def _place(self, path: bytes) -> bytes:
        """Return where a path lies on disk."""
        return join(self._root, self._names.on_disk(path))

    def _remove_folders(self, plan: Plan, changed: dict[bytes, bytes | None]) -> None:
        real: dict[bytes, bool] = {b"": True}
        for folder in sorted(plan.folders, reverse=True):
            entry = trees.lookup(self._store, plan.target, folder)
            if entry is not None and entry.kind == EntryKind.TREE:
                continue
            changed.setdefault(folder, None)
            if not self._is_real(folder.rpartition(b"/")[0], real):
                continue  # a link may lead out of the working copy
            try:
                os.rmdir(self._place(folder))
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY):
                    raise UnwritableError(folder, error) from error

    def _is_real(self, directory: bytes, known: dict[bytes, bool]) -> bool:
        """Say whether a directory and all that lead to it are folders, and no links to any."""
        if directory not in known:
            known[directory] = False
            if self._is_real(directory.rpartition(b"/")[0], known):
                with contextlib.suppress(FileNotFoundError):
                    known[directory] = stat.S_ISDIR(os.lstat(self._place(directory)).st_mode)
        return known[directory]

    def _write_all(self, plan: Plan, changed: dict[bytes, bytes | None]) -> None:
        """Write all files of a folder together, folders before what is in them.

        Threads that write several folders at once were tried: they hinder each other more than they save.
        """
        creator = Creator(self._store, self._place, plan.base, progress=self._progress, drafts=self._drafts)
        made: set[bytes] = set()
        for directory, found in groupby(sorted(plan.writes, key=_directory), key=_directory):
            batch = list(found)
            is_new = bool(directory) and not os.path.lexists(self._place(directory))
            if is_new and sum(entry.size for _, entry in batch) <= _STAGED_BYTES:
                self._make_folder(directory.rpartition(b"/")[0], made)
                changed.update(self._fill_new_folder(plan, directory, batch, creator))
                made.add(directory)
            else:
                self._make_folder(directory, made)
                changed.update(self._replace_each(plan, batch, creator))

    def _fill_new_folder(self, plan: Plan, directory: bytes, batch: Writes, creator: Creator) -> dict[bytes, bytes]:
        """Create a folder with these files, under another name until it is complete; return their signatures.

        It is made at its place and filled elsewhere: ext4 puts a folder's files on the disk near the folder in which it
        was made, and thousands of them from all over the tree near one folder slow each other down.
        """
        disk_names = self._names.disk_names(directory) or {}
        names = (path.rpartition(b"/")[2] for path, _ in batch)
        entries = [(disk_names.get(name, name), entry) for name, (_, entry) in zip(names, batch, strict=True)]
        staged, place = join(self._scratch, b"folder." + secrets.token_hex(8).encode()), self._place(directory)
        with self._naming(directory):
            try:
                os.mkdir(place)
                os.rename(place, staged)
                found = creator.fill(staged, entries)
                os.rename(staged, place)
                return {path: sig for (path, _), sig in zip(batch, found, strict=True)}
            except BaseException as error:
                shutil.rmtree(staged, ignore_errors=True)
                if not isinstance(error, OSError) or error.errno not in (errno.EXDEV, errno.EEXIST, errno.ENOTEMPTY):
                    raise
        # Another disk is mounted here, or somebody made the folder meanwhile: file by file then.
        self._make_folder(directory, set())
        return self._replace_each(plan, batch, creator)

    def _replace_each(self, plan: Plan, batch: Writes, creator: Creator) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for path, entry in batch:
            with self._naming(path):
                found[path] = self._replace(plan, path, entry, creator)
            if entry.kind in FILE_KINDS:
                self._progress.advance(items=1, size=entry.size if entry.size <= SMALL_LIMIT else 0)
        return found

    def _replace(self, plan: Plan, path: bytes, entry: Entry, creator: Creator) -> bytes:
        """Put an entry at its place by a temporary file and a rename; return its signature."""
        full = self._place(path)
        if entry.kind in (EntryKind.TREE, EntryKind.GITLINK):
            with contextlib.suppress(FileExistsError):
                os.mkdir(full)
            return DIRECTORY if entry.kind == EntryKind.TREE else GITLINK
        temporary = join(self._scratch, os.fsencode(temporary_name("file")))
        try:
            creator.create(temporary, entry, path=path)
            self._refuse_changed(path, plan)
            try:
                _put_in_place(temporary, full)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                os.unlink(temporary)
                temporary = join(os.path.dirname(full), b".dsvc-" + os.path.basename(temporary))
                creator.create(temporary, entry, path=path)
                self._refuse_changed(path, plan)
                _put_in_place(temporary, full)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        # A rename changes the ctime, so the signature is taken behind it.
        return signature(os.lstat(full))

    def _refuse_changed(self, path: bytes, plan: Plan) -> None:
        """Refuse to go on when what stands at a path is not what the plan was made for.

        Raises:
            InTheWayError: naming it; it was not touched.
        """
        try:
            found = signature(os.lstat(self._place(path)))
        except (FileNotFoundError, NotADirectoryError):
            return
        if found != plan.seen.get(path):
            raise InTheWayError([Obstacle(path, "changed while other files were written")])

    def _make_folder(self, directory: bytes, made: set[bytes]) -> None:
        if not directory or directory in made:
            return
        self._make_folder(directory.rpartition(b"/")[0], made)
        with self._naming(directory), contextlib.suppress(FileExistsError):
            os.mkdir(self._place(directory))
        if not stat.S_ISDIR(os.lstat(self._place(directory)).st_mode):
            raise UnwritableError(directory, OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
        made.add(directory)

    @contextlib.contextmanager
    def _naming(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.EXDEV,):
                raise
            raise UnwritableError(path, error) from error


def _put_in_place(temporary: bytes, full: bytes) -> None:
    """Rename a finished file to its place, where an older one is removed first.

    A rename onto an existing file makes ext4 write the new one to the disk at once, a gigabyte of it in the middle of
    a checkout. What is removed is stored, and a checkout that is killed in between writes the file when it resumes.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(full)
    os.rename(temporary, full)


def _directory(write: tuple[bytes, Entry]) -> bytes:
    return write[0].rpartition(b"/")[0]
