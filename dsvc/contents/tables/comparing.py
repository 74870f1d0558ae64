"""Which rows differ between two tables of text, in memory that does not grow with them.

Equal records fall out first, by sets of whole records: what is left is what changed, and only that is taken apart. A
table of more than `IN_MEMORY` bytes is first split into files by the hash of its records, so that equal ones meet.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, Any

from dsvc.contents.driver import UnfitError
from dsvc.contents.tables.records import Cells, Csv, TextTable, lines_of, narrowed

IN_MEMORY = 192 << 20
_BUCKET = 32 << 20
_KEPT = 1000  # rows of each kind of change that are told one by one
_MANY = 400_000  # changed rows that are paired at once

Key = tuple[Any, ...]
Names = ("id", "key", "uuid", "guid", "index", "name", "unnamed: 0", "")


@dataclass(slots=True)
class RowChange:
    """A row that differs: its key (none where rows have none), its cells before and after."""

    key: Key
    old: Cells | None
    new: Cells | None

    def cells(self) -> list[tuple[str, Any, Any]]:
        """Return the cells of a changed row that differ: column, old value, new value."""
        if self.old is None or self.new is None:
            return []
        names = [*self.old, *(name for name in self.new if name not in self.old)]
        pairs = [(name, self.old.get(name), self.new.get(name)) for name in names]
        return [pair for pair in pairs if pair[1] != pair[2] or type(pair[1]) is not type(pair[2])]


@dataclass(slots=True)
class TableDiff:
    """How two tables differ: columns, counts of rows, how often each column changed, and the first changed rows."""

    key: tuple[str, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    columns_moved: bool = False
    types: tuple[tuple[str, str, str], ...] = ()
    old_rows: int = 0
    new_rows: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    by_column: Counter[str] = field(default_factory=Counter)
    rows: list[RowChange] = field(default_factory=list)

    def note(self, row: RowChange) -> None:
        """Count a changed row, and keep it where there is room."""
        if row.old is None:
            self.added += 1
            room = self.added <= _KEPT
        elif row.new is None:
            self.removed += 1
            room = self.removed <= _KEPT
        else:
            cells = row.cells()
            if not cells:
                return
            self.changed += 1
            room = self.changed <= _KEPT
            self.by_column.update(name for name, _, _ in cells)
        if room:
            self.rows.append(row)


def compare(old: TextTable, new: TextTable, key: Sequence[str] | None) -> TableDiff:
    """Compare two tables; `key` names the columns by which rows are known, None leaves that to what is in them.

    Of large tables rows come in no order.
    """
    found = TableDiff()
    old, new = _aligned(old, new, found)
    with contextlib.ExitStack() as stack:
        left = _Left(old, new, tuple(key) if key is not None else None, found, stack)
        size = old.source.size + new.source.size
        if size <= IN_MEMORY:
            left.take(*_different(old.blocks(), new.blocks(), found))
        else:
            files = [[_temporary(stack) for _ in range(size // _BUCKET + 1)] for _ in range(2)]
            for table, buckets in zip((old, new), files, strict=True):
                _split(table.blocks(), buckets, hash)
            for a, b in zip(*files, strict=True):
                left.take(*_different(_stored(a), _stored(b), found))
                a.close()
                b.close()
        left.settle()
    return found


class _Left:
    """The records that only one side has, on their way to be paired by key; very many of them wait in files."""

    def __init__(
        self, old: TextTable, new: TextTable, key: tuple[str, ...] | None, found: TableDiff, stack: contextlib.ExitStack
    ) -> None:
        self._tables = old, new
        self._key = key
        self._found = found
        self._stack = stack
        self._records: tuple[list[bytes], list[bytes]] = ([], [])
        self._files: list[list[IO[bytes]]] = []

    def take(self, gone: list[bytes], fresh: list[bytes]) -> None:
        self._records[0].extend(gone)
        self._records[1].extend(fresh)
        if len(self._records[0]) + len(self._records[1]) > _MANY:
            self._set_aside()

    def _known_key(self) -> tuple[str, ...]:
        if self._key is None:
            self._key = _inferred(*self._tables, self._records[0][:_MANY], self._records[1][:_MANY])
        self._found.key = self._key
        return self._key

    def _set_aside(self) -> None:
        key = self._known_key()
        if not key:
            self._tell(*self._records)
        else:
            if not self._files:
                rows = max(self._found.old_rows, self._found.new_rows, 1)
                total = sum(table.source.size for table in self._tables) // 64 + rows
                self._files = [[_temporary(self._stack) for _ in range(total // _MANY + 1)] for _ in range(2)]
            for table, records, files in zip(self._tables, self._records, self._files, strict=True):
                _split([records], files, lambda record, form=table.form: hash(form.key(record, key)))  # type: ignore[misc]
        for records in self._records:
            records.clear()

    def settle(self) -> None:
        key = self._known_key()
        if self._files:
            self._set_aside()
            for a, b in zip(*self._files, strict=True):
                gone, fresh = (list(chain.from_iterable(_stored(file))) for file in (a, b))
                _pair(gone, fresh, self._tables, self._found)
        elif key:
            _pair(*self._records, self._tables, self._found)
        else:
            self._tell(*self._records)

    def _tell(self, gone: list[bytes], fresh: list[bytes]) -> None:
        for record in gone:
            self._found.note(RowChange((), self._tables[0].form.cells(record), None))
        for record in fresh:
            self._found.note(RowChange((), None, self._tables[1].form.cells(record)))


def _aligned(old: TextTable, new: TextTable, found: TableDiff) -> tuple[TextTable, TextTable]:
    """Note how the columns differ; return both tables with shared columns, so that equal rows are equal bytes."""
    if not isinstance(old.form, Csv) or not isinstance(new.form, Csv):
        return old, new
    before, after = old.form.columns, new.form.columns
    found.columns_added = tuple(name for name in after if name not in before)
    found.columns_removed = tuple(name for name in before if name not in after)
    common = [name for name in before if name in after]
    found.columns_moved = common != [name for name in after if name in before]
    if (before, old.form.separator) == (after, new.form.separator):
        return old, new
    if not common:
        raise UnfitError("the two tables share no column")
    return narrowed(old, common), narrowed(new, common)


def _different(
    old: Iterable[list[bytes]], new: Iterable[list[bytes]], found: TableDiff
) -> tuple[list[bytes], list[bytes]]:
    """Return the records that only one side has, in its order, each as often as it has it more."""
    before = list(chain.from_iterable(old))
    after = list(chain.from_iterable(new))
    found.old_rows += len(before)
    found.new_rows += len(after)
    head = 0
    for a, b in zip(before, after, strict=False):
        if a != b:
            break
        head += 1
    before, after = before[head:], after[head:]
    olds, news = set(before), set(after)
    if len(olds) == len(before) and len(news) == len(after):
        gone, fresh = olds - news, news - olds
        return [record for record in before if record in gone], [record for record in after if record in fresh]
    return _less(before, after), _less(after, before)


def _less(records: list[bytes], others: list[bytes]) -> list[bytes]:
    """Return records without those that others have, each as often as they have it."""
    left = Counter(others)
    out = []
    for record in records:
        if left.get(record, 0):
            left[record] -= 1
        else:
            out.append(record)
    return out


def _pair(gone: list[bytes], fresh: list[bytes], tables: tuple[TextTable, TextTable], found: TableDiff) -> None:
    old, new = tables[0].form, tables[1].form
    before: dict[Key, list[bytes]] = {}
    for record in gone:
        before.setdefault(old.key(record, found.key), []).append(record)
    waiting: list[tuple[Key, bytes]] = []
    for record in fresh:
        key = new.key(record, found.key)
        others = before.get(key)
        if others:
            found.note(RowChange(key, old.cells(others.pop(0)), new.cells(record)))
        else:
            waiting.append((key, record))
    for key, records in before.items():
        for record in records:
            found.note(RowChange(key, old.cells(record), None))
    for key, record in waiting:
        found.note(RowChange(key, None, new.cells(record)))


def _inferred(old: TextTable, new: TextTable, gone: list[bytes], fresh: list[bytes]) -> tuple[str, ...]:
    """Return the column that tells rows apart, none where there is none.

    Tried are columns with a name that says so, then the first; the rows that differ and the first ones must be unique.
    """
    sample = [list(chain.from_iterable(_first(table, 5000))) for table in (old, new)]
    for name in candidates(old, new, sample[0]):
        sides = ((old, gone, sample[0]), (new, fresh, sample[1]))
        if all(is_unique(table, name, some) and is_unique(table, name, more) for table, some, more in sides):
            return (name,)
    return ()


def candidates(old: TextTable, new: TextTable, sample: Sequence[bytes]) -> list[str]:
    """Return the columns that may be a key, the likeliest first."""
    if isinstance(old.form, Csv) and isinstance(new.form, Csv):
        columns = [name for name in old.form.columns if name in new.form.columns]
        first = columns[:1] if old.form.columns[:1] == new.form.columns[:1] else []
    else:
        columns = list(old.form.cells(sample[0])) if sample else []
        first = columns[:1]
    named = [name for wanted in Names for name in columns if name.lower() == wanted]
    return list(dict.fromkeys([*named, *(name for name in columns if name.lower().endswith("_id")), *first]))


def is_unique(table: TextTable, name: str, records: Sequence[bytes]) -> bool:
    """Say whether a column has a value of its own in each of some records."""
    keys = [table.form.key(record, (name,)) for record in records]
    return len(set(keys)) == len(keys) and (None,) not in keys


def _first(table: TextTable, count: int) -> Iterator[list[bytes]]:
    for block in table.blocks():
        yield block[:count]
        count -= len(block)
        if count <= 0:
            return


_ESCAPED = b"\x00"  # stands for a line end inside of a record in a bucket's file


def _temporary(stack: contextlib.ExitStack) -> IO[bytes]:
    return stack.enter_context(tempfile.TemporaryFile(prefix="dsvc-"))


def _split(blocks: Iterable[list[bytes]], buckets: Sequence[IO[bytes]], place: Callable[[bytes], int]) -> None:
    count = len(buckets)
    waiting: list[list[bytes]] = [[] for _ in buckets]
    held = 0
    for block in blocks:
        for record in block:
            waiting[place(record) % count].append(record)
        held += len(block)
        if held > 200_000:
            _write(waiting, buckets)
            held = 0
    _write(waiting, buckets)


def _write(waiting: list[list[bytes]], buckets: Sequence[IO[bytes]]) -> None:
    for records, file in zip(waiting, buckets, strict=True):
        if records:
            joined = b"\n".join(records)
            if joined.count(b"\n") != len(records) - 1:
                joined = b"\n".join(record.replace(b"\n", _ESCAPED) for record in records)
            file.write(joined + b"\n")
            records.clear()


def _stored(file: IO[bytes]) -> Iterator[list[bytes]]:
    file.seek(0)
    for lines in lines_of(iter(lambda: file.read(1 << 20), b"")):
        yield [line.replace(_ESCAPED, b"\n") if _ESCAPED in line else line for line in lines]
