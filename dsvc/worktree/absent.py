"""What a checkout leaves absent, without a list of a million names."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import EntryKind
from dsvc.worktree.index import join


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
