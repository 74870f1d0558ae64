"""Break long messages between words, so that no command and no name is cut at a terminal's edge."""

from __future__ import annotations

import re
from typing import Final

from dsvc.commands.width import display_width

_NARROW: Final = 20
_WORD: Final = re.compile(r"\s*(?:'[^']*'\S*|\S+)")  # a quoted command stays in one piece


def wrapped(text: str, *, indent: int, width: int) -> str:
    """`text` in lines of at most `width` columns, where the first begins at column `indent` and so do the others.

    Words longer than a line are left whole. Of a text with several lines those after the first are left alone.
    """
    if width < _NARROW:
        return text  # a terminal that does not know how wide it is says 0
    first, *rest = text.split("\n")
    lines: list[str] = []
    line, used = "", indent
    for word in _WORD.findall(first):
        size = display_width(word)
        if line and used + size > width:
            lines.append(line)
            line = " " * indent + word.lstrip()
            used = display_width(line)
        else:
            line, used = line + word, used + size
    return "\n".join([*lines, line, *rest])
