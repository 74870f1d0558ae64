"""A sorted map from byte keys to small values, stored as content-defined nodes.

Directories and views are such maps. A node ends behind a key that a hash of (key, level) picks, at the earliest
behind `MIN_ENTRIES` and at the latest behind `MAX_ENTRIES`, counted from the node's start; the level above maps the
last key of each node to (id, count, weight). The nodes follow from the entries alone, whatever the order of inserts
and deletes that led to them, so equal maps have equal ids and similar maps share nodes. docs/formats/sorted-map.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import lt
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, Kind, ObjectId

MIN_ENTRIES = 64
MAX_ENTRIES = 1024
MAX_LEVEL = 12
_BITS = 8  # one key in 2**_BITS ends a node
_SPREAD = 0x9E3779B1
_PICKED = 0xFFFFFFFF & ~(0xFFFFFFFF >> _BITS)  # the high bits of a 32-bit number

Item = tuple[bytes, Any]  # a key and its value: anything of the codec without maps and floats


class Child(NamedTuple):
    """What an inner node says of the node below: its id, how many items lie below it, their summed weight."""

    id: bytes
    entries: int
    weight: int


class Node(NamedTuple):
    """One stored node: level 0 holds the map's items, level n maps last keys to `Child`."""

    level: int
    items: tuple[Item, ...]


class MapKind(NamedTuple):
    """A use of the sorted map: its object kind, what an entry weighs, and what its decoder refuses."""

    kind: Kind
    weight: Callable[[Any], int]
    check: Callable[[Sequence[bytes], Sequence[Any]], None]


class NodeStore(Protocol):
    """Where nodes lie."""

    def put(self, kind: Kind, payload: bytes) -> ObjectId:
        """Store a node and return its id."""

    def node(self, map_kind: MapKind, node_id: ObjectId) -> Node:
        """Return a decoded node."""


def is_boundary(key: bytes, level: int) -> bool:
    """Say whether a node of `level` that has `MIN_ENTRIES` entries ends behind `key`.

    CRC-32 alone is linear in the key; the multiplication (Knuth's 2654435761) spreads it over the high bits.
    """
    return not crc32(key, level) * _SPREAD & _PICKED


def _has_boundary(keys: Iterable[bytes], level: int) -> bool:
    """Say whether one of the keys is a boundary: `is_boundary` inlined, for decoding runs over every key."""
    return 0 in [crc32(key, level) * _SPREAD & _PICKED for key in keys]


def encode_node(level: int, items: Sequence[Item]) -> bytes:
    """Return the bytes of a node."""
    flat: list[Any] = [level]
    for item in items:
        flat += item
    return codec.encode_plain(flat)


def decode_node(map_kind: MapKind, payload: bytes) -> Node:
    """Return the node that `payload` encodes, checked for everything that can be seen from the node alone.

    Raises:
        BadEncodingError: when keys are not in ascending order, a node is too long or should have ended earlier,
            or a value is not of the map's kind. BadNameError for names that no directory may hold.
    """
    flat = codec.decode_plain(payload)
    level, keys, values = (flat[0] if flat else -1), flat[1::2], flat[2::2]
    if not isinstance(level, int) or isinstance(level, bool) or not 0 <= level <= MAX_LEVEL:
        raise BadEncodingError("a map node has no valid level")
    if len(keys) != len(values) or len(keys) > MAX_ENTRIES or (level and not keys):
        raise BadEncodingError("a map node has a bad number of entries")
    if not set(map(type, keys)) <= {bytes}:
        raise BadEncodingError("a map node's keys are not in ascending order")
    _check_keys(level, keys)
    if level:
        values = tuple(_child(value) for value in values)
    else:
        map_kind.check(keys, values)  # type: ignore[arg-type]
    return Node(level, tuple(zip(keys, values, strict=True)))  # type: ignore[arg-type]


@lru_cache(maxsize=64)  # versions of a node, which are read one behind the other, mostly have the same keys
def _check_keys(level: int, keys: tuple[bytes, ...]) -> None:
    if not all(map(lt, keys, keys[1:])):
        raise BadEncodingError("a map node's keys are not in ascending order")
    if _has_boundary(keys[MIN_ENTRIES - 1 : -1], level):
        raise BadEncodingError("a map node should have ended earlier")


def decode_again(payload: bytes) -> Node:
    """Return what `decode_node` returned for these bytes before: they are not checked."""
    level, *flat = codec.decode_unchecked(payload)
    values = map(Child._make, flat[1::2]) if level else flat[1::2]  # type: ignore[arg-type]
    return Node(level, tuple(zip(flat[::2], values, strict=True)))  # type: ignore[arg-type]


def _child(value: object) -> Child:
    if type(value) is tuple and len(value) == 3:
        node_id, count, weight = value
        if type(node_id) is bytes and len(node_id) == ID_LENGTH and type(count) is int and type(weight) is int:
            return Child(node_id, count, weight)
    raise BadEncodingError("an inner map node has a bad entry")


