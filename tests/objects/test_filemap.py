"""The map of a large file: pages that are shared between versions and never loaded all at once."""

import random

import pytest

from dsvc.objects import codec, filemap
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.filemap import MAX_PAGE, MIN_PAGE, MapBuilder, Part, chunks, decode_page, encode_page, length_of
from dsvc.objects.ids import Kind, object_id


class Pages:
    def __init__(self):
        self.payloads, self.read = {}, 0

    def put(self, payload):
        page_id = object_id(Kind.MAP_PAGE, payload)
        self.payloads[page_id] = payload
        return page_id

    def get(self, page_id):
        self.read += 1
        return decode_page(self.payloads[page_id])

    def build(self, parts):
        builder = MapBuilder(self.put)
        for part in parts:
            builder.add(part)
        return decode_page(builder.finish())


def some_parts(count, seed=0):
    numbers = random.Random(seed)
    return [Part(numbers.randbytes(32), numbers.randint(1, 1 << 18)) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, MIN_PAGE - 1, MIN_PAGE, MIN_PAGE + 1, MAX_PAGE, MAX_PAGE + 1, 50_000])
def test_the_chunks_come_back_in_order_with_their_offsets(count):
    pages, parts = Pages(), some_parts(count)
    top = pages.build(parts)
    found = list(chunks(top, pages.get))
    assert [part for _, part in found] == parts
    offset = 0
    for at, part in found:
        assert at == offset
        offset += part.length
    assert length_of(top) == offset


def test_a_page_ends_at_the_latest_when_it_is_full():
    pages = Pages()
    top = pages.build([Part(b"\1" * 32, 1)] * (MAX_PAGE + 1))
    assert (top.level, [part.length for part in top.parts]) == (1, [MAX_PAGE, 1])
    top = pages.build([Part(bytes(32), 1)] * (MIN_PAGE + 1))
    assert (top.level, [part.length for part in top.parts]) == (1, [MIN_PAGE, 1])


def test_a_read_from_the_middle_starts_at_the_chunk_that_holds_the_byte():
    pages, parts = Pages(), some_parts(20_000)
    top = pages.build(parts)
    places = list(chunks(top, pages.get))
    for index in (0, 1, 777, 19_999):
        offset, part = places[index]
        for start in (offset, offset + part.length - 1):
            pages.read = 0
            assert next(chunks(top, pages.get, start=start)) == (offset, part)
            assert pages.read <= top.level
    assert list(chunks(top, pages.get, start=length_of(top))) == []


def test_two_versions_share_the_pages_that_do_not_touch_the_change():
    pages, parts = Pages(), some_parts(30_000)
    pages.build(parts)
    before = set(pages.payloads)
    pages.build([*parts[:15_000], *some_parts(1, seed=1), *parts[15_000:]])
    assert len(set(pages.payloads) - before) <= 4


@pytest.mark.parametrize(
    "value",
    [
        [],
        [0, b"", []],
        [0, bytes(32)],
        [0, bytes(31), [1]],
        [0, bytes(32), [0]],
        [0, bytes(32), [-1]],
        [0, bytes(32), [True]],
        [0, bytes(32), [1, 1]],
        [0, bytes(64), [1]],
        [0, "x" * 32, [1]],
        [0, bytes(32), b"\1"],
        [True, bytes(32), [1]],
        [-1, bytes(32), [1]],
        [filemap.MAX_LEVEL + 1, bytes(32), [1]],
        [0, bytes(32 * (MAX_PAGE + 1)), [1] * (MAX_PAGE + 1)],
        [0, bytes(32), [1], 0],
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_page_of_another_form_is_refused(value):
    with pytest.raises(BadEncodingError):
        decode_page(codec.encode_plain(value))


def test_a_page_that_does_not_fit_the_page_above_it_is_refused():
    pages = Pages()
    below = pages.put(encode_page(0, [Part(bytes(32), 10)]))
    for level, length in ((1, 11), (2, 10)):
        top = decode_page(encode_page(level, [Part(below, length)]))
        with pytest.raises(BadEncodingError):
            list(chunks(top, pages.get))
    assert len(list(chunks(decode_page(encode_page(1, [Part(below, 10)])), pages.get))) == 1
