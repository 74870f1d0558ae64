"""Every frame comes back byte for byte, is stored small where that pays, and cannot harm its reader."""

import array
import random
import struct
import tracemalloc
from itertools import pairwise

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.errors import FormatTooNewError, IntegrityError
from dsvc.objects.encodings import Decoder, Encoder, Encoding

TEXT = b"".join(b"%d,%d,cat%d,%.2f\n" % (i, i * 7919 % 100_003, i % 40, i / 7) for i in range(20_000))
DAMAGE = [0x01, 0x10, 0x80, 0xFF]


def noise(size, name="dsvc encodings"):
    return blake3(name.encode()).digest(length=size)


def floats(count, seed=1):
    r = random.Random(seed)
    return [r.gauss(0.0, 0.02) for _ in range(count)]


def bfloat16(values):
    whole, halves = array.array("f", values).tobytes(), bytearray(2 * len(values))
    halves[0::2], halves[1::2] = whole[2::4], whole[3::4]
    return bytes(halves)


def float16(values):
    return struct.pack(f"<{len(values)}e", *values)


def float32(values):
    return array.array("f", values).tobytes()


def float64(values):
    return array.array("d", values).tobytes()


def there_and_back(data, **options):
    encoding, stored = Encoder().encode(data, **options)
    assert len(stored) <= len(data)
    assert Decoder().decode(encoding, stored, plain_length=len(data)) == data
    return encoding, len(stored) / max(1, len(data))


