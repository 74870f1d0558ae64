"""Nodes that are read again are what they were, and what was refused once is refused again."""

import pytest

from dsvc.errors import IntegrityError
from dsvc.objects import codec
from dsvc.objects.ids import Kind, object_id
from dsvc.objects.nodes import Nodes
from dsvc.objects.sortedmap import Child, decode_node, encode_node
from dsvc.objects.tree import EntryKind
from dsvc.objects.trees import TREES

FILE = (int(EntryKind.FILE), bytes(32), 5)


@pytest.fixture
def payloads():
    return {}


@pytest.fixture
def nodes(payloads):
    return Nodes(lambda node_id, _kind: payloads[node_id])


def add(payloads, payload):
    node_id = object_id(Kind.TREE, payload)
    payloads[node_id] = payload
    return node_id


def leaf(payloads, names, value=FILE):
    return add(payloads, encode_node(0, [(name, value) for name in names]))


def forget(nodes, payloads):
    """Read so many others that nothing is kept."""
    for number in range(600):
        nodes.get(TREES, leaf(payloads, [b"other %d" % number]))


def test_a_node_that_is_read_again_is_the_same(nodes, payloads):
    below = leaf(payloads, [b"a", b"b"])
    above = add(payloads, encode_node(1, [(b"b", Child(below, 2, 10))]))
    empty = add(payloads, encode_node(0, []))
    first = {node_id: nodes.get(TREES, node_id) for node_id in (below, above, empty)}
    forget(nodes, payloads)
    for node_id, node in first.items():
        again = nodes.get(TREES, node_id)
        assert again is not node, "it was kept: nothing is tested here"
        assert again == node == decode_node(TREES, payloads[node_id])
    assert nodes.get(TREES, above).items[0][1].entries == 2


@pytest.mark.parametrize(
    ("level", "items"),
    [
        (0, [(b"a", FILE), (b"..", FILE)]),  # not in order
        (0, [(b"..", FILE), (b"a", FILE)]),
        (0, [(b".git", FILE), (b"a", FILE)]),
        (0, [(b"a", (9, bytes(32), 5)), (b"b", FILE)]),
        (1, [(b"b", (b"short", 2, 10))]),
    ],
)
def test_a_node_that_is_refused_is_refused_each_time(nodes, payloads, level, items):
    nodes.get(TREES, leaf(payloads, [b"a", b"b"]))  # the same names, and well-formed
    bad = add(payloads, codec.encode_plain([level, *(part for item in items for part in item)]))
    for _ in range(3):
        with pytest.raises(IntegrityError):
            nodes.get(TREES, bad)
        forget(nodes, payloads)
