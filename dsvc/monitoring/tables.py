"""Tables as pieces of columns: files in CSV or Parquet, and what libraries call a data frame or an array."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from dsvc.errors import RequestError
from dsvc.monitoring.profile import Profile
from dsvc.monitoring.profiler import NoTableError, Profiler

_PIECE: Final = 16_384  # rows
_MISSING: Final = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
_FIELD: Final = 1 << 24  # characters of one field of a CSV file
Piece = dict[str, Any]


class MissingColumnError(RequestError):
    """A table without a column that was named."""


def profile_table(table: Any, *, outputs: Any = None, target: str = "") -> Profile:
    """Return the profile of a data frame, an array of two dimensions, or a map of names to columns.

    `outputs` is what a model answers to its rows; or `target` names the column with what it should answer.

    Raises:
        NoTableError. TooManyColumnsError. MissingColumnError.
    """
    found = _profile(iter([_columns(table)]), target)
    if outputs is None:
        return found
    answers = Profiler(labels=True)
    answers.add(_answers(outputs))
    return Profile(found.rows, found.columns, answers.columns())


def profile_file(path: Path, *, header: bool = True, target: str = "", drop: Sequence[str] = ()) -> Profile:
    """Return the profile of a file in Parquet (by its ending) or CSV, which is read in pieces.

    Raises:
        NoTableError: when it is not of its form. TooManyColumnsError. MissingColumnError. OSError.
    """
    return _profile(read_pieces(path, header=header), target, drop)


def read_pieces(path: Path, *, header: bool = True, texts: Collection[str] = ()) -> Iterator[Piece]:
    """Yield a file in Parquet (by its ending) or CSV in pieces of bounded size; they are read as they are asked for.

    Columns of a CSV file that are among `texts` are texts even where all their values are numbers.

    Raises:
        NoTableError: when it is not of its form. OSError.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path)
    return _csv(path, header=header, texts=texts)


def _profile(pieces: Iterator[Piece], target: str, drop: Sequence[str] = ()) -> Profile:
    columns, answers = Profiler(), Profiler(labels=True)
    for piece in pieces:
        for name in (*drop, *([target] if target else [])):
            if name not in piece:
                listed = ", ".join(list(piece)[:10])
                raise MissingColumnError(f"the table has no column {name!r}; it has {listed}")
        if target:
            answers.add({target: piece[target]})
        columns.add({name: each for name, each in piece.items() if name != target and name not in drop})
    found = columns.finish()
    if not found.rows:
        raise NoTableError("the table has no rows")
    return Profile(found.rows, found.columns, answers.columns())


def _columns(table: Any) -> Piece:
    """Return a table in memory as one piece."""
    if isinstance(table, Mapping):
        return {str(name): _values(each) for name, each in table.items()}
    if hasattr(table, "to_pydict"):  # of pyarrow
        names = [str(name) for name in table.column_names]
        return {name: _arrow(table.column(at)) for at, name in enumerate(names)}
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):  # of pandas or polars
        return {str(name): _values(table[name]) for name in table.columns}
    found = np.asarray(table)
    if found.dtype.names:
        return {name: found[name] for name in found.dtype.names}
    if found.ndim != 2:
        raise NoTableError(f"a {type(table).__name__} is no table: it needs rows and columns")
    return {f"x{at}": found[:, at] for at in range(found.shape[1])}


def _answers(outputs: Any) -> Piece:
    if isinstance(outputs, Mapping) or hasattr(outputs, "columns"):
        return _columns(outputs)
    found = _values(outputs)
    if found.ndim == 2 and found.shape[1] > 1:
        return {"predict": found.argmax(axis=1)}
    return {"predict": found.reshape(len(found), -1)[:, 0]}


def _values(column: Any) -> Any:
    """Return a column as an array in which what is missing is None or NaN."""
    missing = getattr(column, "isna", None)
    found = np.asarray(column)
    if callable(missing) and found.dtype.kind == "O":
        found = found.copy()
        found[np.asarray(missing())] = None
    return found if found.dtype.kind != "M" else found.astype(str)


