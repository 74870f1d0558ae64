"""Frames written by the first version of the format decode for ever; docs/formats/encodings.md shows them."""

import pytest

from dsvc.objects.encodings import Decoder, Encoding

BASE = b"the quick brown fox jumps over the lazy dog"

GOLDEN = [
    (Encoding.RAW, "64737663", b"dsvc", None),
    (Encoding.RAW, "", b"", None),
    # one run-length block: 100 times "A"
    (Encoding.ZSTD, "28b52ffd 20 64 230300 41", b"A" * 100, None),
    # one raw block
    (Encoding.ZSTD, "28b52ffd 20 04 210000 64737663", b"dsvc", None),
    (Encoding.DELTA, "28b52ffd 20 2b 4d0000 1863617401005da980", BASE[:-3] + b"cat", BASE),
    # seven bytes in two planes, both raw: the first one holds one byte more
    (Encoding.FLOAT16, "04000000 03000000 01020304 3f3f3f", bytes.fromhex("013f023f033f04"), None),
    # the second plane compressed: 60 times 0x3f
    (
        Encoding.FLOAT16,
        "3c000000 0a000000" + bytes(range(60)).hex() + "28b52ffd 20 3c e30100 3f",
        b"".join(bytes([low, 0x3F]) for low in range(60)),
        None,
    ),
    (
        Encoding.FLOAT32,
        "02000000 02000000 02000000 01000000 0105 0206 0307 04",
        bytes.fromhex("01020304050607"),
        None,
    ),
    (
        Encoding.FLOAT64,
        "02000000" + "01000000" * 7 + "0009 01 02 03 04 05 06 07",
        bytes.fromhex("000102030405060709"),
        None,
    ),
]


def test_the_numbers_of_the_encodings_are_fixed():
    assert {encoding.name: encoding.value for encoding in Encoding} == {
        "RAW": 0,
        "ZSTD": 1,
        "DELTA": 2,
        "FLOAT16": 3,
        "FLOAT32": 4,
        "FLOAT64": 5,
    }


@pytest.mark.parametrize(("encoding", "stored", "plain", "base"), GOLDEN)
def test_golden_frames_decode(encoding, stored, plain, base):
    frame = bytes.fromhex(stored.replace(" ", ""))
    assert Decoder().decode(encoding, frame, plain_length=len(plain), base=base) == plain
