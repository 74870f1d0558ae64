"""One value, one byte sequence: what decode accepts is exactly what encode writes."""

import math

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, decode, encode

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, 127, 128, 255, 256, -32, -33, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=20).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), inner, max_size=20)
    ),
    max_leaves=25,
)


def same(a, b):
    """Say whether two values are equal in type and content; every NaN is the same."""
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


@settings(deadline=None)
@given(values)
def test_a_value_comes_back_and_has_one_encoding(value):
    payload = encode(value)
    again = decode(payload)
    assert same(again, value)
    assert encode(again) == payload
    assert same(decode(memoryview(payload)), value)


@settings(deadline=None)
@given(values, values)
def test_equal_bytes_are_equal_values(left, right):
    assert (encode(left) == encode(right)) == same(left, right)


def accepted(payload):
    try:
        value = decode(payload)
    except BadEncodingError:
        return
    assert encode(value) == payload


@settings(deadline=None, max_examples=300)
@given(values, st.data())
def test_changed_bytes_are_refused_or_another_value_in_its_one_form(value, data):
    payload = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload)))
        match data.draw(st.sampled_from(["set", "insert", "remove", "cut"])):
            case "set" if at < len(payload):
                payload[at] = data.draw(st.integers(0, 255))
            case "insert":
                payload.insert(at, data.draw(st.integers(0, 255)))
            case "remove":
                del payload[at : at + 1]
            case _:
                del payload[at:]
    accepted(bytes(payload))


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_canonical(payload):
    accepted(payload)


@settings(deadline=None)
@given(values)
def test_what_msgpack_writes_otherwise_is_refused(value):
    """Other writers of the same values: floats of 32 bits, texts as bytes, maps in another order."""
    for options in ({"use_single_float": True}, {"use_bin_type": False}):
        try:
            payload = msgpack.packb(value, **options)
        except (OverflowError, ValueError, TypeError):
            continue
        accepted(payload)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1) | st.binary() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_plain_values_have_the_same_bytes(value):
    assert codec.encode_plain(value) == encode(value)
    assert codec.decode_plain(encode(value)) == tuple(value)


@given(st.text(), st.characters(categories=["Cs"]), st.text())
def test_lone_surrogates_are_refused(before, surrogate, after):
    text = before + surrogate + after
    for value in (text, {text: 1}, [text]):
        with pytest.raises(codec.UnsupportedValueError):
            encode(value)
