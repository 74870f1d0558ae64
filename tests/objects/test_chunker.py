"""Cuts are fixed by the format and by nothing else."""

import io
import subprocess
import sys

import pytest
from blake3 import blake3

from dsvc.errors import DsvcError
from dsvc.objects.chunker import AVERAGE, MAX, MIN, SMALL_LIMIT, ChunkerMissingError, cut


def noise(size, name="dsvc chunker"):
    return blake3(name.encode()).digest(length=size)


def lengths(data, **options):
    return [len(chunk) for chunk in cut(io.BytesIO(data).read, **options)]


def test_the_cuts_of_known_bytes_never_change():
    data = noise(1_000_000)
    data = data[:600_000] + bytes(400_000) + data[600_000:]
    assert blake3(data).hexdigest().startswith("789cf07339f42447")
    assert lengths(data) == [
        76467, 89545, 108975, 124729, 89000, 103573, 262144, 156476, 67317, 65782, 87520, 73119, 66572, 28781
    ]  # fmt: skip


def test_the_parameters_are_those_of_the_format():
    assert (MIN, AVERAGE, MAX, SMALL_LIMIT) == (16 * 1024, 64 * 1024, 256 * 1024, 256 * 1024)


@pytest.mark.parametrize("size", [0, 1, MIN - 1, MIN, MIN + 1, AVERAGE, MAX, MAX + 1, 3 * MAX + 7])
def test_chunks_joined_are_the_content(size):
    data = noise(size)
    chunks = list(cut(io.BytesIO(data).read))
    assert b"".join(chunks) == data
    assert all(MIN <= len(chunk) <= MAX for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= MAX for chunk in chunks)


def test_content_without_a_cut_point_is_cut_at_the_maximum():
    assert lengths(bytes(2 * MAX + 5)) == [MAX, MAX, 5]


def test_the_average_is_near_its_name():
    sizes = lengths(noise(16 * 1024 * 1024))
    assert 0.9 * AVERAGE < sum(sizes) / len(sizes) < 1.4 * AVERAGE


@pytest.mark.parametrize("change", ["insert", "delete", "overwrite"])
def test_a_change_touches_only_the_chunks_around_it(change):
    data = noise(8 * 1024 * 1024)
    at = 4_000_001
    new = {
        "insert": data[:at] + b"a row of a table\n" + data[at:],
        "delete": data[:at] + data[at + 5 :],
        "overwrite": data[:at] + b"x" + data[at + 1 :],
    }[change]
    before = {blake3(chunk).digest() for chunk in cut(io.BytesIO(data).read)}
    added = [chunk for chunk in cut(io.BytesIO(new).read) if blake3(chunk).digest() not in before]
    assert 1 <= len(added) <= 3


def test_chunks_stay_valid_after_the_stream_went_on():
    data = noise(3 * 1024 * 1024)
    chunks = list(cut(io.BytesIO(data).read, window=MAX))
    assert b"".join(chunks) == data


def test_no_more_than_a_few_windows_are_read_ahead():
    taken = 0

    def read(size):
        nonlocal taken
        taken += size
        return noise(size)

    chunks = cut(read, window=1024 * 1024)
    given = sum(len(next(chunks)) for _ in range(100))
    assert taken - given <= 1024 * 1024


def test_a_buffer_other_than_bytes_may_be_read():
    data = noise(1_000_000)
    stream = io.BytesIO(data)
    assert b"".join(cut(lambda size: memoryview(stream.read(size)))) == data


def test_an_error_of_the_stream_reaches_the_caller():
    def read(size):
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        next(cut(read))


def test_a_window_below_the_largest_chunk_is_refused():
    with pytest.raises(ValueError, match="window"):
        next(cut(io.BytesIO(b"").read, window=MAX - 1))


def test_the_pure_python_fallback_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyfastcdc.cy", None)
    with pytest.raises(ChunkerMissingError) as caught:
        next(cut(io.BytesIO(noise(1000)).read))
    assert isinstance(caught.value, DsvcError)
    assert "compiled" in caught.value.message
    assert "pip install" in caught.value.hint


def test_the_refusal_stands_alone_without_the_warning_of_the_package():
    script = (
        "import io, sys\n"
        "sys.modules['pyfastcdc.cy'] = None\n"
        "from dsvc.objects.chunker import ChunkerMissingError, cut\n"
        "try:\n    next(cut(io.BytesIO(bytes(1000)).read))\n"
        "except ChunkerMissingError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")
