"""The codec refuses what it would not write, within bounds of memory, and says why."""

import math
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError, UnsupportedValueError, decode, decode_plain, encode

DEEPEST = 64


def label(value):
    return type(value).__name__ if isinstance(value, int) else repr(value)[:20]


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "a lone surrogate \udc80",
        {"key\ud800": 1},
        {1: 2},
        {b"key": 1},
        {None: 1},
        {1, 2},
        object(),
        1j,
        bytearray(b"mutable"),
        nested(DEEPEST + 1),
        {"a": nested(DEEPEST)},
        10**4000,
        -(10**3999),
        10**5000,
        [0] * (codec.MAX_LENGTH + 1),
        {str(i): i for i in range(codec.MAX_LENGTH + 1)},
        bytes(codec.MAX_PAYLOAD),
        [[0] * codec.MAX_LENGTH] * 9,
    ],
    ids=label,
)
def test_what_has_no_encoding_is_refused_before_it_is_stored(value):
    with pytest.raises(UnsupportedValueError):
        encode(value)


@pytest.mark.parametrize(
    "value",
    [
        nested(DEEPEST),
        10**3999,
        -(10**3998),
        tuple(range(codec.MAX_LENGTH)),
        {f"{i:05}": None for i in range(codec.MAX_LENGTH)},
        bytes(codec.MAX_PAYLOAD - 5),
        tuple(tuple(range(codec.MAX_LENGTH - 2)) for _ in range(8)),
    ],
    ids=label,
)
def test_what_is_just_within_the_bounds_comes_back(value):
    again = decode(encode(value))
    assert encode(again) == encode(value)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("", "nothing"),
        ("cc05", "5 as two bytes"),
        ("cd0005", "5 as three bytes"),
        ("d005", "5 as a signed byte"),
        ("cf000000000000ffff", "65535 as nine bytes"),
        ("d3ffffffffffffffff", "-1 as nine bytes"),
        ("d90161", "a short text with a length byte"),
        ("da000161", "a short text with two length bytes"),
        ("c5000161", "short bytes with two length bytes"),
        ("dc000100", "a short array with two length bytes"),
        ("de0001a16100", "a short map with two length bytes"),
        ("82a16201a16101", "keys out of order"),
        ("82a16101a16101", "a key twice"),
        ("8101c0", "a key that is a number"),
        ("81c40161c0", "a key that is bytes"),
        ("ca3fc00000", "a float of 32 bits"),
        ("cb7ff8000000000001", "another NaN"),
        ("cbfff8000000000000", "a negative NaN"),
        ("cb7ff0000000000001", "a signalling NaN"),
        ("a1ff", "a text that is not UTF-8"),
        ("a3eda080", "a text with an encoded surrogate"),
        ("c1", "a byte that begins no value"),
        ("0000", "two values"),
        ("9201", "an array that ends early"),
        ("d4ff00", "a timestamp extension"),
        ("d6ff00000000", "a timestamp"),
        ("d40131", "1 as a big integer"),
        ("c70201" + b"+1".hex(), "a big integer with a sign"),
        ("c71501" + b"018446744073709551616".hex(), "a big integer with a leading zero"),
        ("c71401" + b"18446744073709551615".hex(), "a big integer that fits"),
        ("c71501" + b"18446744073709551616 ".hex(), "a big integer with a space"),
        ("c71501" + b"1844674407370955161_6".hex(), "a big integer with an underscore"),
        ("c71402" + b"18446744073709551616".hex(), "another extension"),
        ("c8" + "0fa1" + "01" + "39" * 4001, "too many digits"),
    ],
    ids=lambda text: text[:24],
)
def test_any_other_form_of_a_value_is_refused(payload, why):
    with pytest.raises(BadEncodingError):
        decode(bytes.fromhex(payload))


def test_the_only_forms_of_what_looks_alike():
    assert encode(math.nan) == encode(struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0])
    assert encode(0.0) != encode(-0.0) != encode(0)
    assert math.copysign(1, decode(encode(-0.0))) == -1
    assert encode(True) != encode(1) != encode(1.0)
    assert decode(encode(2**64)) == 2**64
    assert decode(encode(-(2**63) - 1)) == -(2**63) - 1
    assert encode("a") != encode(b"a")
    assert encode([1]) == encode((1,))
    assert encode({"b": 1, "a": 2}) == encode({"a": 2, "b": 1})
    assert list(decode(encode({"é": 1, "z": 2, "": 3, "aa": 4, "b": 5}))) == ["", "aa", "b", "z", "é"]


def test_a_plain_value_is_an_array():
    with pytest.raises(BadEncodingError, match="not an array"):
        decode_plain(b"\x01")
    with pytest.raises(BadEncodingError):
        decode_plain(bytes.fromhex("91c71401") + b"18446744073709551616")


BOMBS = {
    "an array of 4 G": b"\xdd\xff\xff\xff\xff",
    "a map of 4 G": b"\xdf\xff\xff\xff\xff",
    "bytes of 4 G": b"\xc6\xff\xff\xff\xff",
    "a text of 4 G": b"\xdb\xff\xff\xff\xff",
    "an extension of 4 G": b"\xc9\xff\xff\xff\xff\x01",
    "arrays in arrays": b"\xdd\xff\xff\xff\xff" * 1000,
    "long arrays in long arrays": b"\xdc\xff\xff" * 1000 + b"\0" * 100_000,
    "two thousand levels": b"\x91" * 2000 + b"\0",
    "a million levels": b"\x91" * 1_000_000 + b"\0",
    "a million maps in maps": b"\x81\xa0" * 1_000_000 + b"\0",
    "millions of empty maps": b"\xdc\x00\xf0" + (b"\xdc\xff\xff" + b"\x80" * 65535) * 240,
    "millions of maps of one": b"\xdc\x00\x50" + (b"\xdc\xff\xff" + b"\x81\xa0\xc0" * 65535) * 80,
    "too long": b"\xc6\x01\x00\x00\x00" + bytes(1 << 24),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name):
    for function in (decode, decode_plain):
        with pytest.raises(BadEncodingError):
            function(BOMBS[name])


MEASURED = """
from dsvc.objects.codec import BadEncodingError, decode

def peak():
    # Not getrusage: what the process that started this one ever held counts there.
    with open("/proc/self/status") as status:
        return int(status.read().partition("VmHWM:")[2].split()[0]) >> 10

before = peak()
for bomb in (
    b"\\xdc\\x00\\xf0" + (b"\\xdc\\xff\\xff" + b"\\x80" * 65535) * 240,  # fifteen million empty maps
    b"\\x97" + (b"\\xdc\\xff\\xfe" + b"\\x80" * 65534) * 7 + b"\\x01",  # as many as are allowed, then too much
    b"\\xdc\\xff\\xff" * 1000 + bytes(100_000),
    b"\\xdd\\xff\\xff\\xff\\xff" * 1000,
    b"\\x91" * 1_000_000 + bytes(1),
):
    try:
        decode(bomb)
    except BadEncodingError:
        pass
    else:
        raise SystemExit("a bomb was accepted")
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure memory")
def test_bombs_are_refused_in_little_memory():
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200  # MiB
