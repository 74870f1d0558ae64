"""From what a file or a command line says to a typed value, and back to text."""

from __future__ import annotations

import re
from typing import Final

from dsvc.config.keys import KnownKey, Value
from dsvc.errors import RequestError

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_UNITS: Final = {
    "": 1,
    "b": 1,
    **{f"{letter}{end}": 1 << (10 * power) for power, letter in enumerate("kmgtp", 1) for end in ("", "ib")},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
}


class BadValueError(RequestError):
    """A configured value is not of the type that its key needs."""


def parse_size(text: str) -> int | None:
    """The number of bytes that `10`, `64k`, `1GiB` or `1.5 GB` says, or None.

    `k`, `M`, `G` and `KiB`, `MiB`, `GiB` count in powers of 1024; `kB`, `MB`, `GB` in powers of 1000.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _UNITS:
        return None
    return int(float(match[1]) * _UNITS[match[2].lower()])


def as_bool(value: Value) -> bool | None:
    """`value` as a truth value, or None where it is none."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    return True if word in _TRUE else False if word in _FALSE else None


def as_int(value: Value) -> int | None:
    """`value` as a whole number, or None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        return int(str(value))
    except ValueError:
        return None


def as_size(value: Value) -> int | None:
    """`value` as a number of bytes that is not negative, or None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    return parse_size(str(value))


def as_text(value: Value) -> str:
    """How `value` is printed, so that typing it again means the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value)


def as_list(value: Value) -> tuple[str, ...]:
    """`value` as a list; text is split at commas."""
    if isinstance(value, tuple):
        return value
    return tuple(part.strip() for part in as_text(value).split(",") if part.strip())


def typed(key: KnownKey, value: Value, *, origin: str) -> Value:
    """`value` in the type of `key`; raises BadValueError, which names `origin`, where that cannot be."""
    result: Value | None
    match key.kind:
        case "bool":
            result, wanted = as_bool(value), "true or false"
        case "int":
            result, wanted = as_int(value), "a whole number"
        case "size":
            result, wanted = as_size(value), "a size such as 1GiB"
        case "list":
            result, wanted = as_list(value), "a list"
        case "str":
            result, wanted = as_text(value), "one of " + ", ".join(key.choices)
            if key.choices and result not in key.choices:
                result = None
    if result is None:
        raise BadValueError(
            f"{key.name} must be {wanted}, not {as_text(value)!r} ({origin})",
            hint=f"set it with 'dsvc config {key.name} VALUE'",
            details={"key": key.name, "value": as_text(value), "origin": origin},
        )
    return result


def stored(key: KnownKey | None, text: str) -> Value:
    """What `dsvc config KEY TEXT` writes: TOML's own bool, int or list, a size as it was typed.

    Raises BadValueError where `text` does not fit a known key. An unknown key keeps `true`, `false` and
    whole numbers as such, everything else as text.
    """
    if key is None:
        if text in {"true", "false"}:
            return text == "true"
        return int(text) if re.fullmatch(r"-?(0|[1-9]\d{0,17})", text, re.ASCII) else text
    value = typed(key, text, origin="command line")
    return text if key.kind == "size" and not text.isdecimal() else value
