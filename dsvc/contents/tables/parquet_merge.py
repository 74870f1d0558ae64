"""Three-way merge of Parquet files by key, part by part.

Merged parts are temporary files, from which the result is put into order: rows as in ours, new ones of theirs behind.
"""

from __future__ import annotations

import contextlib
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from dsvc.contents.driver import ContentMerge, MergeLabels, UnfitError
from dsvc.contents.tables.parquet_parts import ROW, ParquetSide, array_of, differing, keys_of, parted
from dsvc.contents.tables.row_merge import merged_columns
from dsvc.contents.tables.showing import cell

_TOLD = 20
_THEIRS = 1 << 62  # is added to the place of a row that only theirs has, so that it comes behind all of ours
_GROUP = 1 << 18  # rows of a row group
_BATCH = 4096  # rows that are read at once from a merged part


def merge_sides(
    pa: Any, sides: tuple[ParquetSide, ParquetSide, ParquetSide], key: Sequence[str], labels: MergeLabels
) -> ContentMerge:
    """Return the merged file, or only notes where rows conflict: such a file has no place for markers.

    Raises:
        NotUniqueError: where the key does not tell rows apart. UnfitError: where columns cannot be merged.
    """
    work = _Work(pa, sides, tuple(key), labels, _schema(pa, sides))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dsvc-"))
        merged_parts = []
        with parted(sides, key) as parts:
            for number, tables in enumerate(parts):
                merged_parts.append(_Part.written(pa, work.merge(*tables), f"{folder}/{number}"))
        if work.conflicts and labels.favor is None:
            return ContentMerge(None, work.conflicts, tuple(work.told()))
        _assemble(pa, merged_parts, work.schema, f"{folder}/result", sides[1].compression)
        file = stack.enter_context(open(f"{folder}/result", "rb"))
        return ContentMerge(_pieces(stack.pop_all(), file))


def _pieces(stack: contextlib.ExitStack, file: BinaryIO) -> Iterator[bytes]:
    with stack:
        while piece := file.read(1 << 20):
            yield piece


def _schema(pa: Any, sides: tuple[ParquetSide, ParquetSide, ParquetSide]) -> Any:
    """Return the schema of the result; a column that not all sides have may hold nulls."""
    old, mine, other = (side.file.schema_arrow for side in sides)
    fields = []
    for name in merged_columns(old.names, mine.names, other.names):
        known = [schema.field(name) if name in schema.names else None for schema in (old, mine, other)]
        a, b, c = known
        if b is None or c is None:
            one = b if b is not None else c
            assert one is not None
            fields.append(one.with_nullable(True))  # noqa: FBT003
        elif b.type == c.type or (a is not None and a.type == c.type):
            fields.append(b)
        elif a is not None and a.type == b.type:
            fields.append(c)
        else:
            raise UnfitError(f"both sides gave the column {name} another type")
    names = [one.name for one in fields]
    metadata = next((schema.metadata for schema in (mine, other) if schema.names == names), mine.metadata)
    return pa.schema(fields, metadata=metadata)