def child_node(store: NodeStore, map_kind: MapKind, level: int, entry: Item, after: bytes | None) -> Node:
    """Return the node that `entry` of a node of `level` names; the key before that entry in the map is `after`.

    Raises:
        BadEncodingError: when it does not lie one level below, end with the entry's key, and begin behind `after`.
            So no key comes twice, and no walk goes deeper than `MAX_LEVEL`.
    """
    key, child = entry
    node = store.node(map_kind, ObjectId(child.id))
    if node.level != level - 1 or not node.items or node.items[-1][0] != key:
        raise BadEncodingError(f"map node {child.id.hex()} does not fit the node above it")
    if after is not None and node.items[0][0] <= after:
        raise BadEncodingError(f"map node {child.id.hex()} overlaps the node before it")
    return node


@dataclass(frozen=True, slots=True)
class MapRoot:
    """A stored map: the id of its root node, its number of entries and their summed weight."""

    id: ObjectId
    count: int
    weight: int


def build(store: NodeStore, map_kind: MapKind, items: Iterable[Item]) -> MapRoot:
    """Store the map with these items, given in ascending order of distinct keys, and return its root."""
    return _build_from(store, map_kind, items, 0)


def _build_from(store: NodeStore, map_kind: MapKind, items: Iterable[Item], level: int) -> MapRoot:
    while True:
        nodes = [_put(store, map_kind, level, part) for part in _split(items, level)]
        if not nodes:
            return _as_root(_put(store, map_kind, 0, [])[1])
        if len(nodes) == 1:
            child = nodes[0][1]
            return _as_root(child)
        items, level = nodes, level + 1


def _as_root(child: Child) -> MapRoot:
    return MapRoot(ObjectId(child.id), child.entries, child.weight)


def _split(items: Iterable[Item], level: int) -> Iterator[list[Item]]:
    part: list[Item] = []
    size = 0
    for item in items:
        part.append(item)
        size += 1
        if size >= MIN_ENTRIES and (size == MAX_ENTRIES or is_boundary(item[0], level)):
            yield part
            part, size = [], 0
    if part:
        yield part


def _ends(part: list[Item], level: int) -> bool:
    size = len(part)
    return size >= MIN_ENTRIES and (size == MAX_ENTRIES or is_boundary(part[-1][0], level))


def _put(store: NodeStore, map_kind: MapKind, level: int, part: list[Item]) -> tuple[bytes, Child]:
    if level:
        count, weight = sum(c.entries for _, c in part), sum(c.weight for _, c in part)
    else:
        count, weight = len(part), sum(map(map_kind.weight, (v for _, v in part)))
    node_id = store.put(map_kind.kind, encode_node(level, part))
    return (part[-1][0] if part else b"", Child(node_id, count, weight))


def root_of(store: NodeStore, map_kind: MapKind, root_id: ObjectId) -> MapRoot:
    """Return what is known of the map whose root node has this id."""
    node = store.node(map_kind, root_id)
    if node.level:
        return MapRoot(root_id, sum(c.entries for _, c in node.items), sum(c.weight for _, c in node.items))
    return MapRoot(root_id, len(node.items), sum(map_kind.weight(v) for _, v in node.items))


def get(store: NodeStore, map_kind: MapKind, root_id: ObjectId, key: bytes) -> Any | None:
    """Return the value of `key`, or None where the map has no such key."""
    node, after = store.node(map_kind, root_id), None
    while node.level:
        index = _first_at_least(node.items, key)
        if index == len(node.items):
            return None
        after = node.items[index - 1][0] if index else after
        node = child_node(store, map_kind, node.level, node.items[index], after)
    index = _first_at_least(node.items, key)
    if index < len(node.items) and node.items[index][0] == key:
        return node.items[index][1]
    return None


def _first_at_least(items: Sequence[Item], key: bytes) -> int:
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle][0] < key:
            low = middle + 1
        else:
            high = middle
    return low


def items(store: NodeStore, map_kind: MapKind, root_id: ObjectId, *, start: bytes = b"") -> Iterator[Item]:
    """Yield the items in order of their keys, from the first key that is not below `start`."""
    return _items(store, map_kind, store.node(map_kind, root_id), start, None)


def _items(store: NodeStore, map_kind: MapKind, node: Node, start: bytes, after: bytes | None) -> Iterator[Item]:
    first = _first_at_least(node.items, start) if start else 0
    if not node.level:
        yield from node.items[first:] if first else node.items
        return
    for index in range(first, len(node.items)):
        after = node.items[index - 1][0] if index else after
        below = child_node(store, map_kind, node.level, node.items[index], after)
        yield from _items(store, map_kind, below, start if index == first else b"", after)


def items_with_prefix(store: NodeStore, map_kind: MapKind, root_id: ObjectId, prefix: bytes) -> Iterator[Item]:
    """Yield the items whose keys begin with `prefix`, in order."""
    for key, value in items(store, map_kind, root_id, start=prefix):
        if not key.startswith(prefix):
            return
        yield key, value


def node_ids(store: NodeStore, map_kind: MapKind, root_id: ObjectId) -> Iterator[tuple[ObjectId, Node]]:
    """Yield the id and content of every node of the map, parents first."""
    return _node_ids(store, map_kind, root_id, store.node(map_kind, root_id), None)


def _node_ids(
    store: NodeStore, map_kind: MapKind, node_id: ObjectId, node: Node, after: bytes | None
) -> Iterator[tuple[ObjectId, Node]]:
    yield node_id, node
    if node.level:
        for entry in node.items:
            below = child_node(store, map_kind, node.level, entry, after)
            yield from _node_ids(store, map_kind, ObjectId(entry[1].id), below, after)
            after = entry[0]
