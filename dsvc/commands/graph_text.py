"""Commits beside their graph, in colours by lane, and in box-drawing characters where the terminal has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from dsvc.commands.graph_lines import GraphLines, Row
from dsvc.commands.output import Output
from dsvc.objects.ids import CommitId

_COLORS: Final = ("red", "green", "yellow", "blue", "magenta", "cyan")
_BOXES: Final = str.maketrans("|/\\-.*", "\u2502\u2571\u2572\u2500\u256e\u25cf")


class GraphWriter:
    """Prints one commit after the other, each line of it beside the graph."""

    __slots__ = ("_boxes", "_graph", "_out")

    def __init__(self, out: Output, *, boxes: bool) -> None:
        self._graph: GraphLines[CommitId] = GraphLines()
        self._out = out
        self._boxes = boxes

    def write(
        self, commit_id: CommitId, parents: Sequence[CommitId], lines: Iterable[bytes], *, apart: bool = False
    ) -> None:
        """Print the rows of a commit; `lines`, without line ends, stand from the row of its mark on.

        `apart` puts a row without text before it.
        """
        graph, out = self._graph, self._out
        if apart:
            out.line(self._drawn(graph.next_row()))
        graph.begin(commit_id, parents)
        text = iter(lines)
        for row, shown in graph.rows_to_commit():
            if shown:
                self._line(row, next(text, b""))
            else:
                out.line(self._drawn(row))
        for line in text:
            self._line(graph.next_row(), line)
        for row in graph.rest():
            out.line(self._drawn(row))

    def _line(self, row: Row, text: bytes) -> None:
        self._out.raw(self._drawn(row).encode() + text + b"\n")

    def _drawn(self, row: Row) -> str:
        pieces: list[str] = []
        for character, color in row:
            shown = character.translate(_BOXES) if self._boxes else character
            pieces.append(shown if color is None else self._out.paint(shown, _COLORS[color]))
        return "".join(pieces)


def takes_boxes(environment: Iterable[tuple[str, str]], *, terminal: bool) -> bool:
    """Whether the terminal shows more than ASCII, by the locale that the environment names."""
    if not terminal:
        return False
    values = dict(environment)
    locale = values.get("LC_ALL") or values.get("LC_CTYPE") or values.get("LANG") or ""
    return "utf-8" in locale.lower() or "utf8" in locale.lower()
