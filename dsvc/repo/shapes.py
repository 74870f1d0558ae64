"""Check what a single map node cannot show: that nodes fit the ones above them, and maps have their one shape."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.ids import Kind, ObjectId
from dsvc.objects.sortedmap import MAX_ENTRIES, MIN_ENTRIES, Child, MapKind, Node, decode_node, is_boundary
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import EntryKind
from dsvc.objects.trees import TREES
from dsvc.objects.values import decode_commit, decode_operation
from dsvc.refs.view import VIEWS

_REMEMBERED = 100_000  # nodes


class ShapeError(IntegrityError):
    """Nodes that are sound each by itself do not make up a map as a writer would have written it."""


class _Facts(NamedTuple):
    """What the node above says of a node, and whether a further node may follow it."""

    level: int
    items: int
    last: bytes
    entries: int
    weight: int
    closed: bool


class Shapes:
    """Checks of maps; remembers what it learned of the nodes that it met last."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._facts: OrderedDict[bytes, _Facts] = OrderedDict()

    def check(self, kind: Kind, payload: bytes) -> None:
        """Check the maps and nodes that an object refers to.

        Raises:
            ShapeError: when one of them does not fit. IntegrityError: when one cannot be read.
        """
        if kind == Kind.COMMIT:
            self._root(TREES, decode_commit(payload).tree)
        elif kind == Kind.OPERATION:
            self._root(VIEWS, decode_operation(payload).view)
        elif kind == Kind.VIEW:
            self._below(VIEWS, decode_node(VIEWS, payload))
        elif kind == Kind.TREE:
            node = decode_node(TREES, payload)
            self._below(TREES, node)
            for name, (entry_kind, target, size) in () if node.level else node.items:
                if entry_kind == EntryKind.TREE and self._root(TREES, target).weight != size:
                    raise ShapeError(f"directory {name!r} has another size than the directory above says")

    def _root(self, map_kind: MapKind, node_id: bytes) -> _Facts:
        facts = self._of(map_kind, node_id)
        if facts.level and facts.items < 2:
            raise ShapeError("a map has a level above its only node")
        return facts

    def _below(self, map_kind: MapKind, node: Node) -> None:
        if not node.level:
            return
        for number, (key, child) in enumerate(node.items):
            facts = self._of(map_kind, child.id)
            if facts.level != node.level - 1 or facts.last != key or not facts.items:
                raise ShapeError("a map node does not fit the node above it")
            if Child(child.id, facts.entries, facts.weight) != child:
                raise ShapeError("a map node holds another number or size of entries than the node above says")
            if number < len(node.items) - 1 and not facts.closed:
                raise ShapeError("a map node ends where it should go on")

    def _of(self, map_kind: MapKind, node_id: bytes) -> _Facts:
        facts = self._facts.get(node_id)
        if facts is None:
            facts = self._facts[node_id] = self._learn(map_kind, node_id)
            if len(self._facts) > _REMEMBERED:
                self._facts.popitem(last=False)
        return facts

    def _learn(self, map_kind: MapKind, node_id: bytes) -> _Facts:
        node = self._store.node(map_kind, ObjectId(node_id))
        count = len(node.items)
        last = node.items[-1][0] if count else b""
        closed = count >= MIN_ENTRIES and (count == MAX_ENTRIES or is_boundary(last, node.level))
        if node.level:
            closed = closed and self._of(map_kind, node.items[-1][1].id).closed
            entries = sum(child.entries for _, child in node.items)
            return _Facts(node.level, count, last, entries, sum(child.weight for _, child in node.items), closed)
        weight = sum(map_kind.weight(value) for _, value in node.items)
        return _Facts(0, count, last, count, weight, closed)
