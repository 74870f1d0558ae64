"""How wide a text is on a terminal."""

from __future__ import annotations


def display_width(text: str) -> int:
    """The columns that `text` takes on a terminal, colours not counted."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    import re
    import unicodedata

    plain = re.sub("\x1b\\[[0-9;]*m", "", text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in plain
    )
