"""What differs between two sorted maps, without reading the nodes they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dsvc.objects.ids import ObjectId
from dsvc.objects.sortedmap import Item, MapKind, NodeStore, child_node

Difference = tuple[bytes, Any | None, Any | None]


def diff(
    store: NodeStore,
    map_kind: MapKind,
    old: ObjectId,
    new: ObjectId,
    *,
    new_store: NodeStore | None = None,
    prefix: bytes = b"",
) -> Iterator[Difference]:
    """Yield (key, old value or None, new value or None) in order of keys, for keys whose values differ.

    Only keys that begin with `prefix` are looked at. `new_store` has the nodes of the new map, where that is another
    store. Shared nodes are skipped when both sides stand at their beginning, which is where they meet again at the
    latest one node behind a difference.
    """
    if old == new:
        return
    left = _Walk(store, map_kind, old, prefix)
    right = _Walk(new_store or store, map_kind, new, prefix)
    for found in _differences(left, right):
        if found[0].startswith(prefix):
            yield found


def _differences(left: _Walk, right: _Walk) -> Iterator[Difference]:
    while left.head is not None and right.head is not None:
        if left.level or right.level:
            if left.level == right.level and left.head[1].id == right.head[1].id:
                left.skip()
                right.skip()
            elif left.level == right.level == 1 and left.head[0] == right.head[0]:
                yield from _between(left.leaf(), right.leaf())  # what lies before both was compared, both end alike
                left.skip()
                right.skip()
            elif left.level >= right.level:
                left.descend()
            else:
                right.descend()
            continue
        (key, a), (other, b) = left.head, right.head
        if key < other:
            yield key, a, None
            left.skip()
        elif other < key:
            yield other, None, b
            right.skip()
        else:
            if a != b:
                yield key, a, b
            left.skip()
            right.skip()
    yield from ((key, value, None) for key, value in left.rest())
    yield from ((key, None, value) for key, value in right.rest())


def _between(old: Sequence[Item], new: Sequence[Item]) -> Iterator[Difference]:
    """Yield what differs between two runs of items over the same part of the keys."""
    if len(old) == len(new):
        unequal = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        if all(a[0] == b[0] for a, b in unequal):
            yield from ((key, a, b) for (key, a), (_, b) in unequal)
            return
    left, right = dict(old), dict(new)
    keys = [key for key, value in old if right.get(key) != value]
    keys += [key for key in right if key not in left]
    yield from ((key, left.get(key), right.get(key)) for key in sorted(keys))


class _Walk:
    """A walk over a map whose head is an item (level 0) or a whole node below an inner one (its level).

    What lies before the keys with a prefix or behind them is passed by, as far as it fills whole nodes.
    """

    __slots__ = ("_after", "_end", "_map_kind", "_stack", "_start", "_store", "head", "level")

    def __init__(self, store: NodeStore, map_kind: MapKind, root_id: ObjectId, prefix: bytes) -> None:
        self._store, self._map_kind = store, map_kind
        self._start, self._end = prefix, behind(prefix)
        node = store.node(map_kind, root_id)
        self._stack = [(iter(node.items), node.level)]
        self.head: Item | None = None
        self.level = 0
        self._after: bytes | None = None  # the last key that was passed
        self._next()

    def skip(self) -> None:
        """Go on behind the head."""
        if self.head is not None:
            self._after = self.head[0]
        self._next()

    def _next(self) -> None:
        while self._stack:
            iterator, self.level = self._stack[-1]
            self.head = next(iterator, None)
            if self.head is None:
                self._stack.pop()
            elif self.head[0] < self._start:
                self._after = self.head[0]
            elif self._is_behind():
                break
            else:
                return
        self._stack = []
        self.head, self.level = None, 0

    def _is_behind(self) -> bool:
        """Say whether the head lies behind the keys that are looked at; of a node only where it begins behind them."""
        if self._end is None or self.head is None:
            return False
        passed = self._after is not None and self._after >= self._end
        return passed or (not self.level and self.head[0] >= self._end)

    def descend(self) -> None:
        """Go from a node to its first entry."""
        assert self.head is not None
        node = child_node(self._store, self._map_kind, self.level, self.head, self._after)
        self._stack.append((iter(node.items), node.level))
        self._next()

    def leaf(self) -> Sequence[Item]:
        """Return the items of the node of level 0 that is the head."""
        assert self.head is not None
        return child_node(self._store, self._map_kind, 1, self.head, self._after).items

    def rest(self) -> Iterator[Item]:
        """Yield all items that remain."""
        while self.head is not None:
            if self.level:
                self.descend()
            else:
                yield self.head
                self.skip()


def behind(prefix: bytes) -> bytes | None:
    """Return the least key that is above all that begin with `prefix`, None where there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None
