"""Tables written as text, one record after the other: CSV (RFC 4180, and what spreadsheets write) and JSON Lines.

Records are bytes without their line end. Files are read in pieces and never held whole here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dsvc.contents.driver import Settings, Source, UnfitError
from dsvc.contents.keyed import text_of

_LONGEST = 16 << 20  # bytes of one record: more is a quote that was never closed
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Cells = dict[str, Any]


class Form(Protocol):
    """How the records of a table are read and written; `columns` are those of its header, if it has one."""

    columns: tuple[str, ...]

    def cells(self, record: bytes) -> Cells:
        """Return the cells of a record by column."""

    def key(self, record: bytes, names: Sequence[str]) -> tuple[Any, ...]:
        """Return the cells of some columns."""

    def written(self, cells: Cells, columns: Sequence[str], like: bytes) -> bytes:
        """Return a record with these cells, written as the record `like` is; unchanged cells keep their very bytes."""


@dataclass(frozen=True, slots=True)
class Csv:
    """A table with a header and separated cells; cells are text."""

    columns: tuple[str, ...]
    separator: bytes
    header: bytes

    def cells(self, record: bytes) -> Cells:
        """Return the cells of a record by column.

        Raises:
            UnfitError: for a record with another number of cells than the header.
        """
        fields = self.fields(record)
        if len(fields) != len(self.columns):
            raise UnfitError(f"a row has {len(fields)} cells and the header {len(self.columns)}: {_start(record)}")
        return dict(zip(self.columns, map(plain, fields), strict=True))

    def fields(self, record: bytes) -> list[bytes]:
        """Return the cells of a record as they are written."""
        return split_fields(record, self.separator)

    def key(self, record: bytes, names: Sequence[str]) -> tuple[Any, ...]:
        """Return the cells of some columns."""
        if b'"' not in record:
            places = [self.columns.index(name) for name in names]
            found = record.split(self.separator, max(places) + 1)
            if len(found) <= max(places):
                raise UnfitError(f"a row has {len(found)} cells: {_start(record)}")
            return tuple(found[place].decode("utf-8", "surrogateescape") for place in places)
        cells = self.cells(record)
        return tuple(cells[name] for name in names)

    def written(self, cells: Cells, columns: Sequence[str], like: bytes) -> bytes:
        """Return a record with these cells; cells that are as in `like` keep their quotes."""
        known: dict[str, bytes] = {}
        fields = self.fields(like)
        if len(fields) == len(self.columns):
            known = dict(zip(self.columns, fields, strict=True))
        out = []
        for name in columns:
            raw = known.get(name)
            value = cells.get(name, "")
            out.append(raw if raw is not None and plain(raw) == value else quoted(value, self.separator))
        return self.separator.join(out)


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A table of JSON objects, one a line; cells are JSON values."""

    columns: tuple[str, ...] = ()

    def cells(self, record: bytes) -> Cells:
        """Return the members of a record."""
        try:
            found = json.loads(record)
        except (ValueError, RecursionError) as error:
            raise UnfitError(f"a line is no JSON: {_start(record)}") from error
        if not isinstance(found, dict):
            raise UnfitError(f"a line is no JSON object: {_start(record)}")
        return found

    def key(self, record: bytes, names: Sequence[str]) -> tuple[Any, ...]:
        """Return the cells of some columns; lists and objects as text."""
        cells = self.cells(record)
        found = [cells.get(name) for name in names]
        return tuple(text_of(value) if isinstance(value, list | dict) else value for value in found)

    def written(self, cells: Cells, columns: Sequence[str], like: bytes) -> bytes:
        """Return a record with these members, in the order of `like` and with its spaces."""
        del columns
        tight = b'":' in like and b'": ' not in like
        order = [name for name in self.cells(like) if name in cells]
        found = {name: cells[name] for name in [*order, *(name for name in cells if name not in order)]}
        separators = (",", ":") if tight else (", ", ": ")
        return json.dumps(found, ensure_ascii=b"\\u" in like, separators=separators).encode("utf-8", "surrogatepass")


def split_fields(record: bytes, separator: bytes) -> list[bytes]:
    """Return the cells of a CSV record as they are written, with their quotes.

    Raises:
        UnfitError: for quotes that are not closed, or go on behind the closing one.
    """
    if b'"' not in record:
        return record.split(separator)
    fields = []
    at, end = 0, len(record)
    while True:
        if record[at : at + 1] == b'"':
            stop = at + 1
            while True:
                stop = record.find(b'"', stop)
                if stop < 0:
                    raise UnfitError(f"a quote is not closed: {_start(record)}")
                if record[stop + 1 : stop + 2] != b'"':
                    break
                stop += 2
            stop += 1
            if stop < end and record[stop : stop + 1] != separator:
                raise UnfitError(f"text behind a closing quote: {_start(record)}")
        else:
            stop = record.find(separator, at)
            stop = end if stop < 0 else stop
        fields.append(record[at:stop])
        if stop >= end:
            return fields
        at = stop + 1


