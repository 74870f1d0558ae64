"""TOML as parts: tables and keys with the comments above them (TOML 1.0)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.params.parts import Form, Part, lead, unique

FORM = Form(join=lambda key, name: f"{key}.{name}" if key else name)
_HEADER = re.compile(r"\s*(\[\[?)(.*?)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""(?:[^"'=]|"(?:[^"\\]|\\.)*"|'[^']*')*""")
_TOKENS = re.compile(r'"""|\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]', re.DOTALL)


def values(text: str) -> Any:
    """Return the value of a text.

    Raises:
        UnfitError: for what is no TOML.
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnfitError(f"no TOML: {error}") from error


def parts(text: str) -> Part:
    """Return a text, which is TOML, as parts: keys, then tables by their full names, which hold keys."""
    lines = text.splitlines(keepends=True)
    items = list(_items(lines))
    tables = [n for n, (_, _, header) in enumerate(items) if header]
    top = items[: tables[0]] if tables else items
    seen: Counter[str] = Counter()

    def below() -> Iterator[tuple[str, Part]]:
        limit = items[tables[0]][0] if tables else len(lines)
        yield from _keys(lines, top, limit)
        for number, at in enumerate(tables):
            start, line, _ = items[at]
            last = tables[number + 1] if number + 1 < len(tables) else len(items)
            end = items[last][0] if last < len(items) else len(lines)
            found = _HEADER.match(lines[line])
            if found is None:
                raise UnfitError(f"a table's name in line {line + 1} is not understood")
            name = ".".join(_path(found[2]))
            if found[1] == "[[":
                seen[name] += 1
                name = f"{name}[{seen[name] - 1}]"
            inner = items[at + 1 : last]
            keys_start = inner[0][0] if inner else end
            keys = unique(_keys(lines, inner, end))
            value = {key: part.value for key, part in keys.items()}
            yield name, Part("".join(lines[start:end]), value, "".join(lines[start:keys_start]), keys)

    return Part(text, None, "", unique(below()))


def _keys(lines: list[str], items: list[tuple[int, int, bool]], end: int) -> Iterator[tuple[str, Part]]:
    for number, (start, line, _) in enumerate(items):
        stop = items[number + 1][0] if number + 1 < len(items) else end
        text = "".join(lines[start:stop])
        value = values("".join(lines[line:stop]))
        found = _KEY.match(lines[line])
        path = _path(found[0] if found is not None else "")
        for name in path:
            value = value[name]
        yield ".".join(path), Part(text, value)


def _path(key: str) -> list[str]:
    """Return the names of a dotted key."""
    value = values(f"{key.strip()} = 0")
    path: list[str] = []
    while isinstance(value, dict):
        name, value = next(iter(value.items()))
        path.append(name)
    return path


def _items(lines: list[str]) -> Iterator[tuple[int, int, bool]]:
    """Yield (first line with its comments, line of the key or header, whether it is a header) for each item."""
    number = previous = 0
    while number < len(lines):
        stripped = lines[number].strip()
        if not stripped or stripped.startswith("#"):
            number += 1
            continue
        column = len(lines[number]) - len(lines[number].lstrip(" "))
        start = lead(lines, number, previous, column) if previous else 0
        header = stripped.startswith("[")
        yield start, number, header
        number = previous = number + 1 if header else _end(lines, number)


def _end(lines: list[str], number: int) -> int:
    """Return the line after the value that begins in a line: strings and arrays may go on over lines."""
    depth, quote = 0, ""
    while number < len(lines):
        line, at = lines[number], 0
        number += 1
        while at < len(line):
            if quote:
                end = line.find(quote, at)
                while quote == '"""' and end > 0 and _escaped(line, end):
                    end = line.find(quote, end + 1)
                if end < 0:
                    break
                at, quote = end + 3, ""
                continue
            found = _TOKENS.search(line, at)
            if found is None:
                break
            sign, at = found[0], found.end()
            if sign in ('"""', "'''"):
                quote = sign
            elif sign in "[{":
                depth += 1
            elif sign in "]}":
                depth -= 1
        if not quote and depth <= 0:
            break
    return number


def _escaped(line: str, at: int) -> bool:
    before = line[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1
