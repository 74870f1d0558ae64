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
MAX_PAYLOAD = 16 << 20  # bytes; larger values belong into files
MAX_LENGTH = 1 << 16  # elements of one array or map
MAX_DEPTH = 64
MAX_DIGITS = 4000
_NAN = float("nan")


class BadEncodingError(IntegrityError):
    """Bytes that should be a canonical value are not."""


class UnsupportedValueError(RequestError):
    """A value that has no canonical encoding."""


def encode(value: object) -> bytes:
    """Return the canonical bytes of `value`: None, bool, int, float, str, bytes, sequences, maps with text keys.

    Raises:
        UnsupportedValueError: for other types, keys that are no text, lone surrogates, or nesting beyond 64.
    """
    try:
        return encode_plain(_canonical(value, 0))
    except UnicodeEncodeError as error:
        raise UnsupportedValueError("a text holds a lone surrogate and cannot be stored") from error


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


def _unpack(payload: bytes | memoryview) -> Value:
    if len(payload) > MAX_PAYLOAD:
        raise BadEncodingError(f"a value has {len(payload)} bytes, more than {MAX_PAYLOAD}")
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
        try:
            return msgpack.ExtType(BIG_INTEGER, str(value).encode())
        except ValueError as error:
            raise UnsupportedValueError(f"an integer has more than {MAX_DIGITS} digits") from error
    if isinstance(value, float):
        return _NAN if math.isnan(value) else float(value)
    if isinstance(value, (list, tuple)):
        return [_canonical(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise UnsupportedValueError("a map has a key that is not text")
        order = sorted(value, key=lambda key: key.encode())
        return {key: _canonical(value[key], depth + 1) for key in order}
    raise UnsupportedValueError(f"a value of type {type(value).__name__} has no encoding")


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
