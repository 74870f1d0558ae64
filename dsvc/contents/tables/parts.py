"""Rows of large tables on their way through a temporary file: parts by the hash of keys, and runs in order.

Blocks are written by marshal, which is quick and only ever read by the process that wrote them.
"""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.tables.comparing import Key
from dsvc.contents.tables.records import Csv, TextTable
from dsvc.contents.tables.showing import cell

_HELD = 24 << 20  # bytes of rows that wait to be written, with what Python needs for them
_COST = 110  # bytes that Python needs for a row beside its own


class DuplicateKeyError(UnfitError):
    """Two rows of a table have the same key."""

    def __init__(self, names: Sequence[str], key: Key) -> None:
        super().__init__(f"two rows have the {', '.join(names)} {', '.join(map(cell, key))}")


class Spill:
    """A temporary file of blocks, each in one of some lists."""

    def __init__(self, lists: int) -> None:
        self._file = tempfile.TemporaryFile(prefix="dsvc-")  # noqa: SIM115
        self._blocks: list[list[tuple[int, int]]] = [[] for _ in range(lists)]
        self._end = 0

    def add(self, number: int, block: Any) -> None:
        """Append a block of numbers, bytes, and tuples and lists of them to a list."""
        data = marshal.dumps(block)
        self._file.seek(self._end)
        self._file.write(data)
        self._blocks[number].append((self._end, len(data)))
        self._end += len(data)

    def take(self, number: int) -> Iterator[Any]:
        """Yield the blocks of a list in their order."""
        for at, size in self._blocks[number]:
            self._file.seek(at)
            yield marshal.loads(self._file.read(size))  # noqa: S302

    def forget(self, number: int) -> None:
        """Let a list be empty."""
        self._blocks[number] = []

    def close(self) -> None:
        """Remove it."""
        self._file.close()


def spread(table: TextTable, key: tuple[str, ...], spill: Spill, count: int, *, first: int) -> int:
    """Write a table's rows to `count` lists from `first` on, by the hash of their keys; return how many rows it has.

    A block is (numbers of rows, keys, records).

    Raises:
        UnfitError: for rows without the key's columns.
    """
    key_of = short_key(table, key)
    waiting: list[tuple[list[int], list[Any], list[bytes]]] = [([], [], []) for _ in range(count)]
    row = held = 0
    for block in table.blocks():
        for record in block:
            found = key_of(record)
            numbers, keys, records = waiting[hash(found) % count]
            numbers.append(row)
            keys.append(found)
            records.append(record)
            row += 1
        held += sum(map(len, block)) + _COST * len(block)
        if held > _HELD:
            _write(waiting, spill, first)
            held = 0
    _write(waiting, spill, first)
    return row


def _write(waiting: list[tuple[list[int], list[Any], list[bytes]]], spill: Spill, first: int) -> None:
    for number, columns in enumerate(waiting, first):
        if columns[0]:
            spill.add(number, columns)
            for column in columns:
                column.clear()


def short_key(table: TextTable, key: tuple[str, ...]) -> Callable[[bytes], Any]:
    """Return what gives the key of a record: for CSV by one column the cell's bytes, else what `Form.key` gives."""
    form = table.form
    if not isinstance(form, Csv) or len(key) != 1:
        return lambda record: form.key(record, key)
    separator, place = form.separator, form.columns.index(key[0])

    def found(record: bytes) -> bytes:
        if b'"' not in record:
            fields = record.split(separator, place + 1)
            if len(fields) > place:
                return fields[place]
        return str(form.key(record, key)[0]).encode("utf-8", "surrogateescape")

    return found


def long_key(key: Any) -> Key:
    """Return a key of `short_key` as `Form.key` gives it."""
    return (key.decode("utf-8", "surrogateescape"),) if isinstance(key, bytes) else tuple(key)
