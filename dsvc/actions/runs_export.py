"""Runs as a table of their own for other programs: CSV, or Parquet by pyarrow."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from dsvc.actions.runs import get_run
from dsvc.actions.runs_plot import series_points
from dsvc.atomic import temporary_name
from dsvc.errors import RequestError, UsageError
from dsvc.objects.codec import Value
from dsvc.runs.summary import Summary
from dsvc.workspace import Workspace

_FIELDS = ("run", "name", "state", "start", "elapsed", "exit_code", "user", "command", "description")
_POINTS = 50_000  # rows that are written at once
_SERIES = ("run", "name", "step", "time", "value", "text")
Row = Sequence[Any]


class _Table(Protocol):
    def write(self, rows: Sequence[Row]) -> None: ...
    def close(self) -> None: ...


def export_runs(workspace: Workspace, rows: Sequence[Summary], path: Path) -> int:
    """Write a row a run; return their number. The file is there when it is complete.

    `start` is in microseconds since 1970 UTC, `elapsed` in microseconds. Columns `params.NAME`, `metrics.NAME` and
    `labels.NAME` follow.

    Raises:
        UsageError: for an ending that is not known. RequestError: when pyarrow is not installed. OSError.
    """
    del workspace
    names = [
        f"{section}.{name}"
        for section in ("params", "metrics", "labels")
        for name in sorted({name for row in rows for name in getattr(row, section)})
    ]
    table = [[*_fields(row), *(_plain(_value(row, name)) for name in names)] for row in rows]
    return _write(path, (*_FIELDS, *names), [table] if table else [])


def export_series(workspace: Workspace, rows: Sequence[Summary], path: Path) -> int:
    """Write a row a point of the series of these runs: run, name, step, time in microseconds since 1970 UTC, value.

    The value is a float; what is no number stands as JSON in the column `text`.

    Raises what `export_runs` raises.
    """
    points: Iterator[Row] = (
        (row.key.hex(), name, point.step, point.time, *_number_or_text(point.value))
        for row in rows
        for name, point in series_points(workspace, get_run(workspace, row.key)[0])
    )
    return _write(path, _SERIES, iter(lambda: list(islice(points, _POINTS)), []))


def _fields(row: Summary) -> Row:
    facts = (row.name, row.state, row.start, row.elapsed, row.exit_code, row.user, row.command, row.description)
    return (row.key.hex(), *facts)


def _value(row: Summary, name: str) -> Value:
    section, _, rest = name.partition(".")
    found: Value = getattr(row, section).get(rest)
    return found


def _plain(value: Value) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str)


def _number_or_text(value: Value) -> tuple[float | None, str | None]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value), None
        except OverflowError:
            return None, str(value)
    return None, None if value is None else json.dumps(value, default=str)


def _write(path: Path, names: Sequence[str], batches: Iterable[Sequence[Row]]) -> int:
    makers: dict[str, Callable[[Path, Sequence[str]], _Table]] = {".csv": _Csv, ".parquet": _Parquet}
    make = makers.get(path.suffix.lower())
    if make is None:
        raise UsageError(f"{path.name} ends neither with .csv nor with .parquet", hint="dsvc runs export runs.parquet")
    temporary = path.parent / temporary_name(path.name)
    count = 0
    try:
        table = make(temporary, names)
        try:
            for batch in batches:
                table.write(batch)
                count += len(batch)
        finally:
            table.close()
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return count


class _Csv:
    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file = open(path, "w", newline="", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(names)

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Columns take the type that all their values have; where they differ they are texts."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        try:
            import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
            import pyarrow.parquet as _  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
        except ModuleNotFoundError as error:
            hint = "pip install 'dsvc[parquet]'"
            raise RequestError("Parquet needs pyarrow, which is not installed", hint=hint) from error
        self._arrow, self._path, self._names = pa, path, names
        self._writer: Any = None
        self._schema: Any = None
        self._types: Any = ()

    def write(self, rows: Sequence[Row]) -> None:
        columns = [_uniform([row[at] for row in rows]) for at in range(len(self._names))]
        if self._writer is None:
            table = self._arrow.table(dict(zip(self._names, columns, strict=True)))
            if self._names == _SERIES:  # further rows may have numbers where these have none
                arrow = self._arrow
                kinds = (arrow.string(), arrow.string(), arrow.int64(), arrow.int64(), arrow.float64(), arrow.string())
                table = table.cast(arrow.schema(list(zip(self._names, kinds, strict=True))))
            self._schema, self._types = table.schema, table.schema.types
            self._writer = self._arrow.parquet.ParquetWriter(self._path, table.schema)
        else:
            table = self._arrow.Table.from_arrays(
                [self._arrow.array(c, kind) for c, kind in zip(columns, self._types, strict=True)], schema=self._schema
            )
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is None:
            nothing = self._arrow.table({name: self._arrow.array([], self._arrow.string()) for name in self._names})
            self._writer = self._arrow.parquet.ParquetWriter(self._path, nothing.schema)
            self._writer.write_table(nothing)
        self._writer.close()


def _uniform(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1:
        return values
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]