def _parquet(path: Path) -> Iterator[Piece]:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ModuleNotFoundError as error:
        raise NoTableError("Parquet needs pyarrow", hint="pip install 'dsvc[parquet]'") from error
    try:
        # Newer pyarrow reads ahead without end unless told not to, and then holds the whole file.
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(batch_size=_PIECE):
                yield {str(name): _arrow(batch.column(at)) for at, name in enumerate(batch.schema.names)}
    except ArrowException as error:
        raise NoTableError(f"{path} is no Parquet file: {error}") from error


def _arrow(column: Any) -> Any:
    kind = str(column.type)
    if (column.null_count == 0 and kind in ("bool", "float", "double")) or kind.startswith(("int", "uint")):
        return column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)
    return np.array(column.to_pylist(), dtype=object)


def _csv(path: Path, *, header: bool, texts: Collection[str]) -> Iterator[Piece]:
    """Read a file twice: which columns are numbers is known when all of it was seen."""
    types: list[str] = []
    for rows in _rows(path, header=header)[1]:
        for at, values in enumerate(zip(*rows, strict=True)):
            if at == len(types):
                types.append("integer")
            types[at] = _narrowed(types[at], values)
    names, pieces = _rows(path, header=header)
    types = ["string" if name in texts else type_of for name, type_of in zip(names, types, strict=False)]
    for rows in pieces:
        columns = zip(names, types, zip(*rows, strict=True), strict=True)
        yield {name: _typed(values, type_of) for name, type_of, values in columns}


def _rows(path: Path, *, header: bool) -> tuple[list[str], Iterator[list[list[str]]]]:
    """Return the names of the columns, and the rows in pieces."""
    reader = _read(path)
    first = next(reader, None)
    if first is None:
        raise NoTableError(f"{path} has no rows")
    names = first if header else [f"x{at}" for at in range(len(first))]
    if len(set(names)) != len(names):
        raise NoTableError(f"two columns of {path} have one name", hint="is there a header? --no-header says no")
    return names, _pieces(path, reader, len(names), [] if header else [first])


def _read(path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(_FIELD)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            sample = file.read(1 << 16)
            file.seek(0)
            yield from csv.reader(file, delimiter=_delimiter(sample), strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        raise NoTableError(f"{os.fspath(path)} is no CSV file: {error}") from error


def _delimiter(sample: str) -> str:
    first = sample.partition("\n")[0]
    return max(",;\t|", key=first.count)


def _pieces(path: Path, reader: Iterator[list[str]], width: int, first: list[list[str]]) -> Iterator[list[list[str]]]:
    seen = 0
    while rows := [*first, *islice(reader, _PIECE)]:
        first = []
        rows = [row for row in rows if row]
        for row in rows:
            seen += 1
            if len(row) != width:
                raise NoTableError(f"row {seen} of {path} has {len(row)} fields, not {width}")
        if rows:
            yield rows


def _narrowed(type_of: str, values: Sequence[str]) -> str:
    """Return the narrowest type that holds these values, and what `type_of` held before."""
    if type_of == "string":
        return type_of
    there = [value for value in values if value not in _MISSING]
    for name, make in (("integer", int), ("float", float)):
        if name == "integer" and type_of == "float":
            continue
        try:
            for value in there:
                make(value)
        except ValueError:
            continue
        return name
    return "string"


def _typed(values: Sequence[str], type_of: str) -> Any:
    if type_of == "string":
        return np.array([None if value in _MISSING else value for value in values], dtype=object)
    if type_of == "integer" and not _MISSING & set(values):
        return np.array([int(value) for value in values], dtype=object if any(len(v) > 18 for v in values) else None)
    return np.array([np.nan if value in _MISSING else float(value) for value in values])
