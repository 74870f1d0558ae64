"""Differences of tables as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsvc.contents.driver import ContentDiff, Line
from dsvc.contents.sizes import counted
from dsvc.contents.tables.comparing import RowChange, TableDiff

_SHOWN = 20  # rows of each kind of change
_LONGEST = 40  # characters of a cell
_CELLS = 8  # of a row that one side does not have


def shown(found: TableDiff) -> ContentDiff:
    """Return a difference as lines, the headline first, and as JSON. Equal tables have no lines."""
    return ContentDiff(tuple(_lines(found)), _document(found))


def _lines(found: TableDiff) -> Iterator[Line]:
    columns = _columns(found)
    if not (found.added or found.removed or found.changed or columns):
        return
    counts = [(found.changed, "changed"), (found.added, "added"), (found.removed, "removed")]
    told = ", ".join(f"{number:,} {word}" for number, word in counts if number) or "no row differs"
    by = f" by {', '.join(name or '(unnamed)' for name in found.key)}" if found.key else ", no key"
    rows = f"{found.old_rows:,} -> {found.new_rows:,} rows" if found.old_rows != found.new_rows else None
    yield Line("head", f"{rows or counted(found.new_rows, 'row')}{by}: {told}")
    yield from columns
    if found.by_column and found.changed > 1:
        most = ", ".join(f"{name} in {number:,}" for name, number in found.by_column.most_common(10))
        more = len(found.by_column) - 10
        yield Line("dim", f"  changed cells: {most}" + (f" and {more} more columns" if more > 0 else ""))
    for kind, total in (("changed", found.changed), ("removed", found.removed), ("added", found.added)):
        rows_of = [row for row in found.rows if _kind(row) == kind]
        for row in rows_of[:_SHOWN]:
            yield _row(row, found)
        if total > _SHOWN:
            yield Line("dim", f"  ... {total - min(len(rows_of), _SHOWN):,} more {kind}")


def _columns(found: TableDiff) -> list[Line]:
    lines = [Line("added", f"+column {name}") for name in found.columns_added]
    lines += [Line("removed", f"-column {name}") for name in found.columns_removed]
    lines += [Line("changed", f" column {name}: {old} -> {new}") for name, old, new in found.types]
    if found.columns_moved:
        lines.append(Line("dim", " columns in another order"))
    return lines


def _kind(row: RowChange) -> str:
    return "added" if row.old is None else "removed" if row.new is None else "changed"


def _row(row: RowChange, found: TableDiff) -> Line:
    name = ", ".join(cell(value) for value in row.key)
    if row.old is not None and row.new is not None:
        cells = ", ".join(f"{column}: {cell(old)} -> {cell(new)}" for column, old, new in row.cells())
        return Line("changed", f" {name}  {cells}")
    cells_of = row.new if row.new is not None else row.old
    assert cells_of is not None
    rest = [f"{column}={cell(value)}" for column, value in cells_of.items() if column not in found.key]
    more = f", ... {len(rest) - _CELLS} more" if len(rest) > _CELLS + 1 else ""
    text = ", ".join(rest[:_CELLS] if more else rest) + more
    text = f"{name}  {text}" if found.key else text
    return Line("added", f"+{text}") if row.old is None else Line("removed", f"-{text}")


def cell(value: Any) -> str:
    """Return a cell for people: text as it is, an empty one and others so that they are told apart."""
    if value is None:
        return "null"
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = text.replace("\r", "").replace("\n", "\\n")
    if not text:
        return '""'
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _document(found: TableDiff) -> dict[str, Any]:
    return {
        "kind": "table",
        "key": list(found.key),
        "columns": {
            "added": list(found.columns_added),
            "removed": list(found.columns_removed),
            "types": [{"column": name, "old": old, "new": new} for name, old, new in found.types],
        },
        "old_rows": found.old_rows,
        "new_rows": found.new_rows,
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "rows": [_row_document(row) for row in found.rows],
    }


def _row_document(row: RowChange) -> dict[str, Any]:
    document: dict[str, Any] = {"change": _kind(row), "key": [json_value(value) for value in row.key]}
    if row.old is not None and row.new is not None:
        cells = [
            {"column": name, "old": json_value(old), "new": json_value(new)} for name, old, new in row.cells()
        ]
        return {**document, "cells": cells}
    cells_of = row.new if row.new is not None else row.old
    assert cells_of is not None
    return {**document, "row": {name: json_value(value) for name, value in cells_of.items()}}


def json_value(value: Any) -> Any:
    """Return a cell as JSON has it; types that JSON has not as text."""
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(name): json_value(item) for name, item in value.items()}
    if isinstance(value, float) and not (value == value and abs(value) != float("inf")):  # noqa: PLR0124 - NaN
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value if value is None or isinstance(value, bool | int | float) else str(value)
