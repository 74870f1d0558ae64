"""The one canonical encoding of values: msgpack with exactly one byte sequence for each value.

Maps have text keys sorted by their UTF-8 bytes; integers take their shortest form, beyond 64 bits they are
decimal text behind extension type 1; floats are always 64 bits with one NaN. The decoder refuses anything that
the encoder would have written otherwise, so equal values and equal bytes are the same thing.
See docs/formats/values.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import msgpack

from dsvc.errors import IntegrityError, RequestError

Value: TypeAlias = "None | bool | int | float | str | bytes | tuple[Value, ...] | dict[str, Value]"

BIG_INTEGER = 1  # extension type: decimal text of an integer outside 64 bits
MAX_PAYLOAD = 16 << 20  # bytes; larger values belong in files
MAX_LENGTH = 1 << 16  # elements of one array or map
MAX_VALUES = 1 << 19  # values in all: a byte of payload may become a hundred in memory
MAX_DEPTH = 64
MAX_DIGITS = 4000
_NAN = float("nan")
_COUNT_FROM = 1 << 18  # bytes; a shorter payload cannot hold too many values
# How long a value is after its first byte: fixed, or given by a length field of so many bytes (and a type byte).
_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FIXED |= {0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1)}
_SIZED |= {0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)}


class BadEncodingError(IntegrityError):
    """Bytes that should be a canonical value are not."""


class UnsupportedValueError(RequestError):
    """A value that has no canonical encoding."""


def encode(value: object) -> bytes:
    """Return the canonical bytes of `value`: None, bool, int, float, str, bytes, sequences, maps with text keys.

    Raises:
        UnsupportedValueError: for other types, keys that are no text, lone surrogates, and whatever exceeds the
            bounds that the decoder keeps.
    """
    try:
        packed = encode_plain(_canonical(value, 0))
    except UnicodeEncodeError as error:
        text = "a text is not valid UTF-8 and cannot be stored"
        raise UnsupportedValueError(text, hint="write messages and names of people in UTF-8") from error
    if len(packed) > MAX_PAYLOAD:
        raise UnsupportedValueError(f"a value has {len(packed)} bytes, more than {MAX_PAYLOAD}: store it as a file")
    if _has_too_many_values(packed):
        raise UnsupportedValueError(f"a value holds more than {MAX_VALUES} values: store it as a file")
    return packed


def encode_plain(value: object) -> bytes:
    """Return the canonical bytes of a value that holds no map, no float and no integer beyond 64 bits.

    For those msgpack has one form already; trees and views are made of them and skip the walk of `encode`.
    """
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def decode(payload: bytes | memoryview) -> Value:
    """Return the value that `payload` encodes; arrays come back as tuples.

    Raises:
        BadEncodingError: when the bytes are not the canonical encoding of any value, or exceed the bounds.
    """
    value = _unpack(payload)
    try:
        again = encode(value)
    except (UnsupportedValueError, RecursionError) as error:
        raise BadEncodingError("a value is not in canonical form") from error
    if again != payload:
        raise BadEncodingError("a value is not in canonical form")
    return value


def decode_plain(payload: bytes | memoryview) -> tuple[Value, ...]:
    """Return the array that `payload` encodes, under the restriction of `encode_plain`.

    Raises:
        BadEncodingError: as `decode`, and when the value is no array.
    """
    value = _unpack(payload)
    if type(value) is not tuple:
        raise BadEncodingError("a value is not an array")
    try:
        if encode_plain(value) != payload:
            raise BadEncodingError("a value is not in canonical form")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadEncodingError("a value is not in canonical form") from error
    return value


def decode_unchecked(payload: bytes | memoryview) -> tuple[Value, ...]:
    """Return what `decode_plain` returned for these bytes before."""
    value: tuple[Value, ...] = msgpack.unpackb(payload, use_list=False, raw=False)
    return value


def _unpack(payload: bytes | memoryview) -> Value:
    if len(payload) > MAX_PAYLOAD:
        raise BadEncodingError(f"a value has {len(payload)} bytes, more than {MAX_PAYLOAD}")
    if _has_too_many_values(payload):
        raise BadEncodingError(f"a value holds more than {MAX_VALUES} values")
    try:
        value: Value = msgpack.unpackb(
            payload,
            use_list=False,
            raw=False,
            strict_map_key=True,
            ext_hook=_extension,
            max_array_len=MAX_LENGTH,
            max_map_len=MAX_LENGTH,
        )
    except BadEncodingError:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise BadEncodingError(f"a value cannot be decoded: {error or type(error).__name__}") from error
    return value


def _canonical(value: object, depth: int) -> object:
    if depth > MAX_DEPTH:
        raise UnsupportedValueError(f"a value is nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, (bool, bytes)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        if -(1 << 63) <= value < (1 << 64):
            return int(value)
        digits = _digits(value)
        if digits is None or len(digits) > MAX_DIGITS:
            raise UnsupportedValueError(f"an integer has more than {MAX_DIGITS} digits")
        return msgpack.ExtType(BIG_INTEGER, digits)
    if isinstance(value, float):
        return _NAN if math.isnan(value) else float(value)
    if isinstance(value, (list, tuple, Mapping)) and len(value) > MAX_LENGTH:
        raise UnsupportedValueError(f"a value has {len(value)} elements, more than {MAX_LENGTH}: store it as a file")
    if isinstance(value, (list, tuple)):
        return [_canonical(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise UnsupportedValueError("a map has a key that is not text")
        order = sorted(value, key=lambda key: key.encode())
        return {key: _canonical(value[key], depth + 1) for key in order}
    raise UnsupportedValueError(f"a value of type {type(value).__name__} has no encoding")


def _digits(value: int) -> bytes | None:
    try:
        return str(value).encode()
    except ValueError:  # far more digits than the interpreter converts
        return None


def _has_too_many_values(payload: bytes | memoryview) -> bool:
    """Count values by their first bytes, before memory is spent on them."""
    if len(payload) <= _COUNT_FROM:
        return False
    at = count = 0
    while at < len(payload):
        first = payload[at]
        at += 1
        count += 1
        if count > MAX_VALUES:
            return True
        if 0xA0 <= first < 0xC0:
            at += first & 0x1F
        elif first in _FIXED:
            at += _FIXED[first]
        elif first in _SIZED:
            width, extra = _SIZED[first]
            at += width + extra + int.from_bytes(payload[at : at + width], "big")
    return False


def _extension(code: int, data: bytes) -> Value:
    if code != BIG_INTEGER or len(data) > MAX_DIGITS:
        raise BadEncodingError(f"a value has an unknown extension type {code}")
    try:
        number = int(data)
    except ValueError as error:
        raise BadEncodingError("an integer is not decimal text") from error
    if -(1 << 63) <= number < (1 << 64):
        raise BadEncodingError("an integer is not in its shortest form")
    return number
