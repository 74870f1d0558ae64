"""Turn what programs log into values that can be stored: types are kept, and what has no form becomes text."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeGuard

from dsvc.objects.codec import MAX_DIGITS, Value

MAX_TEXT = 16 << 10  # characters of one text
MAX_NAME = 500  # characters
_MAX_ITEMS = 10_000  # of one value, all levels counted
_MAX_DEPTH = 16
_CUT = " … (cut)"


def storable(value: object) -> Value:
    """Return a value with the same types that can be stored.

    NumPy's and other scalars become what their `item()` gives; mappings get text keys; texts and collections beyond the
    bounds are cut and say so. Whatever has no form of its own becomes the text that `str` gives. Nothing is raised.
    """
    return _storable(value, [_MAX_ITEMS], 0)


def _storable(value: Any, left: list[int], depth: int) -> Value:
    left[0] -= 1
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return value if -(1 << 63) <= value < (1 << 64) else _big(value)
    if kind is str:
        return clean_text(value)
    if left[0] < 0 or depth > _MAX_DEPTH:
        return _CUT.strip()
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return _big(int(value))
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return clean_text(str(value))
    if isinstance(value, (bytes, bytearray)):
        return clean_text(bytes(value[:MAX_TEXT]).decode("utf-8", "backslashreplace"))
    if isinstance(value, Mapping):
        pairs = islice(value.items(), max(left[0], 0))
        return {clean_name(str(key)): _storable(item, left, depth + 1) for key, item in pairs}
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(_storable(item, left, depth + 1) for item in islice(value, max(left[0], 0)))
    return _other(value, left, depth)


def _other(value: Any, left: list[int], depth: int) -> Value:
    """Return what an object of some library stands for: a scalar or an array of one, or its text."""
    for name in ("item", "tolist"):
        convert = getattr(value, name, None)
        if callable(convert):
            try:
                plain = convert()
            except Exception:  # noqa: BLE001, S112 - an array of several elements, or anything at all
                continue
            if type(plain) is not type(value):
                return _storable(plain, left, depth + 1)
    try:
        return clean_text(str(value))
    except Exception:  # noqa: BLE001 - it is somebody else's code
        return clean_text(f"<{type(value).__name__}>")


def _big(value: int) -> Value:
    if value.bit_length() <= 3 * MAX_DIGITS:  # each digit takes more than three bits
        return value
    return f"<an integer of {value.bit_length()} bits>"


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text that can be stored: valid UTF-8, and not too long."""
    if len(text) > limit:
        text = text[: limit - len(_CUT)] + _CUT
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _escaped(text) else "backslashreplace").decode(
            "utf-8", "backslashreplace"
        )
    return text


def _escaped(text: str) -> bool:
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in text)


def clean_name(name: str) -> str:
    """Return the name of a parameter, metric or label as it can be stored."""
    return clean_text(name, MAX_NAME)


def flat(values: Mapping[str, Value], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the leaves of nested maps with dotted names: `model.layers` for a map `layers` in a map `model`."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def is_finite(value: Value) -> TypeGuard[int | float]:
    """Say whether a value is a number that a float can hold: no truth value, no NaN, no infinity."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is larger than any float
        return False


def shortest(value: float) -> float:
    """Return the shortest decimal number that a 32-bit float stands for: 0.1, and not 0.10000000149."""
    short = float(f"{value:.7g}")
    return short if struct.pack("<f", short) == struct.pack("<f", value) else value
