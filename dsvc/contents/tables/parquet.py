"""Parquet files as tables (https://parquet.apache.org/docs/file-format/), read by pyarrow.

Files are compared part by part (`parquet_parts`), and in a part column by column: memory so holds one part of each,
whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dsvc.contents.driver import ContentMerge, ContentSummary, Line, MergeLabels, Source, UnfitError
from dsvc.contents.sizes import counted
from dsvc.contents.tables.comparing import Names, RowChange, TableDiff
from dsvc.contents.tables.parquet_parts import (
    ROW,
    NotUniqueError,
    ParquetSide,
    array_of,
    arrow,
    differing,
    keys_of,
    opened_side,
    parted,
)

_KEPT = 1000


def compare_files(old: Source, new: Source, key: Sequence[str] | None) -> TableDiff:
    """Compare two Parquet files by rows and cells.

    Raises:
        UnfitError: for files that cannot be read, and for a key that is not there or not unique.
    """
    pa = arrow()
    with opened_side(old, pa) as before, opened_side(new, pa) as after:
        common = [name for name in before.names if name in after.names]
        for some in _keys(key, common):
            found = _new_diff(before, after, common, some)
            work = _Work(pa, found, [name for name in common if name not in some])
            try:
                with parted((before, after), some or (ROW,)) as parts:
                    for tables in parts:
                        work.add(*tables)
            except NotUniqueError as error:
                if key is not None:
                    raise UnfitError(f"{error}: {', '.join(key)}") from error
                continue
            work.finish()
            return found
    raise AssertionError("places of rows are unique")


def _new_diff(before: ParquetSide, after: ParquetSide, common: list[str], key: Sequence[str]) -> TableDiff:
    found = TableDiff(old_rows=before.rows, new_rows=after.rows, key=tuple(key))
    found.columns_added = tuple(name for name in after.names if name not in before.names)
    found.columns_removed = tuple(name for name in before.names if name not in after.names)
    found.columns_moved = common != [name for name in after.names if name in before.names]
    types = [(name, before.type_of(name), after.type_of(name)) for name in common]
    found.types = tuple((name, str(a), str(b)) for name, a, b in types if a != b)
    return found


def _keys(key: Sequence[str] | None, common: list[str]) -> Iterator[Sequence[str]]:
    """Yield the keys to try; without columns rows are known by where they stand."""
    if key is None:
        yield from ((name,) for name in candidates(common))
        yield ()
    elif not set(key) <= set(common):
        raise UnfitError(f"no column {', '.join(name for name in key if name not in common)}")
    else:
        yield key


def candidates(common: list[str]) -> list[str]:
    """Return the columns that may tell rows apart, the most likely one first."""
    named = [name for wanted in (*Names, "__index_level_0__") for name in common if name.lower() == wanted]
    return list(dict.fromkeys([*named, *(name for name in common if name.lower().endswith("_id")), *common[:1]]))


@dataclass(slots=True)
class _Work:
    """Differences so far; of rows those that stand first in their files are kept."""

    pa: Any
    found: TableDiff
    columns: Sequence[str]
    changed: list[tuple[int, RowChange]] = field(default_factory=list)
    removed: list[tuple[int, RowChange]] = field(default_factory=list)
    added: list[tuple[int, RowChange]] = field(default_factory=list)

    def add(self, before: Any, after: Any) -> None:
        """Compare two tables that hold the same keys, if they have them at all."""
        pa, compute, found = self.pa, self.pa.compute, self.found
        old, new = keys_of(pa, (before, after))
        if old.equals(new):
            old_at, new_at = None, None
            gone = fresh = pa.array([], pa.int64())
        else:
            places = compute.index_in(old, value_set=new)
            old_at = compute.indices_nonzero(compute.is_valid(places)).cast(pa.int64())
            new_at = places.take(old_at)
            gone = compute.indices_nonzero(compute.is_null(places))
            fresh = compute.indices_nonzero(compute.invert(compute.is_in(new, value_set=old)))
        any_differs = None
        for name in self.columns:
            differs = differing(pa, _taken(pa, before, name, old_at), _taken(pa, after, name, new_at))
            count = compute.sum(differs).as_py() or 0
            if count:
                found.by_column[name] += count
                any_differs = differs if any_differs is None else compute.or_(any_differs, differs)
        if any_differs is not None:
            pairs = compute.indices_nonzero(any_differs).cast(pa.int64())
            found.changed += len(pairs)
            some = pairs[:_KEPT]
            self._note_changed(
                before.take(some if old_at is None else old_at.take(some)),
                after.take(some if new_at is None else new_at.take(some)),
            )
        found.removed += len(gone)
        found.added += len(fresh)
        self._note_one_sided(before.take(gone[:_KEPT]), is_new=False)
        self._note_one_sided(after.take(fresh[:_KEPT]), is_new=True)

    def _note_changed(self, before: Any, after: Any) -> None:
        keys = [before.column(name).to_pylist() for name in self.found.key]
        rows = before.column(ROW).to_pylist()
        sides: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, {}) for _ in rows]
        for name in self.columns:
            old, new = array_of(self.pa, before.column(name)), array_of(self.pa, after.column(name))
            differs = differing(self.pa, old, new)
            for place in self.pa.compute.indices_nonzero(differs).to_pylist():
                sides[place][0][name], sides[place][1][name] = old[place].as_py(), new[place].as_py()
        for place, (row, (a, b)) in enumerate(zip(rows, sides, strict=True)):
            key = tuple(column[place] for column in keys) if keys else (f"row {row + 1}",)
            self.changed.append((row, RowChange(key, a, b)))
        self.changed = _first(self.changed)

    def _note_one_sided(self, table: Any, *, is_new: bool) -> None:
        rows = table.column(ROW).to_pylist()
        own = [name for name in table.column_names if not name.startswith("\0")]
        noted = self.added if is_new else self.removed
        for row, cells in zip(rows, table.select(own).to_pylist(), strict=True):
            key = tuple(cells[name] for name in self.found.key)
            noted.append((row, RowChange(key, None if is_new else cells, cells if is_new else None)))
        noted[:] = _first(noted)

    def finish(self) -> None:
        """Put the rows that were kept into the result."""
        self.found.rows = [change for _, change in (*self.changed, *self.removed, *self.added)]


def _first(noted: list[tuple[int, RowChange]]) -> list[tuple[int, RowChange]]:
    return sorted(noted, key=lambda one: one[0])[:_KEPT]


def _taken(pa: Any, table: Any, name: str, places: Any) -> Any:
    column = array_of(pa, table.column(name))
    return column if places is None else column.take(places)


def merge_files(
    base: Source | None, ours: Source, theirs: Source, key: Sequence[str] | None, labels: MergeLabels
) -> ContentMerge:
    """Merge two Parquet files by rows and cells; columns that a side added or removed are merged too.

    Conflicts cannot be marked in such a file: both sides are kept beside each other then, and notes name the rows.

    Raises:
        UnfitError: for files that cannot be read, without a key, and where types of a column differ on all sides.
    """
    from dsvc.contents.tables.parquet_merge import merge_sides

    pa = arrow()
    if base is None:
        raise UnfitError("both sides added it")
    with opened_side(base, pa) as old, opened_side(ours, pa) as mine, opened_side(theirs, pa) as other:
        common = [name for name in mine.names if name in old.names and name in other.names]
        for some in _keys(key, common):
            try:
                return merge_sides(pa, (old, mine, other), some, labels) if some else _without_key()
            except NotUniqueError as error:
                if key is not None:
                    raise UnfitError(f"{error}: {', '.join(key)}") from error
    raise AssertionError("the last key is none")


def _without_key() -> ContentMerge:
    raise UnfitError("no column tells its rows apart; .dsvcattributes can name some by key=COLUMN,COLUMN")


def summary(source: Source) -> ContentSummary:
    """Say how many rows, which columns and types there are."""
    pa = arrow()
    with opened_side(source, pa) as side:
        columns = [(one.name, str(one.type)) for one in side.file.schema_arrow]
        head = f"Parquet: {counted(side.rows, 'row')}, {counted(len(columns), 'column')}"
        width = min(32, max((len(name) for name, _ in columns), default=0))
        lines = [Line("plain", head), *(Line("plain", f"  {name:<{width}}  {kind}") for name, kind in columns)]
        document = {
            "kind": "table",
            "form": "Parquet",
            "rows": side.rows,
            "columns": [{"name": name, "type": kind} for name, kind in columns],
        }
        return ContentSummary(tuple(lines), document)