@pytest.mark.parametrize("size", [0, 1, 7, 100, 4095, 4096, 4097, 16_383, 16_384, 65_537, 262_144])
@pytest.mark.parametrize("kind", ["text", "noise", "zeros", "bfloat16", "float64"])
def test_any_size_of_anything_comes_back(size, kind):
    data = {
        "text": lambda: TEXT[:size],
        "noise": lambda: noise(size),
        "zeros": lambda: bytes(size),
        "bfloat16": lambda: bfloat16(floats(size // 2 + 2))[1 : size + 1],
        "float64": lambda: float64(floats(size // 8 + 2))[3 : size + 3],
    }[kind]()
    there_and_back(data)
    there_and_back(memoryview(data))


def test_noise_is_stored_as_it_is_and_not_copied():
    data = noise(100_000)
    encoding, stored = Encoder().encode(data)
    assert encoding == Encoding.RAW
    assert stored is data


def test_text_is_compressed():
    assert there_and_back(TEXT)[0] == Encoding.ZSTD
    assert there_and_back(TEXT)[1] < 0.5


def test_a_group_of_text_and_noise_is_compressed_where_it_can_be():
    encoding, share = there_and_back(noise(40_000) + TEXT[:180_000] + noise(40_000, "other"), allow_planes=False)
    assert encoding == Encoding.ZSTD
    assert share < 0.75


@pytest.mark.parametrize("phase", [0, 1, 3])
@pytest.mark.parametrize(
    ("pack", "expected", "at_most"),
    [
        (bfloat16, Encoding.FLOAT16, 0.69),
        (float16, Encoding.FLOAT16, 0.90),
        (float32, Encoding.FLOAT32, 0.86),
        (float64, Encoding.FLOAT64, 0.91),
    ],
)
def test_floats_are_grouped_by_byte_at_any_phase(pack, expected, at_most, phase):
    encoding, share = there_and_back(pack(floats(30_000))[phase:])
    assert encoding == expected
    assert share < at_most


def test_integers_with_idle_high_bytes_are_grouped_too():
    r = random.Random(3)
    data = array.array("i", (r.randrange(1000) for _ in range(30_000))).tobytes()
    assert there_and_back(data)[0] == Encoding.FLOAT32


def test_planes_are_not_used_where_they_are_not_allowed():
    assert there_and_back(bfloat16(floats(30_000)), allow_planes=False)[0] == Encoding.ZSTD


def test_one_encoder_serves_different_data_in_turn_as_well_as_a_fresh_one():
    encoder, decoder = Encoder(), Decoder()
    half, whole = bfloat16(floats(40_000)), float64(floats(20_000))
    counting = array.array("q", range(20_000)).tobytes()
    pieces = [half[1:], half[2:], whole, half, counting, whole[5:], TEXT, noise(70_000), counting[3:], half]
    for piece in pieces:
        encoding, stored = encoder.encode(piece)
        assert decoder.decode(encoding, stored, plain_length=len(piece)) == piece
        assert len(stored) < 1.02 * len(Encoder().encode(piece)[1]) + 100


@pytest.mark.parametrize("start", [0, 1, 7])
def test_a_run_is_stored_as_well_as_its_pieces_one_by_one(start):
    numbers = [bfloat16(floats(200_000)), float32(floats(60_000)), float64(floats(30_000))]
    counting = array.array("i", range(50_000)).tobytes()
    parts = [TEXT, numbers[0], noise(150_001), numbers[1], TEXT[:99_999], bytes(70_000), numbers[2], counting, TEXT]
    stream = b"".join([*parts, *numbers])
    cuts = [start]
    r = random.Random(start)
    while cuts[-1] < len(stream):
        cuts.append(min(len(stream), cuts[-1] + r.randrange(1_000, 90_000)))
    pieces = [(a, memoryview(stream)[a:b]) for a, b in pairwise(cuts)]
    encoder, decoder, total, alone = Encoder(), Decoder(), 0, 0
    for _ in range(2):  # the second time with what the encoder remembers of the first
        for (_, piece), (encoding, stored) in zip(pieces, encoder.encode_run(pieces), strict=True):
            assert len(stored) <= len(piece)
            assert decoder.decode(encoding, stored, plain_length=len(piece)) == piece
            total += len(stored)
            alone += len(Encoder().encode(piece)[1])
    assert total < 1.02 * alone


def test_rows_of_numbers_in_a_run_take_less_than_alone():
    pieces = [(at, memoryview(TEXT)[at : at + 65_536]) for at in range(0, len(TEXT), 65_536)]
    run = sum(len(stored) for _, stored in Encoder().encode_run(pieces))
    assert run < 0.99 * sum(len(Encoder().encode(piece)[1]) for _, piece in pieces)


def test_a_group_of_noise_behind_groups_of_text_is_stored_raw():
    encoder = Encoder()
    assert encoder.encode(TEXT, allow_planes=False)[0] == Encoding.ZSTD
    assert encoder.encode(noise(100_000), allow_planes=False)[0] == Encoding.RAW
    assert encoder.encode(TEXT, allow_planes=False)[0] == Encoding.ZSTD


def test_a_delta_costs_what_the_change_costs():
    base = noise(100_000) + TEXT[:100_000]
    data = base[:50_000] + b"one new row\n" + base[50_000:]
    encoding, stored = Encoder().encode_delta(data, base)
    assert encoding == Encoding.DELTA
    assert len(stored) < 500
    assert Decoder().decode(encoding, stored, plain_length=len(data), base=base) == data


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_any_base_serves_any_data(data, base):
    encoding, stored = Encoder().encode_delta(memoryview(data), memoryview(base))
    assert Decoder().decode(encoding, memoryview(stored), plain_length=len(data), base=base) == data


def test_a_base_that_looks_like_a_trained_dictionary_is_bytes_like_any_other():
    base = bytes.fromhex("37a430ec01000000") + noise(2000)
    encoding, stored = Encoder().encode_delta(base[:1500] + b"!", base)
    assert len(stored) < 100
    assert Decoder().decode(encoding, stored, plain_length=1501, base=base) == base[:1500] + b"!"


def test_a_delta_without_its_base_is_refused():
    encoding, stored = Encoder().encode_delta(TEXT, TEXT)
    with pytest.raises(IntegrityError, match=r"frame \(DELTA\) is damaged.*base"):
        Decoder().decode(encoding, stored, plain_length=len(TEXT))


@pytest.mark.parametrize("number", [6, 7, 255, -1])
def test_an_encoding_of_a_later_version_is_named(number):
    with pytest.raises(FormatTooNewError, match=str(number)):
        Decoder().decode(number, b"anything", plain_length=8)


def frames():
    base = TEXT[:3000]
    delta = Encoder().encode_delta(base[:1000] + b"!" + base[1000:], base)
    yield Encoding.RAW, (Encoding.RAW, noise(40)), 40, None
    yield Encoding.ZSTD, Encoder().encode(TEXT[:3000]), 3000, None
    yield Encoding.DELTA, delta, 3001, base
    yield Encoding.FLOAT16, Encoder().encode(bfloat16(floats(9000))), 18_000, None
    yield Encoding.FLOAT32, Encoder().encode(float32(floats(4097))), 16_388, None
    yield Encoding.FLOAT64, Encoder().encode(float64(floats(2100))), 16_800, None


@pytest.mark.parametrize(("expected", "frame", "length", "base"), list(frames()))
def test_damage_is_an_error_of_ours_or_leaves_the_length_right(expected, frame, length, base):
    encoding, stored = frame
    assert encoding == expected
    decoder = Decoder()

    def attempt(damaged, plain_length=length):
        try:
            plain = decoder.decode(encoding, damaged, plain_length=plain_length, base=base)
        except IntegrityError:
            return False
        assert len(plain) == plain_length
        return True

    head = range(min(200, len(stored)))
    for at in [*head, *range(len(head), len(stored), 97)]:
        for mask in DAMAGE:
            attempt(stored[:at] + bytes([stored[at] ^ mask]) + stored[at + 1 :])
        assert not attempt(stored[:at])
    assert not attempt(stored + b"\0")
    assert not attempt(stored, length + 1)
    assert not attempt(stored, length - 1)
    assert not attempt(stored, 0)
    assert attempt(stored)  # the decoder is as good as new after all that
    if base is not None:
        base = TEXT[100:200]
        assert not attempt(stored)  # refers to bytes that this base does not have


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5), st.binary(max_size=200), st.integers(0, 300))
def test_bytes_that_are_no_frame_are_refused_cleanly(encoding, stored, length):
    try:
        plain = Decoder().decode(encoding, stored, plain_length=length, base=b"base")
    except IntegrityError:
        return
    assert len(plain) == length


def bombs():
    """Frames whose content is far larger than the index says, honest and lying."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj(size=64 << 20)
    honest = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(64)) + compressor.flush()
    blocks = ((1 << 17) << 3 | 2).to_bytes(3, "little") + b"A"
    last = ((1 << 17) << 3 | 3).to_bytes(3, "little") + b"A"
    magic = bytes.fromhex("28b52ffd")
    unsized = magic + bytes([0x00, 0x70]) + blocks * 511 + last  # names no content size
    liar = magic + bytes([0x40, 0x70]) + (1000 - 256).to_bytes(2, "little") + blocks * 511 + last
    wide = magic + bytes([0x40, 0xF0]) + (1000 - 256).to_bytes(2, "little") + blocks * 511 + last
    return {"honest": honest, "unsized": unsized, "liar": liar, "wide window": wide}


@pytest.mark.parametrize("name", ["honest", "unsized", "liar", "wide window"])
@pytest.mark.parametrize("encoding", [Encoding.ZSTD, Encoding.DELTA, Encoding.FLOAT16])
def test_a_frame_never_grows_beyond_what_the_index_says(name, encoding):
    bomb = bombs()[name]
    length = 1000
    if encoding == Encoding.FLOAT16:
        length = 2_000_000
        bomb = struct.pack("<II", len(bomb), len(bomb)) + bomb + bomb
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError):
            Decoder().decode(encoding, bomb, plain_length=length, base=b"a base")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_behind_noise_not_each_piece_is_asked_and_text_is_found():
    noise = [random.Random(n).randbytes(40_000) for n in range(40)]
    text = [b"%d of many rows, \n" % n * 2000 for n in range(8)]
    pieces = [*noise, *text, *noise]
    frames = list(Encoder().encode_run((40_000 * n, piece) for n, piece in enumerate(pieces)))
    kinds = [encoding for encoding, _ in frames]
    assert kinds == [Encoding.RAW] * 40 + [Encoding.ZSTD] * 8 + [Encoding.RAW] * 40
    decoder = Decoder()
    for (encoding, stored), piece in zip(frames, pieces, strict=True):
        assert decoder.decode(encoding, stored, plain_length=len(piece)) == piece


@pytest.mark.parametrize("place", range(9))
def test_an_island_as_long_as_the_stride_is_never_missed(place: int):
    noise = [random.Random(n).randbytes(40_000) for n in range(12 + place)]
    island = [b"%d of many rows, \n" % n * 2000 for n in range(4)]
    found = [e for e, _ in Encoder().encode_run((40_000 * n, p) for n, p in enumerate([*noise, *island, *noise]))]
    assert found.count(Encoding.ZSTD) == 4
