"""The driver for tables: CSV, TSV, JSON Lines and Parquet, by rows and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.contents.driver import (
    ContentDiff,
    ContentMerge,
    ContentSummary,
    Line,
    MergeLabels,
    Settings,
    Source,
)
from dsvc.contents.sizes import counted
from dsvc.contents.tables.comparing import compare
from dsvc.contents.tables.merging import merge_tables
from dsvc.contents.tables.records import Csv, TextTable, open_table
from dsvc.contents.tables.showing import cell, json_value, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "table"
MERGE_LIMIT = 1 << 40

_FIRST = 10  # rows of a summary


def diff(old: Source | None, new: Source | None, settings: Settings) -> ContentDiff:
    """Compare by rows and cells. A table that is new or gone is summed up."""
    if old is None or new is None:
        one = new if new is not None else old
        assert one is not None
        found = summary(one, settings)
        tone, sign = ("added", "+") if old is None else ("removed", "-")
        lines = [Line("added" if tone == "added" else "removed", sign + line.text) for line in found.lines]
        return ContentDiff(tuple(lines), found.document)
    if is_parquet(old) or is_parquet(new):
        from dsvc.contents.tables import parquet

        return shown(parquet.compare_files(old, new, key_of(settings)))
    return shown(compare(open_table(old, settings), open_table(new, settings), key_of(settings)))


def merge(
    base: Source | None, ours: Source, theirs: Source, labels: MergeLabels, settings: Settings
) -> ContentMerge:
    """Merge by rows and cells."""
    if any(is_parquet(side) for side in (base, ours, theirs) if side is not None):
        from dsvc.contents.tables import parquet

        return parquet.merge_files(base, ours, theirs, key_of(settings), labels)
    tables = [open_table(side, settings) if side is not None else None for side in (base, ours, theirs)]
    assert tables[1] is not None
    assert tables[2] is not None
    return merge_tables(tables[0], tables[1], tables[2], key_of(settings), labels)


def summary(source: Source, settings: Settings) -> ContentSummary:
    """Say how many rows and which columns there are, and show the first rows."""
    if is_parquet(source):
        from dsvc.contents.tables import parquet

        return parquet.summary(source)
    table = open_table(source, settings)
    count = 0
    first: list[bytes] = []
    for block in table.blocks():
        first += block[: _FIRST - len(first)]
        count += len(block)
    rows = [table.form.cells(record) for record in first]
    columns = list(table.form.columns) or list(dict.fromkeys(name for row in rows for name in row))
    head = f"{_form_name(table)}: {counted(count, 'row')}, {counted(len(columns), 'column')}"
    lines = [Line("plain", head), *grid(columns, [[cell(row.get(name)) for name in columns] for row in rows])]
    document = {
        "kind": NAME,
        "form": _form_name(table),
        "rows": count,
        "columns": [{"name": name, "type": None} for name in columns],
        "first": [{name: json_value(value) for name, value in row.items()} for row in rows],
    }
    return ContentSummary(tuple(lines), document, instead=False)


def page(old: Source | None, new: Source | None, settings: Settings) -> str | None:
    """Leave it to the lines."""
    del old, new, settings
    return None


def is_parquet(source: Source) -> bool:
    """Say whether a content is Parquet, by its first bytes."""
    return source.head(4) == b"PAR1"


def key_of(settings: Settings) -> tuple[str, ...] | None:
    """Return the columns that `key=` names, None where it is not set."""
    text = settings.text("key")
    return tuple(name.strip() for name in text.split(",") if name.strip()) or None if text is not None else None


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Line]:
    """Return rows in columns, at most ten and twelve of them."""
    some = list(columns[:12])
    cells = [some, *([*row[:12]] for row in rows)]
    widths = [min(24, max(len(row[n]) for row in cells)) for n in range(len(some))]
    lines = []
    for number, row in enumerate(cells):
        text = "  ".join(f"{value[:24]:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        lines.append(Line("head" if number == 0 else "plain", f"  {text}" + ("  ..." if len(columns) > 12 else "")))
    return lines


def _form_name(table: TextTable) -> str:
    if isinstance(table.form, Csv):
        return "TSV" if table.form.separator == b"\t" else "CSV"
    return "JSON Lines"
