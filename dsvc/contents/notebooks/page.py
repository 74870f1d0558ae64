"""Two notebooks side by side as HTML; nothing of them is run, and no script is let through."""

from __future__ import annotations

import html
from collections.abc import Iterator
from difflib import SequenceMatcher

from dsvc.contents.notebooks.diffing import CellChange, compare
from dsvc.contents.notebooks.model import Cell, Notebook
from dsvc.contents.notebooks.outputs import image_of, lines_of

_MOST_LINES = 2000


def page_of(old: Notebook | None, new: Notebook | None) -> str:
    """Return the cells that differ as rows of a table, the old side left."""
    found = compare(old, new)
    rows = [part for change in found.cells for part in _rows(change)]
    for difference in found.metadata:
        sides = [html.escape(repr(value)) for value in (difference.old, difference.new)]
        rows.append(f'<tr><th colspan="2">notebook: {html.escape(difference.key)}</th></tr>')
        rows.append(f"<tr><td>{sides[0]}</td><td>{sides[1]}</td></tr>")
    if found.counters:
        rows.append(f'<tr><th colspan="2">{found.counters} cells: only counters differ</th></tr>')
    return f'<table class="sides">{"".join(rows)}</table>'


def _rows(change: CellChange) -> Iterator[str]:
    cell = change.new or change.old
    assert cell is not None
    place = change.new_place if change.new_place is not None else change.old_place
    title = f"{cell.kind} cell {(place or 0) + 1}: {change.change}"
    yield f'<tr><th colspan="2">{html.escape(title)}</th></tr>'
    old = change.old.source if change.old is not None else None
    new = change.new.source if change.new is not None else None
    if old != new:
        left, right = side_by_side(old or "", new or "")
        yield f'<tr class="source"><td><pre>{left}</pre></td><td><pre>{right}</pre></td></tr>'
    if change.outputs or old is None or new is None:
        yield f'<tr class="outputs"><td>{_outputs(change.old)}</td><td>{_outputs(change.new)}</td></tr>'


def side_by_side(old: str, new: str) -> tuple[str, str]:
    """Return two texts as HTML, with the lines that differ marked."""
    a, b = old.splitlines()[:_MOST_LINES], new.splitlines()[:_MOST_LINES]
    left: list[str] = []
    right: list[str] = []
    for what, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if what == "equal":
            left += [html.escape(line) for line in a[i:j]]
            right += [html.escape(line) for line in b[k:m]]
            continue
        rows = max(j - i, m - k)
        left += [f"<del>{html.escape(line)}</del>" for line in a[i:j]] + [""] * (rows - (j - i))
        right += [f"<ins>{html.escape(line)}</ins>" for line in b[k:m]] + [""] * (rows - (m - k))
    return "\n".join(left), "\n".join(right)


def _outputs(cell: Cell | None) -> str:
    if cell is None:
        return ""
    parts = []
    for output in cell.outputs:
        image = image_of(output)
        if image is None:
            parts.append(f"<pre>{html.escape(lines_of([output]))}</pre>")
            continue
        mime, content = image
        if mime == "image/svg+xml":  # as a picture of its own, where scripts do not run
            from base64 import b64encode

            content = b64encode(content.encode("utf-8", "replace")).decode("ascii")
        data = "".join(char for char in content if char.isalnum() or char in "+/=")
        parts.append(f'<img src="data:{mime};base64,{data}" alt="{mime}">')
    return "".join(parts)
