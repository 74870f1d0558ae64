"""Change a sorted map by the cost of the change: only nodes around changed keys are read and written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dsvc.errors import IntegrityError
from dsvc.objects.ids import ObjectId
from dsvc.objects.sortedmap import (
    Child,
    Item,
    MapKind,
    MapRoot,
    Node,
    NodeStore,
    _as_root,
    _build_from,
    _ends,
    _first_at_least,
    _put,
    child_node,
    root_of,
)

Change = tuple[bytes, Any]  # a key and its new value, or None to remove it


def update(store: NodeStore, map_kind: MapKind, root_id: ObjectId, changes: Iterable[Change]) -> MapRoot:
    """Apply `changes` (a value of None removes the key) and return the new root.

    The result is the map that `build` makes of the same items. Removing a key that is not there is no error.
    """
    pending = sorted(dict(changes).items())
    if not pending:
        return root_of(store, map_kind, root_id)
    root = store.node(map_kind, root_id)
    for level in range(root.level + 1):
        at_root = level == root.level
        cursor = _Cursor(store, map_kind, root, level)
        replaced = _edit_level(store, map_kind, cursor, pending)
        if not at_root:
            pending = sorted(replaced.items())
            if not pending:
                return root_of(store, map_kind, root_id)
            continue
        nodes = [(key, child) for key, child in sorted(replaced.items()) if child is not None]
        if len(nodes) > 1:
            return _build_from(store, map_kind, nodes, level + 1)
        return _collapse(store, map_kind, nodes[0][1]) if nodes else _build_from(store, map_kind, (), 0)
    raise IntegrityError("a sorted map has no root level")


def _collapse(store: NodeStore, map_kind: MapKind, child: Child) -> MapRoot:
    """Return the root without levels that have one node only."""
    node = store.node(map_kind, ObjectId(child.id))
    while node.level and len(node.items) == 1:
        child = node.items[0][1]
        node = store.node(map_kind, ObjectId(child.id))
    return _as_root(child)


def _edit_level(
    store: NodeStore, map_kind: MapKind, cursor: _Cursor, changes: list[Change]
) -> dict[bytes, Child | None]:
    """Rewrite the nodes of one level that `changes` touch; return what that changes in the level above.

    A rewritten stretch begins at the start of an old node, where the splitter begins too, and ends where a new
    node ends together with an old one: from there on both would cut alike.
    """
    above: dict[bytes, Child | None] = {}
    position = 0
    while position < len(changes):
        cursor.seek(changes[position][0])
        part: list[Item] = []
        while True:
            old = cursor.node.items
            last = cursor.is_last()
            if old:
                above[cursor.last_key()] = None
            until = position
            while until < len(changes) and (last or changes[until][0] <= old[-1][0]):
                until += 1
            for item in _merged(old, changes[position:until]):
                part.append(item)
                if _ends(part, cursor.level):
                    key, child = _put(store, map_kind, cursor.level, part)
                    above[key] = child
                    part = []
            position = until
            if last or not part:
                break
            cursor.advance()
        if part:
            key, child = _put(store, map_kind, cursor.level, part)
            above[key] = child
    return above


def _merged(old: tuple[Item, ...], changes: list[Change]) -> Iterable[Item]:
    if not changes:
        return old
    result: list[Item] = []
    position = 0
    for key, value in changes:
        index = position + _first_at_least(old[position:], key) if position < len(old) else len(old)
        result += old[position:index]
        position = index + (index < len(old) and old[index][0] == key)
        if value is not None:
            result.append((key, value))
    result += old[position:]
    return result


class _Cursor:
    """A place among the nodes of one level, found from the root."""

    __slots__ = ("_path", "_root", "_store", "level", "map_kind", "node")

    def __init__(self, store: NodeStore, map_kind: MapKind, root: Node, level: int) -> None:
        self._store, self.map_kind, self._root, self.level = store, map_kind, root, level
        self._path: list[tuple[Node, int]] = []
        self.node = root

    def seek(self, key: bytes) -> None:
        """Go to the node that holds `key` or would hold it."""
        self._path, self.node = [], self._root
        while self.node.level > self.level:
            index = min(_first_at_least(self.node.items, key), len(self.node.items) - 1)
            self._descend(self.node, index)

    def advance(self) -> None:
        """Go to the next node of the level."""
        while self._path:
            node, index = self._path.pop()
            if index + 1 < len(node.items):
                self._descend(node, index + 1)
                while self.node.level > self.level:
                    self._descend(self.node, 0)
                return
        raise IntegrityError("a sorted map ends before its last node")

    def is_last(self) -> bool:
        """Say whether no node of the level follows."""
        return all(index + 1 == len(node.items) for node, index in self._path)

    def last_key(self) -> bytes:
        """Return the key under which the level above knows this node."""
        key: bytes = self.node.items[-1][0]
        return key

    def _descend(self, node: Node, index: int) -> None:
        self._path.append((node, index))
        before = next((n.items[i - 1][0] for n, i in reversed(self._path) if i), None)
        self.node = child_node(self._store, self.map_kind, node.level, node.items[index], before)
