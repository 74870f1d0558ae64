"""Nodes that fit alone and not together are refused: no key comes twice and no walk goes on without end."""

import pytest

from dsvc.objects import mapdiff, mapedit, sortedmap
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import Kind, object_id
from dsvc.objects.sortedmap import Child, MapKind, decode_node, encode_node

NUMBERS = MapKind(Kind.VIEW, lambda value: value, lambda _keys, _values: None)


class Nodes:
    """Nodes in a dict."""

    def __init__(self):
        self.payloads = {}

    def put(self, kind, payload):
        node_id = object_id(kind, payload)
        self.payloads[node_id] = payload
        return node_id

    def node(self, map_kind, node_id):
        return decode_node(map_kind, self.payloads[node_id])

    def add(self, level, items):
        return self.put(Kind.VIEW, encode_node(level, items))

    def leaf(self, keys):
        return Child(self.add(0, [(key, 1) for key in keys]), len(keys), len(keys))


def questions(store, root):
    """Everything that reads the whole map or the key `d`."""
    empty = sortedmap.build(store, NUMBERS, []).id
    yield lambda: list(sortedmap.items(store, NUMBERS, root))
    yield lambda: list(sortedmap.items(store, NUMBERS, root, start=b"d"))
    yield lambda: list(sortedmap.node_ids(store, NUMBERS, root))
    yield lambda: sortedmap.get(store, NUMBERS, root, b"d")
    yield lambda: list(mapdiff.diff(store, NUMBERS, empty, root))
    yield lambda: list(mapdiff.diff(store, NUMBERS, root, empty))
    yield lambda: mapedit.update(store, NUMBERS, root, [(b"d", 7)])


def two_leaves(store):
    return [(b"b", store.leaf([b"a", b"b"])), (b"d", store.leaf([b"c", b"d"]))]


def overlapping(store):
    return 1, [(b"b", store.leaf([b"a", b"b"])), (b"d", store.leaf([b"a", b"d"]))]


def repeated(store):
    return 1, [(b"b", store.leaf([b"a", b"b"])), (b"d", store.leaf([b"b", b"d"]))]


def overlapping_across_levels(store):
    left = Child(store.add(1, two_leaves(store)[:1]), 2, 2)
    right = Child(store.add(1, [(b"d", store.leaf([b"a", b"d"]))]), 2, 2)
    return 2, [(b"b", left), (b"d", right)]


def another_last_key(store):
    return 1, [(b"b", store.leaf([b"a", b"b"])), (b"e", store.leaf([b"c", b"d"]))]


def two_levels_down(store):
    return 2, two_leaves(store)


def no_level_down(store):
    inner = Child(store.add(1, two_leaves(store)), 4, 4)
    return 1, [(b"d", inner)]


def an_empty_node(store):
    return 1, [(b"b", store.leaf([b"a", b"b"])), (b"d", store.leaf([]))]


def a_tower(store):
    child = store.leaf([b"d"])
    for _ in range(2000):
        child = Child(store.add(1, [(b"d", child)]), 1, 1)
    return 1, [(b"d", child)]


@pytest.mark.parametrize(
    "shape",
    [
        overlapping,
        repeated,
        overlapping_across_levels,
        another_last_key,
        two_levels_down,
        no_level_down,
        an_empty_node,
        a_tower,
    ],
)
def test_nodes_that_do_not_fit_are_refused(shape):
    store = Nodes()
    root = store.add(*shape(store))
    for question in questions(store, root):
        with pytest.raises(BadEncodingError):
            question()


def test_nodes_that_fit_are_read():
    store = Nodes()
    root = store.add(1, two_leaves(store))
    for question in questions(store, root):
        question()
    assert [key for key, _ in sortedmap.items(store, NUMBERS, root)] == [b"a", b"b", b"c", b"d"]
