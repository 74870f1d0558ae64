"""Three-way merge of tables of text by key: rows, and the cells of rows that both sides changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

from dsvc.contents.driver import ContentMerge, MergeLabels, UnfitError
from dsvc.contents.tables.comparing import Key, candidates, is_unique
from dsvc.contents.tables.records import Cells, Csv, TextTable
from dsvc.contents.tables.showing import cell

_TOLD = 20  # conflicts that are named
_MISSING = object()
_Records: TypeAlias = tuple[bytes | None, bytes | None, bytes | None]  # base, ours, theirs


class NoKeyError(UnfitError):
    """No column tells the rows of a table apart."""


@dataclass(slots=True)
class _Side:
    table: TextTable
    rows: dict[Key, bytes]


@dataclass(slots=True)
class _Work:
    key: tuple[str, ...]
    columns: tuple[str, ...]
    base: _Side | None
    ours: _Side
    theirs: _Side
    labels: MergeLabels
    layout: bool
    """Whether the records of all sides have the same columns in the same order, and can be taken as they are."""
    conflicts: int = 0
    notes: list[str] = field(default_factory=list)


def merge_tables(
    base: TextTable | None, ours: TextTable, theirs: TextTable, key: Sequence[str] | None, labels: MergeLabels
) -> ContentMerge:
    """Merge two tables. A conflict is a row with its three versions between markers, on lines of their own.

    Raises:
        UnfitError: where rows cannot be told apart by the key. NoKeyError: where there is none.
    """
    tables = [table for table in (base, ours, theirs) if table is not None]
    names = tuple(key) if key is not None else _inferred(tables)
    for table in tables:
        if isinstance(table.form, Csv) and not set(names) <= set(table.form.columns):
            raise UnfitError(f"no column {', '.join(set(names) - set(table.form.columns))}")
    sides = [_side(table, names) if table is not None else None for table in (base, ours, theirs)]
    assert sides[1] is not None
    assert sides[2] is not None
    old, mine, other = (table.form.columns if table is not None else () for table in (base, ours, theirs))
    columns = merged_columns(old, mine, other)
    forms = {(t.form.columns, t.form.separator) if isinstance(t.form, Csv) else None for t in tables}
    work = _Work(names, columns, sides[0], sides[1], sides[2], labels, len(forms) == 1)
    header = []
    if isinstance(ours.form, Csv):
        shape = ours.form
        same = columns == shape.columns
        fields = dict(zip(shape.columns, shape.fields(shape.header), strict=True))
        taken = [fields.get(name) or name.encode("utf-8", "surrogateescape") for name in columns]
        header = [shape.header if same else shape.separator.join(taken)]
    end = b"\r\n" if b"\r\n" in ours.source.head(1 << 16) else b"\n"
    lines = [*header, *_rows(work)]
    content = end.join(lines)
    if content and not _is_open(ours):
        content += end
    more = work.conflicts - _TOLD
    notes = [*work.notes[:_TOLD], *([f"and {more} more rows in conflict"] if more > 0 else [])]
    return ContentMerge((content,), work.conflicts, tuple(notes))


def _inferred(tables: Sequence[TextTable]) -> tuple[str, ...]:
    records = [list(chain.from_iterable(table.blocks())) for table in tables]
    for name in candidates(tables[0], tables[-1], records[0]):
        if all(is_unique(table, name, rows) for table, rows in zip(tables, records, strict=True)):
            return (name,)
    raise NoKeyError("no column tells its rows apart; .dsvcattributes can name some by key=COLUMN,COLUMN")


def _side(table: TextTable, key: tuple[str, ...]) -> _Side:
    rows: dict[Key, bytes] = {}
    for record in chain.from_iterable(table.blocks()):
        name = table.form.key(record, key)
        if name in rows:
            raise UnfitError(f"two rows have the {', '.join(key)} {', '.join(map(cell, name))}")
        rows[name] = record
    return _Side(table, rows)


def merged_columns(old: Sequence[str], mine: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a merge: as in ours, those that theirs added behind what they follow there."""
    if other in (old, mine):
        return tuple(mine)
    if mine == old:
        return tuple(other)
    names = [name for name in mine if name in other or name not in old]
    before: str | None = None
    for name in other:
        if name not in mine and name not in old:
            names.insert(names.index(before) + 1 if before in names else len(names), name)
        before = name
    return tuple(names)


