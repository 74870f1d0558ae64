"""The index finds every object of its pack, and refuses to be anything but what its pack's id says."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.objects.packindex import (
    NO_BASE,
    DamagedIndexError,
    Frame,
    PackIndex,
    Place,
    encode_index,
    pack_id_of,
    record,
)

SALT = bytes(16)


def encoded(places, frames=()):
    return encode_index(1, list(frames), [record(i, p) for i, p in places], salt=SALT)


def index_of(places, frames=()):
    data = encoded(places, frames)
    return PackIndex(data, pack_id_of(data))


def some_ids(count):
    return [hashlib.sha256(b"%d" % i).digest() for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 100, 5000])
def test_every_object_is_found_and_no_other(count):
    ids = some_ids(count)
    index = index_of([(i, Place(1, n, 0, n)) for n, i in enumerate(ids)])
    assert index.count == count
    for n, i in enumerate(ids):
        assert index.find(i) == Place(1, n, 0, n)
        assert index.id_at(index.position(i)) == i
    for absent in (bytes(32), b"\xff" * 32, *(hashlib.sha256(i).digest() for i in ids[:100])):
        assert index.find(absent) is None
        assert index.position(absent) is None
        assert list(index.find_all(absent)) == []
    assert [i for i, _ in index.objects()] == sorted(ids)


@pytest.mark.parametrize("asked", [1, 5000])
def test_several_ids_are_found_as_one_by_one(asked):
    ids = [*some_ids(5000), bytes(32), b"\xff" * 32]
    index = index_of([(i, Place(1, n, 0, n)) for n, i in enumerate(some_ids(5000))])
    order = sorted(some_ids(5000))
    wanted = [*ids[-2:], *ids[:asked]]
    assert index.positions(wanted) == [None, None, *(order.index(i) for i in ids[:asked])]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=3), st.integers(1, 4)), unique=True, max_size=60),
    st.binary(max_size=3),
)
def test_ids_that_lie_close_together_are_found_too(pairs, prefix):
    """Nobody but an attacker has such ids; the search may be slow for them, not wrong."""
    places = [(head.ljust(32, b"\0"), Place(kind, 0, 0, 1)) for head, kind in pairs]
    places = list(dict.fromkeys(places))
    index = index_of(places)
    for object_id, _ in places:
        kinds = sorted(place.kind for i, place in places if i == object_id)
        assert [place.kind for place in index.find_all(object_id)] == kinds
        assert index.find(object_id).kind == kinds[0]
    absent = [b"\0" * 32, b"\1\2\3\4".ljust(32, b"\xff")]
    asked = [i for i, _ in places] + absent
    assert index.positions(asked) == [index.position(i) for i in asked]
    wanted = sorted((i, p) for i, p in places if i.startswith(prefix))
    assert list(index.find_prefix(prefix)) == wanted


def test_the_order_in_which_objects_came_leaves_no_trace():
    places = [(i, Place(1, 0, 0, 1)) for i in some_ids(100)]
    shuffled = random.Random(0).sample(places, len(places))
    assert encoded(places) == encoded(shuffled)


def test_frames_come_back():
    frames = [Frame(16, 10, 20, NO_BASE, 0), Frame(26, 2**32 - 1, 2**32 - 1, 0, 255)]
    index = index_of([], frames)
    assert [index.frame(0), index.frame(1)] == frames
    with pytest.raises(DamagedIndexError, match="frame 2"):
        index.frame(2)


def test_any_other_bytes_are_refused_naming_the_pack():
    data = encoded([(i, Place(1, 0, 0, 1)) for i in some_ids(3)], [Frame(16, 1, 1, NO_BASE, 0)])
    pack_id = pack_id_of(data)
    for at in range(0, len(data), 5):
        damaged = bytearray(data)
        damaged[at] ^= 1
        with pytest.raises(DamagedIndexError, match=pack_id.hex()):
            PackIndex(bytes(damaged), pack_id)
    for cut in (b"", data[:10], data[:-1], data + b"\0"):
        with pytest.raises(DamagedIndexError, match=pack_id.hex()):
            PackIndex(cut, pack_id)


def test_an_index_whose_lengths_contradict_is_refused_although_its_id_fits():
    data = encoded([(i, Place(1, 0, 0, 1)) for i in some_ids(3)])
    for other in (data + b"\0", data[:-1], b"x" + data[1:]):
        with pytest.raises(DamagedIndexError):
            PackIndex(other, pack_id_of(other))


def test_many_lookups_give_what_the_first_ones_gave():
    ids = sorted({bytes([n % 7]) * 12 + n.to_bytes(2, "big") * 10 for n in range(900)})
    index = index_of([(object_id, Place(1, 0, 0, 1)) for object_id in ids])
    asked = [*ids, b"\xfe" * 32, b"\xff" * 32, ids[5][:31] + b"\xff"]
    first = [index.position(ids[700])]
    found = [index.position(i) for i in asked]
    assert found == [*range(len(ids)), None, None, None]
    assert [index.position(ids[700])] == first
    assert [i for i, _ in index.find_prefix(ids[0][:3])] == [i for i in ids if i.startswith(ids[0][:3])]
