"""Parquet files as tables (https://parquet.apache.org/docs/file-format/), read by pyarrow.

Two files are compared column after column: keys first, which gives pairs of rows, then each column that both have.
Memory so holds the keys and one column of each side, whatever the number of columns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dsvc.contents.driver import (
    ContentMerge,
    ContentSummary,
    ExtraMissingError,
    Line,
    MergeLabels,
    Source,
    UnfitError,
)
from dsvc.contents.sizes import counted
from dsvc.contents.tables.comparing import Names, RowChange, TableDiff

_KEPT = 1000
_MERGED_ROWS = 2_000_000


def _arrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraMissingError("Parquet", "tables") from error
    return pa


@dataclass(slots=True)
class _File:
    pa: Any
    file: Any

    @property
    def names(self) -> list[str]:
        return list(self.file.schema_arrow.names)

    @property
    def rows(self) -> int:
        return int(self.file.metadata.num_rows)

    def column(self, name: str) -> Any:
        """Return a column as one array; dictionaries as their values."""
        place = self.names.index(name)
        try:
            array = self.file.read(columns=[name]).column(0) if self.names.count(name) == 1 else None
            if array is None:
                array = self.file.read().column(place)
        except (self.pa.ArrowException, OSError) as error:
            raise UnfitError(f"damaged: {str(error).splitlines()[0]}") from error
        if self.pa.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        return array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)

    def type_of(self, name: str) -> Any:
        return self.file.schema_arrow.field(name).type


@contextlib.contextmanager
def _opened(source: Source, pa: Any) -> Iterator[_File]:
    with source.file() as path:
        try:
            file = pa.parquet.ParquetFile(path)
            names = list(file.schema_arrow.names)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UnfitError(f"no Parquet: {str(error).splitlines()[0]}") from error
        if len(set(names)) != len(names):
            raise UnfitError("two columns have one name")
        yield _File(pa, file)


def compare_files(old: Source, new: Source, key: Sequence[str] | None) -> TableDiff:
    """Compare two Parquet files by rows and cells.

    Raises:
        UnfitError: for files that cannot be read, and for a key that is not there or not unique.
    """
    pa = _arrow()
    with _opened(old, pa) as before, _opened(new, pa) as after:
        found = TableDiff(old_rows=before.rows, new_rows=after.rows)
        found.columns_added = tuple(name for name in after.names if name not in before.names)
        found.columns_removed = tuple(name for name in before.names if name not in after.names)
        common = [name for name in before.names if name in after.names]
        found.columns_moved = common != [name for name in after.names if name in before.names]
        types = [(name, before.type_of(name), after.type_of(name)) for name in common]
        found.types = tuple((name, str(a), str(b)) for name, a, b in types if a != b)
        pairs = _pairs(before, after, key, common, found)
        _compare_columns(before, after, [name for name in common if name not in found.key], pairs, found)
        return found


@dataclass(slots=True)
class _Pairs:
    """Rows that belong together, by their places on both sides; None where all rows stand at the same place."""

    old: Any
    new: Any
    gone: list[int]
    fresh: list[int]


def _pairs(before: _File, after: _File, key: Sequence[str] | None, common: list[str], found: TableDiff) -> _Pairs:
    if key is not None and not set(key) <= set(common):
        raise UnfitError(f"no column {', '.join(set(key) - set(common))}")
    names = [key] if key is not None else [(name,) for name in _candidates(common)]
    for some in names:
        sides = [_keys(side, some) for side in (before, after)]
        if any(side is None for side in sides):
            if key is not None:
                raise UnfitError(f"two rows have the same {', '.join(key)}")
            continue
        found.key = tuple(some)
        old, new = sides
        assert old is not None
        assert new is not None
        if list(old) == list(new):
            return _Pairs(None, None, [], [])
        places = [(place, new[name]) for name, place in old.items() if name in new]
        gone = [place for name, place in old.items() if name not in new]
        fresh = [place for name, place in new.items() if name not in old]
        return _Pairs([a for a, _ in places], [b for _, b in places], gone, fresh)
    shorter = min(before.rows, after.rows)
    rows = list(range(shorter))  # without a key rows are known by where they stand
    return _Pairs(rows, rows, list(range(shorter, before.rows)), list(range(shorter, after.rows)))


def _candidates(common: list[str]) -> list[str]:
    named = [name for wanted in (*Names, "__index_level_0__") for name in common if name.lower() == wanted]
    return list(dict.fromkeys([*named, *(name for name in common if name.lower().endswith("_id")), *common[:1]]))


def _keys(side: _File, names: Sequence[str]) -> dict[Any, int] | None:
    """Return the place of each key; None where two rows share one, or where a key is nested."""
    columns = [side.column(name) for name in names]
    if any(side.pa.types.is_nested(column.type) for column in columns):
        return None
    if len(columns) == 1 and side.pa.compute.count_distinct(columns[0]).as_py() != len(columns[0]):
        return None
    values = columns[0].to_pylist() if len(columns) == 1 else zip(*(c.to_pylist() for c in columns), strict=True)
    found = {value: place for place, value in enumerate(values)}
    return found if len(found) == side.rows else None


def _compare_columns(before: _File, after: _File, names: list[str], pairs: _Pairs, found: TableDiff) -> None:
    pa = before.pa
    changed: dict[int, dict[str, tuple[Any, Any]]] = {}
    rows: Any = None
    for name in names:
        old, new = before.column(name), after.column(name)
        if pairs.old is not None:
            old, new = old.take(pa.array(pairs.old, pa.int64())), new.take(pa.array(pairs.new, pa.int64()))
        places = _differing(pa, old, new)
        if len(places) == 0:
            continue
        found.by_column[name] = len(places)
        flags = pa.compute.is_in(pa.array(range(len(old)), pa.int64()), value_set=places)
        rows = flags if rows is None else pa.compute.or_(rows, flags)
        for place in places[:_KEPT].to_pylist():
            if len(changed) < _KEPT or place in changed:
                changed.setdefault(place, {})[name] = (old[place].as_py(), new[place].as_py())
    found.changed = pa.compute.sum(rows).as_py() if rows is not None else 0
    keys = [before.column(name) for name in found.key] if changed else []
    for place, cells in sorted(changed.items()):
        at = place if pairs.old is None else pairs.old[place]
        key = tuple(column[at].as_py() for column in keys) if keys else (f"row {at + 1}",)
        sides = [{name: values[n] for name, values in cells.items()} for n in (0, 1)]
        found.rows.append(RowChange(key, sides[0], sides[1]))
    for side, places_of, is_new in ((before, pairs.gone, False), (after, pairs.fresh, True)):
        for row in _rows_at(side, places_of[:_KEPT]):
            key = tuple(row[name] for name in found.key)
            found.rows.append(RowChange(key, None if is_new else row, row if is_new else None))
    found.removed, found.added = len(pairs.gone), len(pairs.fresh)


def _differing(pa: Any, old: Any, new: Any) -> Any:
    """Return the places at which two arrays of one length differ; null equals null, and NaN equals NaN."""
    if old.equals(new):
        return pa.array([], pa.int64())
    compute = pa.compute
    if old.type != new.type:
        try:
            wide = new.cast(old.type)
            if wide.cast(new.type).equals(new):
                new = wide
        except pa.ArrowException:
            pass
    if old.type == new.type and not pa.types.is_nested(old.type):
        differs = compute.fill_null(compute.not_equal(old, new), False)  # noqa: FBT003
        if pa.types.is_floating(old.type):
            both = compute.and_(compute.is_nan(old), compute.is_nan(new))
            differs = compute.and_not(differs, compute.fill_null(both, False))  # noqa: FBT003
        one_null = compute.xor(compute.is_null(old), compute.is_null(new))
        return compute.indices_nonzero(compute.or_(differs, one_null)).cast(pa.int64())
    pairs = zip(old.to_pylist(), new.to_pylist(), strict=True)  # nested types are compared as Python values
    return pa.array([place for place, (a, b) in enumerate(pairs) if a != b], pa.int64())


def _rows_at(side: _File, places: list[int]) -> list[dict[str, Any]]:
    if not places:
        return []
    columns = {name: side.column(name).take(side.pa.array(places, side.pa.int64())).to_pylist() for name in side.names}
    return [{name: values[n] for name, values in columns.items()} for n in range(len(places))]


def merge_files(
    base: Source | None, ours: Source, theirs: Source, key: Sequence[str] | None, labels: MergeLabels
) -> ContentMerge:
    """Merge two Parquet files whose columns are the same, by rows and cells.

    Conflicts cannot be marked in such a file: both sides are kept beside each other then, and notes name the rows.
    """
    from dsvc.contents.tables.parquet_merge import ParquetMerge

    pa = _arrow()
    if base is None:
        raise UnfitError("both sides added it")
    with _opened(base, pa) as old, _opened(ours, pa) as mine, _opened(theirs, pa) as other:
        if max(old.rows, mine.rows, other.rows) > _MERGED_ROWS:
            raise UnfitError(f"more than {_MERGED_ROWS:,} rows")
        schemas = [side.file.schema_arrow for side in (old, mine, other)]
        if any(not schema.equals(schemas[1]) for schema in schemas):
            raise UnfitError("the columns differ")
        names = [key] if key is not None else [(name,) for name in _candidates(mine.names)]
        for some in names:
            if not set(some) <= set(mine.names):
                raise UnfitError(f"no column {', '.join(some)}")
            sides = [_keys(side, some) for side in (old, mine, other)]
            if all(side is not None for side in sides):
                tables = [side.file.read() for side in (old, mine, other)]
                compression = mine.file.metadata.row_group(0).column(0).compression if mine.rows else "SNAPPY"
                merge = ParquetMerge(pa, tables, sides, tuple(some), labels)  # type: ignore[arg-type]
                return merge.merge(compression)
    raise UnfitError("no column tells its rows apart; .dsvcattributes can name some by key=COLUMN,COLUMN")


def summary(source: Source) -> ContentSummary:
    """Say how many rows, which columns and types there are."""
    pa = _arrow()
    with _opened(source, pa) as side:
        columns = [(field.name, str(field.type)) for field in side.file.schema_arrow]
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