def _rows(work: _Work) -> list[bytes]:
    """Return the records of the result: those of ours, and new ones of theirs behind what they follow there."""
    ours, theirs, base = work.ours.rows, work.theirs.rows, work.base.rows if work.base is not None else {}
    behind: dict[Any, list[Key]] = {}
    before: Any = None
    for key in theirs:
        if key in ours:
            before = key
        else:
            behind.setdefault(before, []).append(key)
    out: list[bytes] = []
    # What theirs has at its end belongs behind what ours has at its end.
    at_end = behind.pop(before, []) if before is not None else []
    for key in behind.get(None, ()) if before is not None else ():
        _settle(work, (base.get(key), None, theirs[key]), key, out)
    for key, record in ours.items():
        _settle(work, (base.get(key), record, theirs.get(key)), key, out)
        for new in behind.get(key, ()):
            _settle(work, (base.get(new), None, theirs[new]), new, out)
    for key in at_end if before is not None else behind.get(None, ()):
        _settle(work, (base.get(key), None, theirs[key]), key, out)
    return out


def _settle(work: _Work, records: _Records, key: Key, out: list[bytes]) -> None:
    base, ours, theirs = records
    if work.layout:
        if theirs in (ours, base):
            taken = ours
        elif ours == base:
            taken = theirs
        else:
            _both(work, records, key, out)
            return
        if taken is not None:
            out.append(taken)
        return
    _both(work, records, key, out)


def _both(work: _Work, records: _Records, key: Key, out: list[bytes]) -> None:
    """Merge a row cell by cell."""
    sides = (work.base, work.ours, work.theirs)
    cells: list[Cells | None] = [
        side.table.form.cells(record) if side is not None and record is not None else None
        for side, record in zip(sides, records, strict=True)
    ]
    old, mine, other = cells
    shape = work.ours if records[1] is not None else work.theirs
    like = records[1] if records[1] is not None else records[2]
    assert like is not None
    if mine is None or other is None:
        kept = mine if mine is not None else other
        assert kept is not None
        if old is not None and _equal(work, kept, old):
            return
        if old is None:
            out.append(shape.table.form.written(kept, work.columns, like))
            return
        who = "removed by ours, changed by theirs" if mine is None else "changed by ours, removed by theirs"
        out += _conflict(work, cells, records, f"row {_named(work, key)}: {who}")
        return
    merged, at = _cells(old or {}, mine, other)
    if not at:
        out.append(shape.table.form.written(merged, work.columns, like))
        return
    told = "; ".join(
        f"{name} (base {_shown(old, name)}, ours {_shown(mine, name)}, theirs {_shown(other, name)})" for name in at[:5]
    )
    out += _conflict(work, cells, records, f"row {_named(work, key)}: {told}", merged)


def _cells(old: Cells, mine: Cells, other: Cells) -> tuple[Cells, list[str]]:
    """Return merged cells, with ours where they conflict, and the columns that do."""
    merged: Cells = {}
    conflicts = []
    for name in dict.fromkeys([*mine, *other]):
        sides = [cells.get(name, _MISSING) for cells in (old, mine, other)]
        value = sides[1]
        if sides[1] == sides[0] or (sides[1] is _MISSING and name not in old):
            value = sides[2]
        elif sides[2] not in (sides[0], sides[1]) and not (sides[2] is _MISSING and name not in old):
            conflicts.append(name)
        if value is not _MISSING:
            merged[name] = value
    return merged, conflicts


def _conflict(
    work: _Work, cells: list[Cells | None], records: _Records, note: str, merged: Cells | None = None
) -> list[bytes]:
    favor = work.labels.favor
    sides = (work.base, work.ours, work.theirs)

    def written(number: int, value: Cells | None) -> list[bytes]:
        side, record = sides[number], records[number]
        if value is None or side is None or record is None:
            return []
        return [side.table.form.written(value, work.columns, record)]

    if favor is not None:
        number = {"base": 0, "ours": 1, "theirs": 2}[favor]
        chosen = cells[number]
        if chosen is not None and merged is not None and number:
            conflicts = _cells(cells[0] or {}, cells[1] or {}, cells[2] or {})[1]
            chosen = {**merged, **{name: chosen[name] for name in conflicts if name in chosen}}
        return written(number, chosen)
    work.conflicts += 1
    work.notes.append(note)
    out = [b"<<<<<<< " + work.labels.ours, *written(1, cells[1])]
    out += [b"||||||| " + work.labels.base, *written(0, cells[0])]
    return [*out, b"=======", *written(2, cells[2]), b">>>>>>> " + work.labels.theirs]


def _equal(work: _Work, a: Cells, b: Cells) -> bool:
    names = work.columns or tuple(dict.fromkeys([*a, *b]))
    return all(a.get(name, _MISSING) == b.get(name, _MISSING) for name in names if name in a and name in b)


def _named(work: _Work, key: Key) -> str:
    return ", ".join(f"{name}={cell(value)}" for name, value in zip(work.key, key, strict=True))


def _shown(cells: Cells | None, name: str) -> str:
    return cell(cells[name]) if cells is not None and name in cells else "none"


def _is_open(table: TextTable) -> bool:
    """Say whether the last line of a table has no end."""
    last = b""
    for chunk in table.source.chunks():
        last = bytes(chunk[-1:]) or last
    return last not in (b"\n", b"")
