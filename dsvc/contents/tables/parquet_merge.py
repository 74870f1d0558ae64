"""Three-way merge of tables that pyarrow holds, by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsvc.contents.driver import ContentMerge, MergeLabels
from dsvc.contents.tables.showing import cell

_TOLD = 20


@dataclass(slots=True)
class ParquetMerge:
    """Tables (base, ours, theirs) of one schema, and where each key stands in them."""

    pa: Any
    tables: Sequence[Any]
    places: Sequence[Mapping[Any, int]]
    key: tuple[str, ...]
    labels: MergeLabels
    notes: list[str] = field(default_factory=list)

    def merge(self, compression: str) -> ContentMerge:
        """Return the merged file, or only notes where rows conflict: such a file has no place for markers."""
        pa, (_, ours, theirs) = self.pa, self.tables
        rows = self._rows()
        index = pa.array([place + (ours.num_rows if side == 2 else 0) for side, place in rows], pa.int64())
        position = {place: number for number, (side, place) in enumerate(rows) if side == 1}
        columns = []
        for name in ours.column_names:
            chunks = [chunk for table in (ours, theirs) for chunk in table.column(name).chunks]
            kind = ours.schema.field(name).type
            both = _plain(pa, pa.chunked_array(chunks, kind)).take(index)
            columns.append(both if name in self.key else self._column(name, both, position))
        if self.notes and self.labels.favor is None:
            more = len(self.notes) - _TOLD
            told = [*self.notes[:_TOLD], *([f"and {more} more conflicts"] if more > 0 else [])]
            return ContentMerge(None, len(self.notes), tuple(told))
        table = pa.Table.from_arrays(
            [column.cast(kind) for column, kind in zip(columns, ours.schema.types, strict=True)], schema=ours.schema
        )
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(table, sink, compression=compression)
        return ContentMerge((sink.getvalue().to_pybytes(),))

    def _rows(self) -> list[tuple[int, int]]:
        """Return side (1: ours, 2: theirs) and place of each row of the result."""
        old, mine, other = self.places
        favor = self.labels.favor
        rows: list[tuple[int, int]] = []
        for side, own, opposite in ((1, mine, other), (2, other, mine)):
            for name, place in own.items():
                if name in opposite:
                    if side == 1:
                        rows.append((1, place))
                        if name not in old and not self._same(1, place, 2, other[name]):
                            self._conflict(name, "added by both sides, with other cells")
                    continue
                if name in old:
                    if self._same(0, old[name], side, place):
                        continue
                    words = "changed by ours, removed by theirs" if side == 1 else "removed by ours, changed by theirs"
                    self._conflict(name, words)
                    if favor is not None and favor != ("ours", "theirs")[side - 1]:
                        continue
                rows.append((side, place))
        return rows

    def _column(self, name: str, both: Any, position: Mapping[int, int]) -> Any:
        old, mine, other = self.places
        values = both.to_pylist()
        sides = [_plain(self.pa, table.column(name)).to_pylist() for table in self.tables]
        for row, place in mine.items():
            if row not in other or row not in old:
                continue
            a, b, c = sides[0][old[row]], sides[1][place], sides[2][other[row]]
            if _equal(a, c) or _equal(b, c):
                continue
            if _equal(a, b):
                values[position[place]] = c
            elif self.labels.favor is not None:
                values[position[place]] = {"ours": b, "theirs": c, "base": a}[self.labels.favor]
            else:
                self._conflict(row, f"{name} (base {cell(a)}, ours {cell(b)}, theirs {cell(c)})")
        return self.pa.array(values, both.type)

    def _conflict(self, row: Any, text: str) -> None:
        values = row if len(self.key) > 1 else (row,)
        named = ", ".join(f"{column}={cell(value)}" for column, value in zip(self.key, values, strict=True))
        self.notes.append(f"row {named}: {text}")

    def _same(self, a: int, place: int, b: int, other: int) -> bool:
        one, two = (self.tables[side].slice(at, 1).to_pylist()[0] for side, at in ((a, place), (b, other)))
        return all(_equal(value, two[name]) for name, value in one.items())


def _plain(pa: Any, column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and a != a and b != b:  # noqa: PLR0124 - NaN equals itself here
        return True
    return bool(a == b)
