"""Series: what is written is read, in little memory, and summaries are right."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.objects.codec import BadEncodingError
from dsvc.objects.store import ObjectStore
from dsvc.runs.series import (
    BLOCK,
    Point,
    SeriesWriter,
    decode_block,
    decode_series,
    encode_block,
    encode_series,
    read_series,
)
from dsvc.storage.memory import MemoryBackend

VALUES = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=5), st.integers(-(2**70), 2**70)
)
POINTS = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**62), VALUES), min_size=1, max_size=50)


@pytest.fixture
def store(tmp_path):
    return ObjectStore(MemoryBackend(), lambda: tmp_path)


def same(a, b):
    return type(a) is type(b) and (a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)))


@given(POINTS)
def test_a_block_gives_back_its_points(points):
    found = decode_block(encode_block(*map(list, zip(*points, strict=True))))
    assert [(p.step, p.time) for p in found] == [(step, time) for step, time, _ in points]
    assert all(same(p.value, value) for p, (_, _, value) in zip(found, points, strict=True))


@given(st.binary(max_size=100))
def test_no_block(data):
    with pytest.raises(BadEncodingError):
        decode_block(data)


def test_many_series_in_any_order(store):
    writer = SeriesWriter(io.BytesIO())
    count = 3 * BLOCK + 7
    for number in range(count):
        writer.add("loss", Point(number, number * 10, 1 / (number + 1)))
        if number % 3 == 0:
            writer.add("acc", Point(number, number * 10, number))
    writer.add("text", Point(0, 0, "a"))
    writer.add("nan", Point(0, 0, math.nan))
    writer.add("nan", Point(1, 0, math.inf))
    assert writer.next_step("loss") == count
    assert writer.next_step("new") == 0
    series, file = writer.finish(store)
    by_name = {one.name: one for one in series}
    assert [one.name for one in series] == ["acc", "loss", "nan", "text"]
    loss = by_name["loss"]
    assert (loss.count, loss.last_step) == (count, count - 1)
    assert (loss.last, loss.least, loss.most) == (1 / count, 1 / count, 1.0)
    assert (by_name["nan"].least, by_name["nan"].most) == (math.inf, math.inf)
    assert (by_name["text"].least, by_name["text"].last) == (None, "a")
    for one in series:
        points = list(read_series(store, file, one))
        assert len(points) == one.count
        assert same(points[-1].value, one.last)
        assert decode_series(encode_series(one)) == one
    assert [p.step for p in read_series(store, file, loss)] == list(range(count))


def test_too_many_series_are_counted(store):
    writer = SeriesWriter(io.BytesIO())
    for number in range(10_100):
        writer.add(str(number), Point(0, 0, 1.0))
    series, _ = writer.finish(store)
    assert (len(series), writer.refused) == (10_000, 100)


def test_nothing(store):
    assert SeriesWriter(io.BytesIO()).finish(store) == ((), None)
