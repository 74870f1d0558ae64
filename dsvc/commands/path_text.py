"""How names of files, which are bytes, are shown as text and in JSON."""

from __future__ import annotations

import binascii
import re
from typing import Any, Final

_MISLEADS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_COLOUR: Final = re.compile("(\x1b\\[[0-9;]*m)")
_ESCAPES: Final = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


def quote_path(path: bytes) -> str:
    """`path` as it is printed: itself, or in double quotes with escapes where it could mislead.

    Quoted are names with control characters, double quotes, backslashes, bytes that are not UTF-8, and
    invisible characters that change the direction of text. Escapes are those of C and of git's
    core.quotePath, but letters outside ASCII stay as they are.
    """
    if path.isascii() and path.decode("ascii").isprintable() and b'"' not in path and b"\\" not in path:
        return path.decode("ascii")
    quoted = False
    parts: list[str] = []
    for character in path.decode("utf-8", "surrogateescape"):
        code = ord(character)
        if code in _ESCAPES:
            parts.append("\\" + _ESCAPES[code])
        elif 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\{code - 0xDC00:03o}")
        elif not character.isprintable():
            parts.extend(f"\\{byte:03o}" for byte in character.encode("utf-8"))
        else:
            parts.append(character)
            continue
        quoted = True
    text = "".join(parts)
    return f'"{text}"' if quoted else text


def path_json(path: bytes) -> dict[str, str]:
    """The fields that name `path` in a JSON document.

    A name that is UTF-8 gives `path`. Any other gives `path` with replacement characters, for people, and
    `path_b64`, the exact bytes in base64.
    """
    try:
        return {"path": path.decode("utf-8")}
    except UnicodeDecodeError:
        exact = binascii.b2a_base64(path, newline=False).decode("ascii")
        return {"path": path.decode("utf-8", "replace"), "path_b64": exact}


def plain_text(text: str, *, painted: bool = False) -> str:
    """A message as it is printed: what would steer a terminal, change the direction of text, or is no UTF-8 is escaped.

    Names of files stand in messages, and they may come from anybody. New lines and tabs stay, and colours if it is
    `painted`.
    """
    if painted and "\x1b" in text:
        return "".join(part if _COLOUR.fullmatch(part) else plain_text(part) for part in _COLOUR.split(text))
    return _MISLEADS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\{code - 0xDC00:03o}"
    return "".join(f"\\{byte:03o}" for byte in found[0].encode("utf-8", "replace"))


def exact_json(value: Any) -> Any:
    """A JSON value in which all text is valid: beside text under KEY that is no UTF-8 stand its bytes under KEY_b64.

    Of a list of texts all have their bytes there, in the same order.
    """
    if isinstance(value, list | tuple):
        return [exact_json(item) for item in value]
    if not isinstance(value, dict):
        return _readable(value) if isinstance(value, str) else value
    exact: dict[str, Any] = {}
    for key, item in value.items():
        exact[key] = exact_json(item)
        if isinstance(item, str) and _is_broken(item):
            exact.setdefault(f"{key}_b64", _base64(item))
        elif isinstance(item, list | tuple) and any(isinstance(one, str) and _is_broken(one) for one in item):
            exact.setdefault(f"{key}_b64", [_base64(one) for one in item if isinstance(one, str)])
    return exact


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _readable(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _base64(text: str) -> str:
    try:
        exact = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        exact = text.encode("utf-8", "replace")
    return binascii.b2a_base64(exact, newline=False).decode("ascii")