def plain(field: bytes) -> str:
    """Return the text of a cell without its quotes."""
    if field.startswith(b'"'):
        field = field[1:-1].replace(b'""', b'"')
    return field.decode("utf-8", "surrogateescape")


def quoted(value: str, separator: bytes) -> bytes:
    """Return a cell as it is written, in quotes where it must be."""
    field = value.encode("utf-8", "surrogateescape")
    if separator in field or b'"' in field or b"\n" in field or b"\r" in field:
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field


def lines_of(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield lines, without their ends, in lists of those of about one piece."""
    rest = b""
    for chunk in chunks:
        block = rest + bytes(chunk)
        if len(block) > _LONGEST and b"\n" not in block:
            raise UnfitError("a line is longer than 16 MiB")
        lines = block.split(b"\n")
        rest = lines.pop()
        if b"\r" in block:
            lines = [line.removesuffix(b"\r") for line in lines]
        yield lines
    if rest:
        yield [rest.removesuffix(b"\r")]


def csv_records(chunks: Iterable[bytes], separator: bytes) -> Iterator[list[bytes]]:
    """Yield the records of a CSV text, in lists: lines that stand in quotes together are one record. Empty lines go.

    Raises:
        UnfitError: for a quote that is never closed.
    """
    opened = re.compile(rb'(?:^|%s)"' % re.escape(separator))
    pending: list[bytes] = []
    size = row = 0
    for lines in lines_of(chunks):
        if not pending and not any(b'"' in line for line in lines):
            row += len(lines)
            yield [line for line in lines if line] if b"" in lines else lines
            continue
        records = []
        for line in lines:
            row += 1
            if pending:
                pending.append(line)
                size += len(line)
                if size > _LONGEST:
                    raise UnfitError(f"a quote near row {row} is never closed")
                if line.count(b'"') % 2:
                    records.append(b"\n".join(pending))
                    pending = []
            elif line.count(b'"') % 2 and opened.search(line):
                pending, size = [line], len(line)
            elif line:
                records.append(line)
        yield records
    if pending:
        raise UnfitError(f"a quote is never closed in the row that begins with {_start(pending[0])!r}")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table written as text: its form, and its records as often as they are asked for, in lists."""

    form: Csv | JsonLines
    source: Source
    places: tuple[int, ...] = ()
    """Which cells of the file's records make the records here, where those are not whole."""
    file_form: Csv | None = None

    def blocks(self) -> Iterator[list[bytes]]:
        """Yield records, without the header."""
        if isinstance(self.form, JsonLines):
            for lines in lines_of(self.source.chunks()):
                yield [line for line in lines if line.strip()]
            return
        form = self.file_form or self.form
        first = True
        for records in csv_records(self.source.chunks(), form.separator):
            if first and records:
                first = False
                del records[0]
            yield records if self.file_form is None else [self._narrow(record, form) for record in records]

    def _narrow(self, record: bytes, form: Csv) -> bytes:
        fields = form.fields(record)
        if len(fields) != len(form.columns):
            raise UnfitError(f"a row has {len(fields)} cells and the header {len(form.columns)}: {_start(record)}")
        separator = self.form.separator if isinstance(self.form, Csv) else b","
        if separator == form.separator:
            return separator.join([fields[place] for place in self.places])
        return separator.join([quoted(plain(fields[place]), separator) for place in self.places])


def narrowed(table: TextTable, columns: Sequence[str]) -> TextTable:
    """Return a CSV table with some of its columns, in that order, separated by commas."""
    assert isinstance(table.form, Csv)
    places = tuple(table.form.columns.index(name) for name in columns)
    return TextTable(Csv(tuple(columns), b",", b""), table.source, places, table.form)


def _start(record: bytes) -> str:
    return record[:60].decode("utf-8", "replace")


def open_table(source: Source, settings: Settings) -> TextTable:
    """Return a text as a table.

    Raises:
        UnfitError: for what is none.
    """
    head = source.head(1 << 16)
    if b"\0" in head:
        raise UnfitError("not text")
    if settings.suffix in ("jsonl", "ndjson") or (settings.suffix not in ("csv", "tsv") and head.lstrip()[:1] == b"{"):
        return TextTable(JsonLines(), source)
    line = head.removeprefix(_BYTE_ORDER_MARK).partition(b"\n")[0].removesuffix(b"\r")
    separator = _separator(line, settings)
    for records in csv_records(source.chunks(), separator):
        if records:
            columns = [plain(f) for f in split_fields(records[0].removeprefix(_BYTE_ORDER_MARK), separator)]
            if len(set(columns)) != len(columns):
                columns = [name if columns.count(name) == 1 else f"{name}#{n}" for n, name in enumerate(columns, 1)]
            return TextTable(Csv(tuple(columns), separator, records[0]), source)
    raise UnfitError("empty")


def _separator(line: bytes, settings: Settings) -> bytes:
    wanted = settings.text("separator")
    if wanted is not None:
        return b"\t" if wanted in ("tab", "\\t") else wanted.encode()[:1]
    if settings.suffix == "tsv":
        return b"\t"
    outside = re.sub(rb'"[^"]*"', b"", line)
    return max((b",", b";", b"\t", b"|"), key=outside.count)
