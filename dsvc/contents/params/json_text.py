"""JSON as parts: each member of an object with the space before it (RFC 8259)."""

from __future__ import annotations

import json
import re
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.params.parts import Form, Part

_SPACE = re.compile(r"[ \t\r\n]*")
_DEEPEST = 100


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnfitError("a key stands twice in one object")
    return found


_DECODER = JSONDecoder(object_pairs_hook=_pairs)


def values(text: str) -> Any:
    """Return the value of a text.

    Raises:
        UnfitError: for what is no JSON, with the line.
    """
    try:
        return _DECODER.decode(text)
    except JSONDecodeError as error:
        raise UnfitError(f"no JSON: {error.msg} in line {error.lineno}") from error


def parts(text: str) -> Part:
    """Return a text, which is JSON, as parts."""
    part, end = _value(text, _SPACE.match(text).end(), 0)  # type: ignore[union-attr]
    if part.below is None:
        return Part(text, part.value)
    lead = text[: text.index("{")]
    return Part(text, part.value, lead + part.head, part.below, part.tail + text[end:])


def _value(text: str, at: int, depth: int) -> tuple[Part, int]:
    """Read a value at a place; return it as a part without the space around it, and where it ends."""
    if text[at] != "{" or depth > _DEEPEST:
        value, end = _DECODER.raw_decode(text, at)
        return Part(text[at:end], value), end
    start, members, found = at, {}, {}
    at += 1
    while True:
        begin = at
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if text[at] == "}":
            tail = text[begin : at + 1]
            break
        name, at = _DECODER.raw_decode(text, at)
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
        inner, end = _value(text, at, depth + 1)
        before = text[begin:at]
        members[name] = Part(before + inner.text, inner.value, before + inner.head, inner.below, inner.tail)
        found[name] = inner.value
        begin = end
        at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
        if text[at] == "}":
            tail = text[begin : at + 1]
            break
        members[name].text += text[end:at]  # space before a comma belongs to what stands before it
        if members[name].below is not None:
            members[name].tail += text[end:at]
        at += 1
    return Part(text[start : at + 1], found, "{", members, tail), at + 1


def _mark(sides: list[tuple[str, str]], last: bool) -> str:  # noqa: FBT001 - as Form has it
    comma = "" if last else ","
    label, ours = sides[0]
    text = f"\n<<<<<<< {label}" + _member(ours, comma)
    if len(sides) == 3:
        text += f"\n||||||| {sides[1][0]}" + _member(sides[1][1], comma)
    label, theirs = sides[-1]
    return f"{text}\n======={_member(theirs, comma)}\n>>>>>>> {label}"


def _member(text: str, comma: str) -> str:
    if not text:
        return ""
    return (text if text.startswith("\n") else "\n" + text.lstrip(" ")) + comma


FORM = Form(",", _mark)


def shown(value: Any) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
