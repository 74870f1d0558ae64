"""How names of files, which are bytes, are shown as text and in JSON."""

from __future__ import annotations

import binascii
from typing import Final

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
