"""Merge one row of a table of text: take a side's record, or bring cells together, or mark a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dsvc.contents.driver import MergeLabels
from dsvc.contents.tables.comparing import Key
from dsvc.contents.tables.records import Cells, Csv, TextTable
from dsvc.contents.tables.showing import cell

Records: TypeAlias = tuple[bytes | None, bytes | None, bytes | None]  # base, ours, theirs
Place: TypeAlias = tuple[int, int]
"""Where a row stands in the result: the row of ours that it is or follows, and 0 or its number in theirs plus one."""

_TOLD = 20  # conflicts that are named
_MANY = 4096  # notes that are kept until only the first ones are
_MISSING = object()


@dataclass(slots=True)
class RowMerger:
    """Merges rows of the tables `base` (None: both added the file), `ours` and `theirs`, and counts conflicts."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
    """Those of the result."""
    base: TextTable | None
    ours: TextTable
    theirs: TextTable
    labels: MergeLabels
    layout: bool
    """Whether the records of all sides have the same columns in the same order, and can be taken as they are."""
    conflicts: int = 0
    _notes: list[tuple[Place, str]] = field(default_factory=list)

    def settle(self, records: Records, key: Key, place: Place) -> list[bytes]:
        """Return the lines of a row in the result, none where it goes."""
        base, ours, theirs = records
        if self.layout:
            if theirs in (ours, base):
                return [ours] if ours is not None else []
            if ours == base:
                return [theirs] if theirs is not None else []
        return self._both(records, key, place)

    def told(self) -> tuple[str, ...]:
        """Return what to say of the first conflicts, in the order of rows."""
        self._notes.sort(key=lambda note: note[0])
        more = self.conflicts - _TOLD
        said = [text for _, text in self._notes[:_TOLD]]
        return (*said, f"and {more} more rows in conflict") if more > 0 else tuple(said)

    def _both(self, records: Records, key: Key, place: Place) -> list[bytes]:
        """Merge a row cell by cell."""
        sides = (self.base, self.ours, self.theirs)
        cells: list[Cells | None] = [
            side.form.cells(record) if side is not None and record is not None else None
            for side, record in zip(sides, records, strict=True)
        ]
        old, mine, other = cells
        shape = self.ours if records[1] is not None else self.theirs
        like = records[1] if records[1] is not None else records[2]
        assert like is not None
        if mine is None or other is None:
            kept = mine if mine is not None else other
            assert kept is not None
            if old is not None and self._equal(kept, old):
                return []
            if old is None:
                return [shape.form.written(kept, self.columns, like)]
            who = "removed by ours, changed by theirs" if mine is None else "changed by ours, removed by theirs"
            return self._conflict(cells, records, place, f"row {self._named(key)}: {who}")
        merged, at = _cells(old or {}, mine, other)
        if not at:
            return [shape.form.written(merged, self.columns, like)]
        told = "; ".join(
            f"{name} (base {_shown(old, name)}, ours {_shown(mine, name)}, theirs {_shown(other, name)})"
            for name in at[:5]
        )
        return self._conflict(cells, records, place, f"row {self._named(key)}: {told}", merged)

    def _conflict(
        self, cells: list[Cells | None], records: Records, place: Place, note: str, merged: Cells | None = None
    ) -> list[bytes]:
        favor = self.labels.favor
        sides = (self.base, self.ours, self.theirs)

        def written(number: int, value: Cells | None) -> list[bytes]:
            side, record = sides[number], records[number]
            if value is None or side is None or record is None:
                return []
            return [side.form.written(value, self.columns, record)]

        if favor is not None:
            number = {"base": 0, "ours": 1, "theirs": 2}[favor]
            chosen = cells[number]
            if chosen is not None and merged is not None and number:
                conflicts = _cells(cells[0] or {}, cells[1] or {}, cells[2] or {})[1]
                chosen = {**merged, **{name: chosen[name] for name in conflicts if name in chosen}}
            return written(number, chosen)
        self.conflicts += 1
        self._notes.append((place, note))
        if len(self._notes) > _MANY:
            self._notes.sort(key=lambda note: note[0])
            del self._notes[_TOLD:]
        out = [b"<<<<<<< " + self.labels.ours, *written(1, cells[1])]
        out += [b"||||||| " + self.labels.base, *written(0, cells[0])]
        return [*out, b"=======", *written(2, cells[2]), b">>>>>>> " + self.labels.theirs]

    def _equal(self, a: Cells, b: Cells) -> bool:
        names = self.columns or tuple(dict.fromkeys([*a, *b]))
        return all(a.get(name, _MISSING) == b.get(name, _MISSING) for name in names if name in a and name in b)

    def _named(self, key: Key) -> str:
        return ", ".join(f"{name}={cell(value)}" for name, value in zip(self.key, key, strict=True))


def row_merger(
    base: TextTable | None, ours: TextTable, theirs: TextTable, key: tuple[str, ...], labels: MergeLabels
) -> RowMerger:
    """Return what merges the rows of three tables, or of two."""
    tables = [table for table in (base, ours, theirs) if table is not None]
    old = base.form.columns if base is not None else ()
    forms = {(t.form.columns, t.form.separator) if isinstance(t.form, Csv) else None for t in tables}
    columns = merged_columns(old, ours.form.columns, theirs.form.columns)
    return RowMerger(key, columns, base, ours, theirs, labels, len(forms) == 1)


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


def _cells(old: Cells, mine: Cells, other: Cells) -> tuple[Cells, list[str]]:
    """Return merged cells, with ours where they conflict, and the columns that do."""
    merged: Cells = {}
    conflicts = []
    for name in dict.fromkeys([*mine, *other]):
        sides: list[Any] = [cells.get(name, _MISSING) for cells in (old, mine, other)]
        value = sides[1]
        if sides[1] == sides[0] or (sides[1] is _MISSING and name not in old):
            value = sides[2]
        elif sides[2] not in (sides[0], sides[1]) and not (sides[2] is _MISSING and name not in old):
            conflicts.append(name)
        if value is not _MISSING:
            merged[name] = value
    return merged, conflicts


def _shown(cells: Cells | None, name: str) -> str:
    return cell(cells[name]) if cells is not None and name in cells else "none"
