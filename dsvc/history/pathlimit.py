"""Which commits changed given paths, and which parents matter for them: git's default history simplification."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from dsvc.history.ancestry import Ancestry
from dsvc.history.changedpaths import LOOK, NO, YES
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.tree import Entry

_PASSED = 255  # a flag beside those of `touching`: where the way on from here is known
_FEW = 8  # paths that are looked up one by one rather than by a comparison of trees


class PathLimit:
    """The history of some paths. What is found about a commit is kept as long as this object."""

    def __init__(
        self,
        ancestry: Ancestry,
        store: NodeStore,
        paths: Sequence[bytes],
        *,
        parents: Callable[[int], Sequence[int]],
        inside: Container[int] | None = None,
        edge: Container[int] = (),
    ) -> None:
        """`parents` gives the parents of a node that count, `inside` the nodes to which the walk may go (None: all).

        A merge that equals a parent in `edge`, where the walk was told to end, is left out as if it went on there.
        """
        self._ancestry, self._store, self._parents = ancestry, store, parents
        self._inside, self._edge = inside, edge
        self._paths = tuple(path.strip(b"/") for path in paths)
        self._found: dict[int, tuple[bool, Sequence[int]]] = {}
        self._entries: dict[tuple[TreeId, bytes], Entry | None] = {}
        self._nearest: dict[int, int | None] = {}
        self._touching = ancestry.touching(self._paths)
        self._flags = bytearray(self._touching)
        self._jumps: dict[int, int] = {}

    def shown(self, node: int) -> bool:
        """Say whether the commit differs in these paths from every parent."""
        return self._simplified(node)[0]

    def followed(self, node: int) -> Sequence[int]:
        """Return the parents that matter: the first one that is equal in these paths, or else all.

        Where the index of changed paths knows that nothing happened for a while, the walk goes on behind that.
        """
        return self._simplified(node)[1]

    def rewritten(self, node: int) -> list[int]:
        """Return the nearest shown commits below, along the parents that matter, each once."""
        found = (self._nearest_shown(parent) for parent in self.followed(node))
        return list(dict.fromkeys(parent for parent in found if parent is not None))

    def _nearest_shown(self, node: int) -> int | None:
        passed: list[int] = []
        at: int | None = node
        while at is not None and not self.shown(at):
            if at in self._nearest:
                at = self._nearest[at]
                break
            passed.append(at)
            below = self.followed(at)
            at = below[0] if below else None  # a commit that is not shown equals one parent, or is a first one
        self._nearest.update(dict.fromkeys(passed, at))
        return at

    def _simplified(self, node: int) -> tuple[bool, Sequence[int]]:
        found = self._found.get(node)
        if found is None:
            shown, parents = self._simplify(node, self._parents(node))
            found = shown, tuple(dict.fromkeys(self._skipped(parent) for parent in parents))
            self._found[node] = found
        return found

    def _skipped(self, node: int) -> int:
        """Return the first commit, from this one along first parents, that need not be equal to the next."""
        touching = self._touching
        if node >= len(touching):
            return node
        if self._inside is not None:
            while touching[node] == NO and (parents := self._parents(node)) and parents[0] in self._inside:
                node = parents[0]
            return node
        target, passed = self._ancestry.skip(node, self._flags)
        if self._flags[target] == _PASSED:
            target = self._jumps[target]
        for number in passed:
            if number != target:
                self._flags[number], self._jumps[number] = _PASSED, target
        return target

    def _simplify(self, node: int, parents: Sequence[int]) -> tuple[bool, Sequence[int]]:
        if not parents:
            return self._differs_from_first(node, None), ()
        inner = parents if self._inside is None else [parent for parent in parents if parent in self._inside]
        ends = [parent for parent in parents if parent in self._edge]
        for parent in parents:
            if (parent in inner or parent in ends) and self._equal(node, parent, first=parent == parents[0]):
                return False, (parent,) if parent in inner else ()
        # Another parent that the walk hides is no reason to leave the rest out; it counts where there is no other.
        shown = bool(inner or ends) or any(not self._equal(node, p, first=p == parents[0]) for p in parents)
        return shown, inner

    def _equal(self, node: int, parent: int, *, first: bool) -> bool:
        if first:
            return not self._differs_from_first(node, parent)
        return not self._differs(self._ancestry.tree(parent), self._ancestry.tree(node))

    def _differs_from_first(self, node: int, parent: int | None) -> bool:
        known = self._touching[node] if node < len(self._touching) else LOOK
        if known != LOOK:
            return known == YES
        return self._differs(None if parent is None else self._ancestry.tree(parent), self._ancestry.tree(node))

    def _differs(self, old: TreeId | None, new: TreeId) -> bool:
        if old == new:
            return False
        if len(self._paths) > _FEW or b"" in self._paths:
            return next(diff_trees(self._store, old, new, paths=self._paths), None) is not None
        return any(self._entry(old, path) != self._entry(new, path) for path in self._paths)

    def _entry(self, tree: TreeId | None, path: bytes) -> Entry | None:
        if tree is None:
            return None
        key = tree, path
        if key not in self._entries:
            if len(self._entries) > 10_000:
                self._entries.clear()
            self._entries[key] = trees.lookup(self._store, tree, path)
        return self._entries[key]
