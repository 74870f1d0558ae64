"""What images and audio files have in common: one side is taken whole, and a page shows both."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from dsvc.contents.driver import ContentDiff, ContentMerge, ContentSummary, Line, MergeLabels, Source
from dsvc.contents.sizes import size_text

_ON_PAGE = 32 << 20  # bytes of a file that is put into a page

Facts = Mapping[str, Any]


def facts_line(facts: Facts) -> str:
    """Return what is known of a file as one line."""
    return ", ".join(str(value) if name in ("form", "size") else f"{name} {value}" for name, value in facts.items())


def compared(kind: str, old: Facts | None, new: Facts | None, apart: Facts) -> ContentDiff:
    """Return a difference: facts that differ, then how far the two are apart."""
    lines: list[Line] = []
    if old is None or new is None:
        facts = new if new is not None else old
        assert facts is not None
        text = facts_line(facts)
        lines.append(Line("added", f"+{text}") if old is None else Line("removed", f"-{text}"))
    else:
        for name in dict.fromkeys([*old, *new]):
            a, b = old.get(name), new.get(name)
            text = f" {name}: {a} -> {b}" if a != b else f" {name}: {a}"
            lines.append(Line("changed" if a != b else "dim", text))
        lines += [Line("changed", f" {name}: {value}") for name, value in apart.items()]
    return ContentDiff(tuple(lines), {"kind": kind, "old": old, "new": new, "apart": apart or None})


def one_side(base: Source | None, ours: Source, theirs: Source, labels: MergeLabels) -> ContentMerge:
    """Keep both sides beside each other, or take the favored one."""
    if labels.favor is None:
        return ContentMerge(None, 1)
    chosen = {"ours": ours, "theirs": theirs, "base": base or ours}[labels.favor]
    return ContentMerge(chosen.chunks())


def summed(kind: str, facts: Facts) -> ContentSummary:
    """Return what is known of a file."""
    return ContentSummary((Line("plain", facts_line(facts)),), {"kind": kind, **facts})


def both_on_page(element: str, mime: str, old: Source | None, new: Source | None, notes: list[str]) -> str:
    """Return both sides in a row of a table; `element` takes the address of the content."""
    cells = []
    for side in (old, new):
        if side is None:
            cells.append("<td></td>")
        elif side.size > _ON_PAGE:
            cells.append(f"<td>{size_text(side.size)}, too large for a page</td>")
        else:
            address = f"data:{mime};base64,{b64encode(side.read()).decode('ascii')}"
            cells.append(f"<td>{element.replace('ADDRESS', address)}<br>{size_text(side.size)}</td>")
    said = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    return f'<table class="sides"><tr>{"".join(cells)}</tr></table>{said}'
