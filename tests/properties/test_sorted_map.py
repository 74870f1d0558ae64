"""The sorted map has one shape, whatever led to it, and costs what the change costs."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.objects import codec, mapdiff, mapedit, sortedmap
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import Kind, ObjectId, object_id
from dsvc.objects.sortedmap import MapKind, decode_node

NUMBERS = MapKind(Kind.VIEW, lambda value: value, lambda _keys, _values: None)


class Nodes:
    """Nodes in a dict that counts what is written and read."""

    def __init__(self):
        self.payloads, self.written, self.read = {}, 0, 0

    def put(self, kind, payload):
        node_id = object_id(kind, payload)
        self.written += 0 if node_id in self.payloads else len(payload)
        self.payloads[node_id] = payload
        return node_id

    def node(self, map_kind, node_id):
        self.read += 1
        return decode_node(map_kind, self.payloads[node_id])


def many(count, salt=""):
    return {hashlib.sha256(f"{salt}{i}".encode()).hexdigest()[:12].encode(): i for i in range(count)}


keys = st.binary(min_size=1, max_size=3)
small = st.dictionaries(keys, st.integers(0, 5), max_size=400)


@settings(max_examples=60, deadline=None)
@given(small, st.lists(st.tuples(keys, st.none() | st.integers(0, 5)), max_size=200), st.integers(0, 3000))
def test_an_edited_map_is_the_map_built_from_scratch(start, changes, extra):
    start = start | many(extra)
    store = Nodes()
    root = sortedmap.build(store, NUMBERS, sorted(start.items()))
    edited = mapedit.update(store, NUMBERS, root.id, changes)
    for key, value in changes:
        start.pop(key, None) if value is None else start.__setitem__(key, value)
    assert edited == sortedmap.build(store, NUMBERS, sorted(start.items()))
    assert list(sortedmap.items(store, NUMBERS, edited.id)) == sorted(start.items())
    assert edited.count == len(start)
    assert edited.weight == sum(start.values())
    assert edited == sortedmap.root_of(store, NUMBERS, edited.id)


@settings(max_examples=60, deadline=None)
@given(small, small, st.integers(0, 2000))
def test_diff_tells_exactly_the_keys_that_differ(left, right, extra):
    store, common = Nodes(), many(extra)
    left, right = left | common, right | common
    a = sortedmap.build(store, NUMBERS, sorted(left.items()))
    b = sortedmap.build(store, NUMBERS, sorted(right.items()))
    expected = [(k, left.get(k), right.get(k)) for k in sorted(left | right) if left.get(k) != right.get(k)]
    assert list(mapdiff.diff(store, NUMBERS, a.id, b.id)) == expected


@settings(max_examples=100, deadline=None)
@given(small, small, st.integers(0, 4000), st.sampled_from([b"", b"5", b"a", b"ff", b"\x00", b"\xff", b"\xff\xff"]))
def test_diff_of_two_stores_below_a_prefix(left, right, extra, prefix):
    here, there, common = Nodes(), Nodes(), many(extra)
    left, right = left | common, right | common | many(3, "more")
    a = sortedmap.build(here, NUMBERS, sorted(left.items()))
    b = sortedmap.build(there, NUMBERS, sorted(right.items()))
    names = sorted(key for key in left | right if key.startswith(prefix))
    expected = [(k, left.get(k), right.get(k)) for k in names if left.get(k) != right.get(k)]
    assert list(mapdiff.diff(here, NUMBERS, a.id, b.id, new_store=there, prefix=prefix)) == expected


def test_diff_below_a_prefix_reads_what_differs_there():
    store = Nodes()
    base = {b"m/" + key: value for key, value in many(100_000).items()}
    root = sortedmap.build(store, NUMBERS, sorted(base.items()))
    around = [(part + key, value) for part in (b"a/", b"z/") for key, value in many(20_000).items()]
    edited = mapedit.update(store, NUMBERS, root.id, [*around, (b"m/5555", 7)])
    store.read = 0
    assert list(mapdiff.diff(store, NUMBERS, root.id, edited.id, prefix=b"m/")) == [(b"m/5555", None, 7)]
    assert store.read < 30


def test_one_change_among_many_reads_and_writes_a_few_nodes():
    store = Nodes()
    root = sortedmap.build(store, NUMBERS, sorted(many(200_000).items()))
    store.written = store.read = 0
    edited = mapedit.update(store, NUMBERS, root.id, [(b"5" * 12, 7)])
    assert store.read < 12
    assert store.written < 120_000
    store.read = 0
    assert list(mapdiff.diff(store, NUMBERS, root.id, edited.id)) == [(b"5" * 12, None, 7)]
    assert store.read < 20


def test_removing_everything_gives_the_empty_map():
    store, items = Nodes(), many(5000)
    root = sortedmap.build(store, NUMBERS, sorted(items.items()))
    empty = mapedit.update(store, NUMBERS, root.id, [(k, None) for k in items])
    assert empty == sortedmap.build(store, NUMBERS, [])
    assert list(sortedmap.items(store, NUMBERS, empty.id)) == []


def test_lookups_and_prefixes():
    store, items = Nodes(), many(5000)
    root = sortedmap.build(store, NUMBERS, sorted(items.items()))
    for key in list(items)[::97]:
        assert sortedmap.get(store, NUMBERS, root.id, key) == items[key]
    assert sortedmap.get(store, NUMBERS, root.id, b"zzz") is None
    found = list(sortedmap.items_with_prefix(store, NUMBERS, root.id, b"ab"))
    assert found == sorted((k, v) for k, v in items.items() if k.startswith(b"ab"))
    assert found


def adversarial(count, level_hit):
    """Keys that all end a node, or none of them."""
    found, number = [], 0
    while len(found) < count:
        key = b"%09d" % number
        if sortedmap.is_boundary(key, 0) == level_hit:
            found.append(key)
        number += 1
    return found


@pytest.mark.parametrize("hit", [False, True])
def test_adversarial_keys_do_not_make_the_map_deep(hit):
    store, count = Nodes(), 3000
    root = sortedmap.build(store, NUMBERS, [(k, 1) for k in adversarial(count, hit)])
    usual = sortedmap.build(store, NUMBERS, sorted(many(count).items()))
    depth, usual_depth = (store.node(NUMBERS, r.id).level + 1 for r in (root, usual))
    assert depth <= 2 * usual_depth


@pytest.mark.parametrize(
    "flat",
    [
        [0, b"b", 1, b"a", 1],
        [0, b"a", 1, b"a", 1],
        [0, b"a"],
        [1],
        [-1],
        [True, b"a", 1],
        ["0"],
        [],
        [0, "a", 1],
        [1, b"a", 5],
        [1, b"a", [b"short", 1, 1]],
        [0] + [x for i in range(sortedmap.MAX_ENTRIES + 1) for x in (b"%06d" % i, 1)],
        [0] + [x for key in adversarial(sortedmap.MIN_ENTRIES + 1, True) for x in (key, 1)],
    ],
)
def test_a_node_of_any_other_shape_is_refused(flat):
    with pytest.raises(BadEncodingError):
        decode_node(NUMBERS, codec.encode_plain(flat))


def test_an_id_names_one_node():
    assert ObjectId(object_id(Kind.VIEW, b"x")) != object_id(Kind.TREE, b"x")