@dataclass(slots=True)
class _Work:
    pa: Any
    sides: tuple[ParquetSide, ParquetSide, ParquetSide]
    key: tuple[str, ...]
    labels: MergeLabels
    schema: Any
    conflicts: int = 0
    notes: list[tuple[int, str]] = field(default_factory=list)

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """Return the merged rows of a part in their order, with the column ROW."""
        pa, compute = self.pa, self.pa.compute
        old, mine, other = keys_of(pa, (base, ours, theirs))
        in_theirs, in_base = compute.index_in(mine, value_set=other), compute.index_in(mine, value_set=old)
        at = compute.indices_nonzero(compute.is_valid(in_theirs)).cast(pa.int64())
        both = self._both(base, ours.take(at), theirs.take(in_theirs.take(at)), in_base.take(at))
        alone = compute.indices_nonzero(compute.is_null(in_theirs)).cast(pa.int64())
        kept = self._alone(base, ours.take(alone), in_base.take(alone), theirs=False)
        new = compute.indices_nonzero(compute.invert(compute.is_in(other, value_set=mine))).cast(pa.int64())
        came = self._alone(base, theirs.take(new), compute.index_in(other, value_set=old).take(new), theirs=True)
        return pa.concat_tables([both, kept, came]).sort_by(ROW)

    def _both(self, base: Any, ours: Any, theirs: Any, at: Any) -> Any:
        """Merge rows that both sides have, cell by cell; `at` says where each stands in the base, null: nowhere."""
        pa, compute = self.pa, self.pa.compute
        known = compute.is_valid(at)
        columns = []
        for one in self.schema:
            name = one.name
            b, c = (self._column(table, one) for table in (ours, theirs))
            if b is None or c is None or name in self.key:
                columns.append(b if b is not None else c)
                continue
            a = self._column(base, one)
            a = a.take(at) if a is not None else pa.nulls(len(b), one.type)
            old_in_ours = self._not(differing(pa, a, b), known)
            old_in_theirs = self._not(differing(pa, a, c), known)
            taken = compute.and_not(old_in_ours, old_in_theirs)
            fight = compute.and_not(compute.and_not(differing(pa, b, c), old_in_ours), old_in_theirs)
            if compute.any(fight).as_py():
                self._fights(name, ours, (a, b, c), known, fight)
            if self.labels.favor == "theirs":
                taken = compute.or_(taken, fight)
            columns.append(self._chosen((b, c), taken))
            if self.labels.favor == "base":
                columns[-1] = self._chosen((columns[-1], a), compute.and_(fight, known))
        self._dropped(base, ours, theirs, at)
        return self._table(columns, ours.column(ROW))

    def _not(self, flags: Any, known: Any) -> Any:
        return self.pa.compute.and_(self.pa.compute.invert(flags), known)

    def _chosen(self, pair: tuple[Any, Any], second: Any) -> Any:
        """Return the first array with the elements of the second one where a flag is set."""
        pa, compute = self.pa, self.pa.compute
        if not compute.any(second).as_py():
            return pair[0]
        count = len(pair[0])
        rows = pa.array(range(count), pa.int64())
        return pa.concat_arrays(list(pair)).take(compute.if_else(second, compute.add(rows, count), rows))

    def _dropped(self, base: Any, ours: Any, theirs: Any, at: Any) -> None:
        """Refuse to lose cells of a column that one side changed and the other one removed."""
        pa, left = self.pa, set(self.schema.names)
        for side in (ours, theirs):
            for name in side.column_names:
                if name in left or name.startswith("\0") or name not in base.column_names:
                    continue
                before = array_of(pa, base.column(name)).take(at)
                if pa.compute.any(differing(pa, before, array_of(pa, side.column(name)))).as_py():
                    raise UnfitError(f"one side removed the column {name} and the other one changed it")

    def _alone(self, base: Any, side: Any, at: Any, *, theirs: bool) -> Any:
        """Return what stays of rows that only one side has: those that are new, and in conflict those it changed."""
        pa, compute = self.pa, self.pa.compute
        known = compute.is_valid(at)
        changed = pa.repeat(False, len(at))  # noqa: FBT003
        for name in base.column_names:
            if name in side.column_names and not name.startswith("\0") and name not in self.key:
                before = array_of(pa, base.column(name)).take(at)
                differs = differing(pa, before, array_of(pa, side.column(name)))
                changed = compute.or_(changed, compute.and_(differs, known))
        if compute.any(changed).as_py():
            words = "removed by ours, changed by theirs" if theirs else "changed by ours, removed by theirs"
            self._note(side, changed, lambda _: words, theirs=theirs)
        stays = compute.invert(known)
        if self.labels.favor in (None, "theirs" if theirs else "ours"):
            stays = compute.or_(stays, changed)
        rows = side.filter(stays)
        columns = [self._column(rows, one) for one in self.schema]
        order = array_of(pa, rows.column(ROW))
        return self._table(columns, compute.add(order, _THEIRS) if theirs else order)

    def _column(self, table: Any, one: Any) -> Any:
        """Return a column in the type that it gets, None where the table has none."""
        if one.name not in table.column_names:
            return None
        column = array_of(self.pa, table.column(one.name))
        kind = one.type.value_type if self.pa.types.is_dictionary(one.type) else one.type
        try:
            return column if column.type == kind else column.cast(kind)
        except self.pa.ArrowException as error:
            raise UnfitError(f"the column {one.name} does not fit its new type {kind}") from error

    def _table(self, columns: Sequence[Any], rows: Any) -> Any:
        pa = self.pa
        kinds = [one.type.value_type if pa.types.is_dictionary(one.type) else one.type for one in self.schema]
        made = [pa.nulls(len(rows), kind) if c is None else c for c, kind in zip(columns, kinds, strict=True)]
        return pa.table([*made, rows], names=[*self.schema.names, ROW])

    def _fights(self, name: str, ours: Any, cells: tuple[Any, Any, Any], known: Any, fight: Any) -> None:
        def said(place: int) -> str:
            if not known[place].as_py():
                return f"added by both sides, with another {name}"
            a, b, c = (cell(array[place].as_py()) for array in cells)
            return f"{name} (base {a}, ours {b}, theirs {c})"

        self._note(ours, fight, said)

    def _note(self, table: Any, flags: Any, said: Any, *, theirs: bool = False) -> None:
        places = self.pa.compute.indices_nonzero(flags)
        self.conflicts += len(places)
        for place in places[:_TOLD].to_pylist():
            values = [(name, table.column(name)[place].as_py()) for name in self.key]
            named = ", ".join(f"{name}={cell(value)}" for name, value in values)
            order = table.column(ROW)[place].as_py() + (_THEIRS if theirs else 0)
            self.notes.append((order, f"row {named}: {said(place)}"))

    def told(self) -> list[str]:
        """Return the conflicts of the first rows."""
        told = [text for _, text in sorted(self.notes, key=lambda note: note[0])[:_TOLD]]
        more = self.conflicts - len(told)
        return [*told, f"and {more} more conflicts"] if more else told


