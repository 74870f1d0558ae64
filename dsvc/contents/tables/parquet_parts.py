"""Parquet files taken apart by the hash of their keys, so that rows that belong together meet in memory.

A part is a pyarrow Table of the file's rows with two kinds of columns more: `ROW`, where a row stands in its file, and
`KEY` with a number, the key's columns in a type that all sides have. Small files are one part; of larger ones each part
is a file of Arrow's IPC format in a temporary folder, of about `_ROWS` rows or `_BYTES` of data.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from zlib import crc32

from dsvc.contents.driver import ExtraMissingError, Source, UnfitError

ROW, KEY = "\0row", "\0key"
_ROWS = 1 << 18
_BYTES = 16 << 20  # by what Parquet says of the uncompressed size
_BATCH = 1 << 16  # rows that are read at once
_SPREAD = 0x9E3779B97F4A7C15 - (1 << 64)  # 2**64 divided by the golden ratio, as a signed number (Knuth)


class NotUniqueError(UnfitError):
    """Two rows of a file have the same key, or its columns cannot be a key."""


def arrow() -> Any:
    """Return pyarrow.

    Raises:
        ExtraMissingError: where it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraMissingError("Parquet", "tables") from error
    return pa


@dataclass(slots=True)
class ParquetSide:
    """One open file."""

    pa: Any
    file: Any

    @property
    def names(self) -> list[str]:
        """The names of its columns, each once."""
        return list(self.file.schema_arrow.names)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self.file.metadata.num_rows)

    @property
    def size(self) -> int:
        """How many bytes its columns take, before they are compressed."""
        groups = (self.file.metadata.row_group(n) for n in range(self.file.metadata.num_row_groups))
        return sum(int(group.total_byte_size) for group in groups)

    @property
    def compression(self) -> str:
        """How its first column is compressed."""
        return str(self.file.metadata.row_group(0).column(0).compression) if self.rows else "SNAPPY"

    def type_of(self, name: str) -> Any:
        """Return the type of a column's values."""
        return self.file.schema_arrow.field(name).type

    def plain_type(self, name: str) -> Any:
        """Return the same, of a dictionary that of its words."""
        found = self.type_of(name)
        return found.value_type if self.pa.types.is_dictionary(found) else found

    def tables(self, keys: Sequence[str], types: Sequence[Any]) -> Iterator[Any]:
        """Yield its rows as tables with ROW and KEY columns."""
        pa, at = self.pa, 0
        try:
            for batch in self.file.iter_batches(_BATCH):
                table = pa.Table.from_batches([batch])
                for place, name in enumerate(table.column_names):
                    kind = self.plain_type(name)
                    if kind != table.schema.field(place).type:
                        table = table.set_column(place, name, table.column(place).cast(kind))
                rows = pa.array(range(at, at + len(table)), pa.int64())
                for number, (name, kind) in enumerate(zip(keys, types, strict=True)):
                    values = rows if name == ROW else table.column(name).cast(kind)
                    table = table.append_column(f"{KEY}{number}", values)
                yield table.append_column(ROW, rows)
                at += len(table)
        except (pa.ArrowException, OSError) as error:
            raise UnfitError(f"damaged: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def opened_side(source: Source, pa: Any) -> Iterator[ParquetSide]:
    """Open a file.

    Raises:
        UnfitError: for another one, and where two columns have one name.
    """
    with source.file() as path:
        try:
            file = pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
            names = list(file.schema_arrow.names)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UnfitError(f"no Parquet: {str(error).splitlines()[0]}") from error
        if len(set(names)) != len(names) or any(name.startswith((ROW, KEY)) for name in names):
            raise UnfitError("two columns have one name")
        yield ParquetSide(pa, file)


def key_types(sides: Sequence[ParquetSide], keys: Sequence[str]) -> list[Any]:
    """Return the types in which keys of all sides can be compared.

    Raises:
        NotUniqueError: where there are none.
    """
    pa, found = sides[0].pa, []
    t = pa.types
    for name in keys:
        kinds = [side.plain_type(name) if name != ROW else pa.int64() for side in sides]
        if any(t.is_nested(kind) or t.is_null(kind) for kind in kinds):
            raise NotUniqueError(f"{name} is no key: it is nested or empty")
        if all(kind == kinds[0] for kind in kinds):
            found.append(kinds[0])
        elif all(map(t.is_integer, kinds)):
            found.append(pa.int64())
        elif all(map(t.is_floating, kinds)):
            found.append(pa.float64())
        elif all(t.is_string(kind) or t.is_large_string(kind) for kind in kinds):
            found.append(pa.large_string())
        else:
            raise NotUniqueError(f"{name} is no key: its types differ")
    return found


@contextlib.contextmanager
def parted(sides: Sequence[ParquetSide], keys: Sequence[str]) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Give the parts of some files, each as a tuple of one table of each file; rows of one key are in one of them.

    Raises:
        NotUniqueError: where types cannot be keys. UnfitError: for a damaged file.
    """
    pa = sides[0].pa
    types = key_types(sides, keys)
    count = max(max(side.rows // _ROWS, side.size // _BYTES) + 1 for side in sides)
    if count == 1:
        yield iter([tuple(_whole(side, keys, types) for side in sides)])
        return
    with tempfile.TemporaryDirectory(prefix="dsvc-") as folder:
        for number, side in enumerate(sides):
            _spread(side, keys, types, [f"{folder}/{number}.{part}" for part in range(count)])

        def read() -> Iterator[tuple[Any, ...]]:
            for part in range(count):
                tables = []
                for number in range(len(sides)):
                    path = f"{folder}/{number}.{part}"
                    with pa.OSFile(path) as file:
                        tables.append(pa.ipc.open_stream(file).read_all())
                    os.unlink(path)
                yield tuple(tables)

        yield read()


def _whole(side: ParquetSide, keys: Sequence[str], types: Sequence[Any]) -> Any:
    tables = list(side.tables(keys, types))
    return side.pa.concat_tables(tables) if tables else _empty(side, keys, types)


def _empty(side: ParquetSide, keys: Sequence[str], types: Sequence[Any]) -> Any:
    pa = side.pa
    fields = [pa.field(name, side.plain_type(name)) for name in side.names]
    fields += [pa.field(f"{KEY}{number}", kind) for number, kind in enumerate(types[: len(keys)])]
    return pa.schema([*fields, pa.field(ROW, pa.int64())]).empty_table()


def _spread(side: ParquetSide, keys: Sequence[str], types: Sequence[Any], paths: Sequence[str]) -> None:
    """Write the rows of a file to as many files, by their keys."""
    pa, compute = side.pa, side.pa.compute
    with contextlib.ExitStack() as stack:
        writers: list[Any] = []
        for table in side.tables(keys, types):
            if not writers:
                writers = [stack.enter_context(pa.ipc.new_stream(path, table.schema)) for path in paths]
            buckets = _buckets(pa, [table.column(f"{KEY}{number}") for number in range(len(keys))], len(paths))
            for part, writer in enumerate(writers):
                places = compute.indices_nonzero(compute.equal(buckets, part))
                if len(places):
                    writer.write_table(table.take(places).combine_chunks())
    if not writers:
        for path in paths:
            with pa.ipc.new_stream(path, _empty(side, keys, types).schema):
                pass


def _buckets(pa: Any, keys: Sequence[Any], count: int) -> Any:
    """Return the part of each row; equal keys of equal types have the same one."""
    compute, mixed = pa.compute, None
    for key in keys:
        if pa.types.is_integer(key.type) and key.type != pa.uint64():
            numbers = compute.fill_null(key.cast(pa.int64()), 0)
        else:
            words = (b"" if value is None else str(value).encode("utf-8", "surrogatepass") for value in key.to_pylist())
            numbers = pa.array([crc32(word) for word in words], pa.int64())
        mixed = numbers if mixed is None else compute.add(compute.multiply(mixed, 31), numbers)
    spread = compute.shift_right(compute.multiply(mixed, _SPREAD), 33)
    positive = compute.bit_wise_and(spread, (1 << 30) - 1)
    return compute.subtract(positive, compute.multiply(compute.divide(positive, count), count))


def keys_of(pa: Any, tables: Sequence[Any]) -> list[Any]:
    """Return the keys of the rows of each table of a part as one array, which can be compared with those of the others.

    Raises:
        NotUniqueError: where two rows of a table have the same one.
    """
    compute = pa.compute
    names = [name for name in tables[0].column_names if name.startswith(KEY)]
    columns = [[array_of(pa, table.column(name)) for table in tables] for name in names]
    found = columns[0]
    for more in columns[1:]:
        lengths = [len(array) for array in found]
        numbers = []
        for arrays in (found, more):
            encoded = pa.concat_arrays(arrays).dictionary_encode(null_encoding="encode")
            numbers.append((encoded.indices.cast(pa.int64()), len(encoded.dictionary)))
        mixed = compute.add(compute.multiply(numbers[0][0], numbers[1][1]), numbers[1][0])
        starts = accumulate(lengths, initial=0)
        found = [mixed.slice(start, length) for start, length in zip(starts, lengths, strict=False)]
    for array in found:
        if compute.count_distinct(array, mode="all").as_py() != len(array):
            raise NotUniqueError("two rows have the same key")
    return found


def array_of(pa: Any, column: Any) -> Any:
    """Return a column as one array."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def differing(pa: Any, old: Any, new: Any) -> Any:
    """Say for each place whether two arrays of one length differ there; null equals null, and NaN equals NaN."""
    if old.equals(new):
        return pa.repeat(False, len(old))  # noqa: FBT003
    compute = pa.compute
    if old.type != new.type:
        with contextlib.suppress(pa.ArrowException):
            wide = new.cast(old.type)
            if wide.cast(new.type).equals(new):
                new = wide
    if old.type == new.type and not pa.types.is_nested(old.type):
        try:
            differs = compute.fill_null(compute.not_equal(old, new), False)  # noqa: FBT003
        except pa.ArrowNotImplementedError:
            return _differing_values(pa, old, new)
        if pa.types.is_floating(old.type):
            both = compute.and_(compute.is_nan(old), compute.is_nan(new))
            differs = compute.and_not(differs, compute.fill_null(both, False))  # noqa: FBT003
        one_null = compute.xor(compute.is_null(old), compute.is_null(new))
        return compute.or_(differs, one_null)
    return _differing_values(pa, old, new)


def _differing_values(pa: Any, old: Any, new: Any) -> Any:
    """Do the same for values that only Python compares, some at a time: most pieces are equal as they are."""
    found = []
    for at in range(0, len(old), 1024):
        a, b = old.slice(at, 1024), new.slice(at, 1024)
        if a.type == b.type and a.equals(b):
            found.append(pa.repeat(False, len(a)))  # noqa: FBT003
        else:
            pairs = zip(a.to_pylist(), b.to_pylist(), strict=True)
            found.append(pa.array([not same_value(x, y) for x, y in pairs], pa.bool_()))
    return pa.concat_arrays(found) if found else pa.array([], pa.bool_())


def same_value(a: Any, b: Any) -> bool:
    """Say whether two Python values are the same, in which NaN equals itself."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (a != a and b != b)  # noqa: PLR0124
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_value(value, b[key]) for key, value in a.items())
    return bool(a == b)
