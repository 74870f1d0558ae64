"""What git's trees have and dsvc's have not: unusual modes and orders, empty trees, LFS pointers."""

from __future__ import annotations

from collections.abc import Callable

from dsvc.gitbridge.gitsource import GitSource
from dsvc.gitbridge.gittree import GitTree, Oid, kind_of
from dsvc.objects.tree import FILE_KINDS, EntryKind


class OddityFinder:
    """Compares git trees for what dsvc's trees do not hold: see `Origin.odd`."""

    def __init__(self, source: GitSource, git_tree: Callable[[Oid, bytes], GitTree], *, lfs: bool) -> None:
        """`git_tree(oid, path)` returns a parsed tree; with `lfs` pointers count as odd."""
        self._source = source
        self._git_tree = git_tree
        self._lfs = lfs

    def changes(self, old: Oid | None, new: Oid) -> dict[bytes, bytes | None]:
        """Return the oddities of `new` as changes against `old`, by path."""
        found: dict[bytes, bytes | None] = {}
        self._compare(old, new, b"", found)
        return found

    def _compare(self, old: Oid | None, new: Oid, path: bytes, found: dict[bytes, bytes | None]) -> None:
        if old == new:
            return
        after = self._git_tree(new, path)
        before = self._git_tree(old, path) if old is not None else GitTree({}, None)
        if before.listing != after.listing:
            found[path] = after.listing
        for name, (mode, oid) in after.entries.items() - before.entries.items():
            below = path + b"/" + name if path else name
            was = before.entries.get(name)
            kind = kind_of(mode)
            if kind == EntryKind.TREE:
                is_tree = was is not None and kind_of(was[0]) == EntryKind.TREE
                self._compare(was[1] if was is not None and is_tree else None, oid, below, found)
            elif self._lfs and kind in FILE_KINDS:
                pointer = self._pointer(oid)
                if pointer is not None:
                    found[below] = pointer
                elif was is not None and kind_of(was[0]) in FILE_KINDS:
                    found.update({below: None} if self._pointer(was[1]) is not None else {})

    def _pointer(self, oid: Oid) -> bytes | None:
        pointer = self._source.pointer(oid)
        if pointer is None:
            return None
        data = self._source.read(oid)
        return b"" if pointer.encode() == data else data