@dataclass(frozen=True, slots=True)
class _Part:
    """Merged rows of a part in a file, in order and in batches: the first ROW of each, the last of ours and theirs."""

    path: str
    starts: Sequence[int]
    ours: int
    theirs: int

    @classmethod
    def written(cls, pa: Any, table: Any, path: str) -> _Part:
        """Write a table."""
        table = table.combine_chunks()
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=_BATCH)
        order = table.column(ROW)
        starts = [order[at].as_py() for at in range(0, len(order), _BATCH)]
        end = _place(order, _THEIRS)
        return cls(path, starts, order[end - 1].as_py() if end else -1, order[-1].as_py() if end < len(order) else -1)

    def rows(self, pa: Any, reader: Any, start: int, end: int) -> Any:
        """Return the rows of a range."""
        first, behind = max(bisect_right(self.starts, start) - 1, 0), bisect_left(self.starts, end)
        table = pa.Table.from_batches([reader.get_batch(n) for n in range(first, behind)], reader.schema)
        order = array_of(pa, table.column(ROW))
        at = _place(order, start)
        return table.slice(at, _place(order, end) - at)


def _place(order: Any, row: int) -> int:
    return bisect_left(range(len(order)), row, key=lambda place: order[place].as_py())


def _assemble(pa: Any, parts: Sequence[_Part], schema: Any, path: str, compression: str) -> None:
    """Write the rows of all parts in order; memory holds one row group."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(pa.OSFile(part.path)) for part in parts]
        readers = [pa.ipc.open_file(file) for file in files]
        writer = stack.enter_context(pa.parquet.ParquetWriter(path, schema, compression=compression))
        for start, end in _ranges(parts):
            group = [part.rows(pa, reader, start, end) for part, reader in zip(parts, readers, strict=True)]
            rows = pa.concat_tables(group)
            rows = (rows.sort_by(ROW) if len(parts) > 1 else rows).drop_columns([ROW])
            if len(rows):
                writer.write_table(rows.cast(schema), row_group_size=_GROUP)


def _ranges(parts: Sequence[_Part]) -> Iterator[tuple[int, int]]:
    """Yield ranges of ROW of about a row group each: those of ours, then those of theirs."""
    for least, last in ((0, max(part.ours for part in parts)), (_THEIRS, max(part.theirs for part in parts))):
        for start in range(least, last + 1, _GROUP):
            yield start, start + _GROUP
