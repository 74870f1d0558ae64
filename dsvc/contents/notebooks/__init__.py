"""The driver for Jupyter notebooks."""

from __future__ import annotations

from collections import Counter

from dsvc.contents.driver import ContentDiff, ContentMerge, ContentSummary, Line, MergeLabels, Settings, Source
from dsvc.contents.notebooks.diffing import diff_of
from dsvc.contents.notebooks.merging import merge_notebooks
from dsvc.contents.notebooks.model import LIMIT, read
from dsvc.contents.notebooks.outputs import lines_of
from dsvc.contents.notebooks.page import page_of
from dsvc.contents.sizes import counted
from dsvc.contents.text_lines import whole

NAME = "notebook"
MERGE_LIMIT = LIMIT

_SHOWN = 10  # lines of the outputs of a cell in a summary


def diff(old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
    """Compare cell by cell."""
    return diff_of(read(old), read(new), context=settings.context)


def merge(
    base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings
) -> ContentMerge:
    """Merge cell by cell; the result is a valid notebook with markers inside of sources."""
    del settings
    sides = read(ours), read(theirs)
    assert sides[0] is not None
    assert sides[1] is not None
    found = merge_notebooks(read(base), sides[0], sides[1], labels)
    return ContentMerge((found.content,), found.conflicts, found.notes)


def summary(source: Source, settings: Settings) -> ContentSummary:
    """Show cells with their sources and the beginning of what they printed."""
    del settings
    notebook = read(source)
    assert notebook is not None
    kinds = Counter(cell.kind for cell in notebook.cells)
    count = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    said = [counted(len(notebook.cells), "cell") + (f" ({count})" if count else "")]
    said += [notebook.language] * bool(notebook.language) + [f"nbformat {notebook.major}.{notebook.minor}"]
    lines = [Line("plain", "Notebook: " + ", ".join(said))]
    for number, cell in enumerate(notebook.cells, 1):
        mark = f" [{cell.counter}]" if cell.counter is not None else ""
        lines += [Line("head", f"{cell.kind} cell {number}{mark}"), *whole(cell.source, "plain", indent=" ")]
        if cell.outputs:
            lines += [Line("dim", "  outputs"), *whole(lines_of(cell.outputs), "dim", indent=" ", most=_SHOWN)]
    document = {
        "kind": NAME,
        "nbformat": f"{notebook.major}.{notebook.minor}",
        "language": notebook.language,
        "cells": [
            {"cell_type": c.kind, "id": c.id, "lines": len(c.source.splitlines()), "outputs": len(c.outputs)}
            for c in notebook.cells
        ],
    }
    return ContentSummary(tuple(lines), document)


def page(old: Source | None, new: Source | None, settings: Settings) -> str | None:
    """Show the cells that differ side by side."""
    del settings
    return page_of(read(old), read(new))
