"""Which runs read what stands in a version: of several that wrote the same content, those speak for that version."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.runs.index import RunIndex
from dsvc.runs.names import RunKey


class Standing:
    """What of a tree is what runs met."""

    def __init__(self, store: ObjectStore, index: RunIndex, tree: TreeId) -> None:
        self._index = index

        @cache
        def stands(path: bytes, file: bytes) -> bool:
            entry = trees.lookup(store, tree, path)
            return entry is not None and entry.id == file

        self.stands = stands

    def read_it(self, keys: Collection[RunKey]) -> dict[RunKey, bool]:
        """Say of each run whether all that it surely read stands in the tree; runs that read nothing are left out."""
        found: dict[RunKey, bool] = {}
        for key, path, file in self._index.read_by(keys) if keys else ():
            found[key] = found.get(key, True) and self.stands(path, file)
        return found

    def strangers(self, keys: Collection[RunKey]) -> set[RunKey]:
        """Return the runs that read something else than what stands in the tree; one run alone is none."""
        return {key for key, read in self.read_it(keys).items() if not read} if len(keys) > 1 else set()
