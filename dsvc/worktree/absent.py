"""What a checkout leaves absent, without a list of a million names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from dsvc.objects import trees
from dsvc.objects.files import is_complete
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import FILE_KINDS, EntryKind
from dsvc.worktree.index import ABSENT, Index, join, parents
from dsvc.worktree.sparse import Sparse


class Absent:
    """What stays absent: of a folder that is not on disk the folder alone, for a million names may be in it."""

    def __init__(self, known: Collection[bytes]) -> None:
        self._known = known
        self.paths: list[bytes] = []
        self.folders: dict[bytes, bytes] = {}  # with one of the paths in each

    def add(self, path: bytes) -> None:
        """Note a path."""
        folder = path.rpartition(b"/")[0]
        if folder in self._known:
            self.paths.append(path)
        elif folder not in self.folders:
            self.folders[folder] = path

    def listed(
        self, store: ObjectStore, tree: TreeId, on_disk: Collection[bytes], written: Collection[bytes]
    ) -> Iterator[bytes]:
        """Yield all paths, and of folders that are not `on_disk` one of theirs."""
        yield from self.paths
        for folder, path in self.folders.items():
            if folder not in on_disk:
                yield path
                continue
            entry = trees.lookup(store, tree, folder)
            if entry is not None and entry.kind == EntryKind.TREE:
                below = ((join(folder, name), e) for name, e in trees.entries(store, entry.id))
                yield from (p for p, e in below if p not in written and e.kind != EntryKind.TREE)

    def settle(
        self, store: ObjectStore, tree: TreeId, written: Collection[bytes], settled: Mapping[bytes, bytes | None]
    ) -> dict[bytes, bytes | None]:
        """Return signatures of what stays absent, None for what is gone: the topmost folder not on disk stands for all.

        What is `settled` already is not asked about.
        """
        found: dict[bytes, bytes | None] = {}
        if not self.paths and not self.folders:
            return found
        folders = {*self._known, *parents(written)}
        for path in self.listed(store, tree, folders, written):
            at = path.find(b"/")
            while at >= 0 and path[:at] in folders:
                at = path.find(b"/", at + 1)
            top = path if at < 0 else path[:at]
            if top not in settled and top not in found:
                found[top] = ABSENT if trees.lookup(store, tree, top) is not None else None
        return found


def absent_paths(index: Index, store: ObjectStore) -> list[bytes]:
    """Return the paths that are wanted and were not checked out, for their content is not here; in order.

    Of a folder that is not on disk the folder alone. What the patterns of a sparse working copy leave out is not
    wanted.
    """
    sparse = Sparse(index.sparse) if index.sparse else None
    found = []
    for directory, block in index.blocks.items():
        if ABSENT not in block.signatures:  # also found across two signatures, so look again
            continue
        for name, sig in block.entries().items():
            path = join(directory, name)
            if sig != ABSENT:
                continue
            if sparse is not None:
                entry = trees.lookup(store, index.tree, path)
                is_folder = entry is not None and entry.kind == EntryKind.TREE
                if not sparse.includes(join(path, b".") if is_folder else path):
                    continue
            found.append(path)
    return sorted(found)


def read_absent(store: ObjectStore, index_of: Callable[[], Index]) -> Callable[[bytes], bytes | None]:
    """Return what reads a file that is left out of the working copy, without asking a remote.

    It gives None for what is not left out, and for what is not here. `index_of` is called when the first is asked for.
    """
    known: list[Index] = []

    def read(path: bytes) -> bytes | None:
        index = known[0] if known else index_of()
        known[:] = [index]
        directory, _, name = path.rpartition(b"/")
        block = index.blocks.get(directory)
        if block is not None and name not in block.names:
            return None  # by far the most are asked for in vain
        entry = trees.lookup(store, index.tree, path) if index.is_absent(path) else None
        if entry is None or entry.kind not in FILE_KINDS or not is_complete(store, entry.id):
            return None
        return store.read_file(entry.id)

    return read
