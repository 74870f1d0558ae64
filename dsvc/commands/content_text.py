"""Lines that say what is inside files, in colours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dsvc.commands.output import Output
from dsvc.commands.path_text import quote_path
from dsvc.contents.driver import Line

_STYLES: Final = {
    "added": ("green",),
    "removed": ("red",),
    "changed": ("yellow",),
    "head": ("cyan",),
    "dim": ("dim",),
    "same": (),
    "plain": (),
}


def print_lines(out: Output, lines: Iterable[Line]) -> None:
    """Print lines that a driver made; what a terminal would take for a command is shown as text."""
    for tone, text in lines:
        styles = _STYLES[tone]
        out.line(out.paint(shown(text), *styles) if styles and text else shown(text))


def shown(text: str) -> str:
    """Return text of a file without control characters."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\t\u200d" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if char.isspace():
        return " "
    return quote_path(char.encode("utf-8", "surrogatepass")).strip('"') if ord(char) < 128 else f"\\u{ord(char):04x}"
