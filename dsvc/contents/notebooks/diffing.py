"""How two notebooks differ: cells, outputs, counters and metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dsvc.contents.driver import ContentDiff, Line, Tone
from dsvc.contents.keyed import ABSENT, Difference, differences, text_of
from dsvc.contents.notebooks.match import align
from dsvc.contents.notebooks.model import Cell, Notebook
from dsvc.contents.notebooks.outputs import content_of, lines_of
from dsvc.contents.sizes import counted
from dsvc.contents.text_lines import text_lines, whole

_OUTPUT_LINES = 12  # of the outputs of one cell
_SOURCE_LINES = 200  # of a cell that one side does not have

Change = Literal["added", "removed", "changed", "moved"]


@dataclass(frozen=True, slots=True)
class CellChange:
    """A cell that differs: its versions, where they stand (from 0), and what of it differs."""

    change: Change
    old: Cell | None
    new: Cell | None
    old_place: int | None
    new_place: int | None
    outputs: bool = False
    metadata: tuple[Difference, ...] = ()
    counter_alone: bool = False

    @property
    def source(self) -> bool:
        """Whether source or kind differs."""
        old, new = self.old, self.new
        return old is None or new is None or (old.source, old.kind) != (new.source, new.kind)


@dataclass(frozen=True, slots=True)
class NotebookDiff:
    """All that differs between two notebooks, cells in order, and how many cells differ only by their counters."""

    cells: tuple[CellChange, ...]
    metadata: tuple[Difference, ...]
    counters: int


def compare(old: Notebook | None, new: Notebook | None) -> NotebookDiff:
    """Compare two notebooks; None for one that does not exist."""
    before: Sequence[Cell] = old.cells if old is not None else ()
    after: Sequence[Cell] = new.cells if new is not None else ()
    changes: list[CellChange] = []
    counters = 0
    for a, b in align(before, after):
        if a is None or b is None:
            cell = before[a] if a is not None else after[b or 0]
            gone = a is not None
            changes.append(
                CellChange("removed" if gone else "added", cell if gone else None, None if gone else cell, a, b)
            )
            continue
        one = _cell(before[a], after[b], a, b)
        if one.counter_alone:
            counters += 1
        elif one.source or one.outputs or one.metadata:
            changes.append(one)
    metadata = tuple(differences(old.metadata, new.metadata)) if old is not None and new is not None else ()
    if old is not None and new is not None and (old.major, old.minor) != (new.major, new.minor):
        metadata += (Difference("nbformat", f"{old.major}.{old.minor}", f"{new.major}.{new.minor}"),)
    return NotebookDiff(tuple(_with_moves(changes)), metadata, counters)


def _cell(old: Cell, new: Cell, a: int, b: int) -> CellChange:
    outputs = [content_of(output) for output in old.outputs] != [content_of(output) for output in new.outputs]
    metadata = differences(old.raw.get("metadata", {}), new.raw.get("metadata", {}), "metadata")
    attached = differences(old.raw.get("attachments", {}), new.raw.get("attachments", {}), "attachments")
    found = (*metadata, *attached)
    alone = not outputs and not found and old.source == new.source and old.kind == new.kind
    return CellChange("changed", old, new, a, b, outputs, found, alone and old.counter != new.counter)


def _with_moves(changes: list[CellChange]) -> Iterator[CellChange]:
    """Bring together what was removed in one place and added, with the same id or source, in another."""
    gone: dict[tuple[str, str], CellChange] = {}
    for change in changes:
        if change.change == "removed" and change.old is not None:
            gone.setdefault(_mark(change.old), change)
    moved: set[int] = set()
    for change in changes:
        if change.change != "added" or change.new is None:
            continue
        source = gone.pop(_mark(change.new), None)
        if source is not None and source.old is not None and len(change.new.source) > 3:
            moved |= {id(source), id(change)}
            gone[("moved to", str(id(change)))] = source
    for change in changes:
        if id(change) not in moved:
            yield change
        elif change.new is not None:
            start = gone[("moved to", str(id(change)))]
            assert start.old is not None
            one = _cell(start.old, change.new, start.old_place or 0, change.new_place or 0)
            yield replace(one, change="moved", counter_alone=False)


def _mark(cell: Cell) -> tuple[str, str]:
    return ("id", cell.id) if cell.id is not None else (cell.kind, cell.source)


def diff_of(old: Notebook | None, new: Notebook | None, *, context: int) -> ContentDiff:
    """Return a difference as lines and as JSON."""
    found = compare(old, new)
    return ContentDiff(tuple(_lines(found, context)), _document(found, context))


def _lines(found: NotebookDiff, context: int) -> Iterator[Line]:
    for change in found.cells:
        yield from _cell_lines(change, context)
    for difference in found.metadata:
        yield _metadata_line(difference, "notebook ")
    if found.counters:
        yield Line("dim", f"{counted(found.counters, 'cell')} ran again with the same outputs (only counters differ)")


def _cell_lines(change: CellChange, context: int) -> Iterator[Line]:
    cell = change.new or change.old
    assert cell is not None
    yield Line("head", _title(change, cell))
    if change.change in ("added", "removed"):
        tone: Tone = "added" if change.change == "added" else "removed"
        yield from whole(cell.source, tone, most=_SOURCE_LINES)
        if cell.outputs:
            yield Line("dim", "  outputs")
            yield from whole(lines_of(cell.outputs), tone, most=_OUTPUT_LINES)
        return
    assert change.old is not None
    assert change.new is not None
    if change.old.source != change.new.source:
        yield from text_lines(change.old.source, change.new.source, context=context)
    for difference in change.metadata:
        yield _metadata_line(difference, "  ")
    if change.outputs:
        yield Line("dim", "  outputs")
        old, new = lines_of(change.old.outputs), lines_of(change.new.outputs)
        if old == new:
            yield Line("dim", "   the same to see, and other bytes")
        yield from text_lines(old, new, context=min(context, 1), most=_OUTPUT_LINES)


def _title(change: CellChange, cell: Cell) -> str:
    place = change.new_place if change.new_place is not None else change.old_place
    title = f"{cell.kind} cell {(place or 0) + 1}"
    if change.change == "moved":
        title += f", moved from {(change.old_place or 0) + 1}"
    elif change.change != "changed":
        return f"{title}, {change.change}"
    if change.old is not None and change.old.kind != cell.kind:
        title += f", was {change.old.kind}"
    if change.old is not None and not change.source and change.outputs:
        title += ", same source"
    return title


def _metadata_line(difference: Difference, before: str) -> Line:
    tone: Tone = difference.change
    mark = {"added": "+", "removed": "-", "changed": ""}[tone]
    old, new = (_short(value) for value in (difference.old, difference.new))
    values = " -> ".join(value for value in (old, new) if value)
    return Line(tone, f"{before}{mark}{difference.key}: {values}")


def _short(value: Any) -> str:
    if value is ABSENT:
        return ""
    text = text_of(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _document(found: NotebookDiff, context: int) -> dict[str, Any]:
    return {
        "kind": "notebook",
        "cells": [_cell_document(change, context) for change in found.cells],
        "metadata": [difference_document(difference) for difference in found.metadata],
        "counters": found.counters,
    }


def _cell_document(change: CellChange, context: int) -> dict[str, Any]:
    cell = change.new or change.old
    assert cell is not None
    sources = [side.source if side is not None else "" for side in (change.old, change.new)]
    outputs = [lines_of(side.outputs) if side is not None else "" for side in (change.old, change.new)]
    return {
        "change": change.change,
        "cell_type": cell.kind,
        "id": cell.id,
        "old": change.old_place,
        "new": change.new_place,
        "source": [line.text for line in text_lines(*sources, context=context, indent="")],
        "outputs": [line.text for line in text_lines(*outputs, context=1, indent="")],
        "metadata": [difference_document(difference) for difference in change.metadata],
    }


def difference_document(difference: Difference) -> dict[str, Any]:
    """Return a difference of a key as a JSON object: a side that does not have it has no field."""
    sides = {"old": difference.old, "new": difference.new}
    values = {name: _json_value(value) for name, value in sides.items() if value is not ABSENT}
    return {"key": difference.key, "change": difference.change, **values}


def _json_value(value: Any) -> Any:
    import json

    return json.loads(json.dumps(value, default=str))
