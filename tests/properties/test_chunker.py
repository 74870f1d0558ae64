"""Cut points depend on the content alone, not on how it arrives."""

import io

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from pyfastcdc.cy import FastCDC

from dsvc.objects.chunker import AVERAGE, MAX, MIN, NORMALISATION, SEED, cut


def whole(data):
    """Cut in one pass over one buffer: the definition that the stream has to meet."""
    chunker = FastCDC(AVERAGE, min_size=MIN, max_size=MAX, normalized_chunking=NORMALISATION, seed=SEED)
    return [bytes(chunk.data) for chunk in chunker.cut_buf(data)]


@st.composite
def contents(draw):
    """Noise, long runs of one byte and repeated stretches, up to a few of the largest chunk."""
    parts = []
    for _ in range(draw(st.integers(0, 5))):
        size = draw(st.integers(0, 8)) * (MAX // 4) + draw(st.integers(0, 999))
        seed = draw(st.binary(min_size=1, max_size=2))
        kind = draw(st.sampled_from(["noise", "run", "period"]))
        if kind == "noise":
            parts.append(blake3(seed).digest(length=size))
        else:
            pattern = seed if kind == "run" else blake3(seed).digest(length=997)
            parts.append((pattern * (size // len(pattern) + 1))[:size])
    return b"".join(parts)


@settings(max_examples=150, deadline=None)
@given(
    contents(),
    st.integers(0, 9999).map(lambda extra: MAX + extra),
    st.lists(st.integers(1, 300_000), max_size=30),
)
def test_any_window_and_any_short_reads_give_the_cuts_of_one_pass(data, window, reads):
    stream, sizes = io.BytesIO(data), iter(reads)

    def read(size):
        return stream.read(min(size, next(sizes, size)))

    assert [bytes(chunk) for chunk in cut(read, window=window)] == whole(data)


def test_short_reads_of_a_window_hardly_larger_than_a_chunk():
    data = blake3(b"begin").digest(length=MAX // 2) + bytes(MAX // 2 + 1)
    stream = io.BytesIO(data)
    pieces = [bytes(chunk) for chunk in cut(lambda size: stream.read(min(size, MAX // 2)), window=MAX)]
    assert pieces == whole(data)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=4), st.integers(0, 4096), st.integers(-2, 2))
def test_windows_that_end_at_or_beside_a_cut_change_nothing(seed, extra, beside):
    data = blake3(seed).digest(length=5 * MAX + extra)
    ends, end = [], 0
    for chunk in whole(data):
        end += len(chunk)
        ends.append(end)
    for end in ends:
        if end + beside >= MAX:
            assert [bytes(c) for c in cut(io.BytesIO(data).read, window=end + beside)] == whole(data)
