"""The files of a dataset that nobody indexed, for an export: read from a clone of its snapshot, which goes again."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import closing

from dsvc.objects.ids import ID_LENGTH, FileId, ObjectId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.storage.snapshots import Kept
from dsvc.workspace import Workspace
from dsvc.worktree.index import join
from dsvc.worktree.scan import UnreadableError

Leaf = tuple[bytes, Entry, Iterator[bytes]]

_PIECE = 1 << 20
_NO_ID = FileId(ObjectId(bytes(ID_LENGTH)))  # of what was never stored


def snapshot_here(workspace: Workspace, path: bytes, entry: Entry) -> Kept | None:
    """Return the snapshot of a reference where a pool of this machine has it."""
    datasets = workspace.datasets()
    return datasets.find(path, datasets.snapshot(entry).guid) if datasets is not None else None


def files_of_snapshot(workspace: Workspace, path: bytes, kept: Kept) -> Iterator[Leaf]:
    """Yield the files, links and empty folders of a snapshot with their content, in order, below `path`.

    Raises:
        UnreadableError: for a file that may not be read. What the provider raises where it cannot be mounted.
    """
    datasets = workspace.datasets()
    assert datasets is not None, "a snapshot was found by them"
    datasets.keep_off_gc(exclusive=False)
    with datasets.shown(kept, workspace.scratch / f"index-{secrets.token_hex(4)}") as root:
        yield from _below(root, path)


def _below(folder: bytes, path: bytes) -> Iterator[Leaf]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UnreadableError(path, error) from error
    if not names:
        yield path, Entry(EntryKind.TREE, _NO_ID, 0), iter(())
    for name in names:
        full, below = join(folder, name), join(path, name)
        st = os.lstat(full)
        if stat.S_ISDIR(st.st_mode):
            yield from _below(full, below)
        elif stat.S_ISLNK(st.st_mode):
            target = os.readlink(full)
            yield below, Entry(EntryKind.SYMLINK, _NO_ID, len(target)), iter((target,))
        elif stat.S_ISREG(st.st_mode):
            kind = EntryKind.EXECUTABLE if st.st_mode & 0o100 else EntryKind.FILE
            with closing(_read(full, below)) as content:  # an archive reads no further than the size
                yield below, Entry(kind, _NO_ID, st.st_size), content


def _read(full: bytes, path: bytes) -> Generator[bytes]:
    try:
        with open(full, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise UnreadableError(path, error) from error
