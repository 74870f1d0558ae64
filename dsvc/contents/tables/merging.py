"""Three-way merge of tables of text by key: rows, and the cells of rows that both sides changed.

Tables of more than `IN_MEMORY` bytes in all are merged part by part (dsvc.contents.tables.large_merge), with the same
result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from dsvc.contents.driver import ContentMerge, MergeLabels, UnfitError
from dsvc.contents.tables.comparing import Key, candidates, is_unique
from dsvc.contents.tables.large_merge import large_merge
from dsvc.contents.tables.parts import DuplicateKeyError
from dsvc.contents.tables.records import Csv, TextTable
from dsvc.contents.tables.row_merge import RowMerger, row_merger

IN_MEMORY = 96 << 20  # bytes of all sides together
_SAMPLE = 5000  # rows of each side that tell at once that a column is no key
_PIECE = 1000  # rows that are handed over together


class NoKeyError(UnfitError):
    """No column tells the rows of a table apart."""

    def __init__(self) -> None:
        super().__init__("no column tells its rows apart; .dsvcattributes can name some by key=COLUMN,COLUMN")


def merge_tables(
    base: TextTable | None, ours: TextTable, theirs: TextTable, key: Sequence[str] | None, labels: MergeLabels
) -> ContentMerge:
    """Merge two tables. A conflict is a row with its three versions between markers, on lines of their own.

    Raises:
        UnfitError: where rows cannot be told apart by the key. NoKeyError: where there is none.
    """
    tables = [table for table in (base, ours, theirs) if table is not None]
    large = sum(table.source.size for table in tables) > IN_MEMORY
    names = _named(tables, tuple(key)) if key is not None else None
    if large:
        for wanted in [names] if names is not None else _sampled(tables):
            work = row_merger(base, ours, theirs, wanted, labels)
            try:
                rows = large_merge(work)
            except DuplicateKeyError:
                if names is not None:
                    raise
                continue
            return ContentMerge(_written(work, rows), work.conflicts, work.told())
        raise NoKeyError
    work = row_merger(base, ours, theirs, names or _inferred(tables), labels)
    text = tuple(_written(work, [_rows(work)]))
    return ContentMerge(text, work.conflicts, work.told())


def _written(work: RowMerger, rows: Iterable[Sequence[bytes]]) -> Iterator[bytes]:
    """Yield the text of a table, with its header, from lists of lines."""
    form, source = work.ours.form, work.ours.source
    end = b"\r\n" if b"\r\n" in source.head(1 << 16) else b"\n"
    begun = False
    if isinstance(form, Csv):
        fields = dict(zip(form.columns, form.fields(form.header), strict=True))
        taken = [fields.get(name) or name.encode("utf-8", "surrogateescape") for name in work.columns]
        yield form.header if work.columns == form.columns else form.separator.join(taken)
        begun = True
    for lines in rows:
        for at in range(0, len(lines), _PIECE):
            yield (end if begun else b"") + end.join(lines[at : at + _PIECE])
            begun = True
    if begun and not _is_open(work.ours):
        yield end


def _named(tables: Sequence[TextTable], key: tuple[str, ...]) -> tuple[str, ...]:
    """Return a key that was named, if all tables have its columns."""
    for table in tables:
        if isinstance(table.form, Csv) and not set(key) <= set(table.form.columns):
            raise UnfitError(f"no column {', '.join(set(key) - set(table.form.columns))}")
    return key


def _inferred(tables: Sequence[TextTable]) -> tuple[str, ...]:
    records = [list(chain.from_iterable(table.blocks())) for table in tables]
    for name in _of_all(tables, records[0]):
        if all(is_unique(table, name, rows) for table, rows in zip(tables, records, strict=True)):
            return (name,)
    raise NoKeyError


def _sampled(tables: Sequence[TextTable]) -> Iterator[tuple[str, ...]]:
    """Yield the keys that may be one, by the first rows of each table."""
    records = [_first(table) for table in tables]
    for name in _of_all(tables, records[0]):
        if all(is_unique(table, name, rows) for table, rows in zip(tables, records, strict=True)):
            yield (name,)


def _of_all(tables: Sequence[TextTable], sample: Sequence[bytes]) -> list[str]:
    names = candidates(tables[0], tables[-1], sample)
    return [n for n in names if all(not isinstance(t.form, Csv) or n in t.form.columns for t in tables)]


def _first(table: TextTable) -> list[bytes]:
    found: list[bytes] = []
    for block in table.blocks():
        found += block[: _SAMPLE - len(found)]
        if len(found) == _SAMPLE:
            break
    return found


def _side(table: TextTable | None, key: tuple[str, ...]) -> dict[Key, bytes]:
    rows: dict[Key, bytes] = {}
    for record in chain.from_iterable(table.blocks()) if table is not None else ():
        name = table.form.key(record, key)  # type: ignore[union-attr]
        if name in rows:
            raise DuplicateKeyError(key, name)
        rows[name] = record
    return rows


def _rows(work: RowMerger) -> list[bytes]:
    """Return the records of the result: those of ours, and new ones of theirs behind what they follow there."""
    base, ours, theirs = (_side(table, work.key) for table in (work.base, work.ours, work.theirs))
    behind: dict[Any, list[tuple[int, Key]]] = {}
    before: Any = None
    for number, key in enumerate(theirs):
        if key in ours:
            before = key
        else:
            behind.setdefault(before, []).append((number, key))
    out: list[bytes] = []

    def add(new: Sequence[tuple[int, Key]], at: int) -> None:
        for number, key in new:
            out.extend(work.settle((base.get(key), None, theirs[key]), key, (at, number + 1)))

    # What theirs has at its end belongs behind what ours has at its end.
    at_end = behind.pop(before, [])
    add(behind.pop(None, []), -1)
    for number, (key, record) in enumerate(ours.items()):
        out += work.settle((base.get(key), record, theirs.get(key)), key, (number, 0))
        add(behind.get(key, ()), number)
    add(at_end, len(ours))
    return out


def _is_open(table: TextTable) -> bool:
    """Say whether the last line of a table has no end."""
    last = b""
    for chunk in table.source.chunks():
        last = bytes(chunk[-1:]) or last
    return last not in (b"\n", b"")
