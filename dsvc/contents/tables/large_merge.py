"""Three-way merge of tables of text that do not fit into memory.

Rows are spread over parts by the hash of their keys, so that all versions of a row meet in one part, and a part fits
into memory. What a part comes to is written down with its place in the result, in the order of places; at the end all
parts are read side by side. One number a row of theirs lies in a file that is mapped into memory.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

from dsvc.contents.tables.comparing import Key
from dsvc.contents.tables.parts import DuplicateKeyError, Spill, long_key, spread
from dsvc.contents.tables.row_merge import Place, RowMerger

_PART = 12 << 20  # bytes of all sides in a part
_BLOCK = 1024  # rows of a block in order
_WINDOW = 1 << 16  # rows of ours that are put into order at once
_BASE, _OURS, _THEIRS, _FRESH, _DONE = range(5)  # what lists of blocks hold, one of each for every part

Row: TypeAlias = tuple[int, int, list[bytes]]  # its place, and its lines
_place: itemgetter[tuple[int, int]] = itemgetter(0, 1)


def large_merge(work: RowMerger) -> Iterator[list[bytes]]:
    """Merge the tables of `work`; what is returned yields the lines of the result, in lists.

    Conflicts are counted and noted when this returns. Memory does not grow with the tables, but for some bytes for
    each part of 12 MiB; the disk holds all of them once more.

    Raises:
        DuplicateKeyError: where two rows of a table have one key. UnfitError: for rows that are none.
    """
    with contextlib.ExitStack() as stack:
        count = sum(t.source.size for t in (work.base, work.ours, work.theirs) if t is not None) // _PART + 1
        spill = Spill(5 * count)
        stack.callback(spill.close)
        rows = [
            spread(table, work.key, spill, count, first=kind * count) if table is not None else 0
            for kind, table in ((_BASE, work.base), (_OURS, work.ours), (_THEIRS, work.theirs))
        ]
        order = _Order.of(rows[1], rows[2], stack)
        parts = [_Part(work, spill, number, count) for number in range(count)]
        for part in parts:
            part.meet(order)
        order.follow()
        for part in parts:
            part.place_new(order)
        return _in_order(parts, rows[1], stack.pop_all())


class _Order:
    """For each row of theirs the row of ours that it is, or behind which it comes."""

    def __init__(self, places: memoryview, ours: int) -> None:
        self.places = places  # first 0 for a new row, else the number of the row of ours plus one
        self.ours = ours

    @classmethod
    def of(cls, ours: int, theirs: int, stack: contextlib.ExitStack) -> _Order:
        """Return it for tables of so many rows, with no row known."""
        file = stack.enter_context(tempfile.TemporaryFile(prefix="dsvc-"))  # noqa: SIM115
        size = 8 * max(theirs, 1)
        file.truncate(size)
        mapped = stack.enter_context(mmap.mmap(file.fileno(), size))
        whole = stack.enter_context(memoryview(mapped))
        return cls(stack.enter_context(whole.cast("q")), ours)

    def follow(self) -> None:
        """Let each new row follow the row of ours that is the nearest one before it in theirs.

        Those behind the last known row come behind all of ours; those before the first one, before all, unless none
        is known.
        """
        places, before, since = self.places, -1, 0
        for at in range(0, len(places), 1 << 16):
            window = array("q", places[at : at + (1 << 16)])
            for number, place in enumerate(window):
                if place:
                    before, since = place - 1, at + number + 1
                else:
                    window[number] = before
            places[at : at + len(window)] = memoryview(window)
        for number in range(since, len(places)):
            places[number] = self.ours


@dataclass(slots=True)
class _Part:
    """The rows whose keys have one hash, modulo the number of parts."""

    work: RowMerger
    spill: Spill
    number: int
    count: int

    def meet(self, order: _Order) -> None:
        """Merge the rows that ours has, note which rows of theirs those are, and set the others aside."""
        base, ours, theirs = (self._table(kind) for kind in (_BASE, _OURS, _THEIRS))
        done: list[Row] = []
        merged = self.work.layout
        for key, (number, record) in ours.items():
            old, new = base.get(key), theirs.get(key)
            before, after = old[1] if old is not None else None, new[1] if new is not None else None
            if new is not None:
                order.places[new[0]] = number + 1
            if merged and after is not None and after in (record, before):
                done.append((number, 0, [record]))
                continue
            lines = self.work.settle((before, record, after), long_key(key), (number, 0))
            if lines:
                done.append((number, 0, lines))
        self._keep(_DONE, done)
        fresh = [
            (number, key, old[1] if (old := base.get(key)) is not None else None, record)
            for key, (number, record) in theirs.items()
            if key not in ours
        ]
        if fresh:
            self.spill.add(self._list(_FRESH), fresh)

    def place_new(self, order: _Order) -> None:
        """Merge the rows that ours does not have, and bring all rows of the part into the order of their places."""
        fresh: list[Row] = []
        for block in self.spill.take(self._list(_FRESH)):
            for number, key, old, record in block:
                place: Place = (order.places[number], number + 1)
                lines = self.work.settle((old, None, record), long_key(key), place)
                if lines:
                    fresh.append((*place, lines))
        if fresh:
            done = [row for block in self.spill.take(self._list(_DONE)) for row in block]
            done += fresh
            done.sort(key=_place)
            self.spill.forget(self._list(_DONE))
            self._keep(_DONE, done)

    def rows(self) -> Iterator[list[Row]]:
        """Yield the rows of the part in the order of their places."""
        return self.spill.take(self._list(_DONE))

    def _table(self, kind: int) -> dict[Any, tuple[int, bytes]]:
        """Return the rows of a side by key."""
        found: dict[Any, tuple[int, bytes]] = {}
        for numbers, keys, records in self.spill.take(self._list(kind)):
            size = len(found)
            found.update(zip(keys, zip(numbers, records, strict=True), strict=True))
            if len(found) != size + len(keys):
                raise DuplicateKeyError(self.work.key, self._twice(kind))
        return found

    def _twice(self, kind: int) -> Key:
        seen: set[Any] = set()
        for _, keys, _ in self.spill.take(self._list(kind)):
            for key in keys:
                if key in seen:
                    return long_key(key)
                seen.add(key)
        return ()

    def _keep(self, kind: int, rows: list[Row]) -> None:
        for at in range(0, len(rows), _BLOCK):
            self.spill.add(self._list(kind), rows[at : at + _BLOCK])

    def _list(self, kind: int) -> int:
        return kind * self.count + self.number


def _in_order(parts: list[_Part], rows: int, stack: contextlib.ExitStack) -> Iterator[list[bytes]]:
    """Yield the lines of all parts by their places, a window of places at a time."""
    with stack:
        readers = [part.rows() for part in parts]
        waiting: list[list[Row]] = [[] for _ in parts]
        for end in [*range(_WINDOW, rows, _WINDOW), rows, rows + 1]:
            window: list[Row] = []
            for number, reader in enumerate(readers):
                held = waiting[number]
                while not held or held[-1][0] < end:
                    window += held
                    held = waiting[number] = next(reader, [])
                    if not held:
                        break
                cut = next((at for at, row in enumerate(held) if row[0] >= end), len(held))
                window += held[:cut]
                waiting[number] = held[cut:]
            window.sort(key=_place)
            yield [line for _, _, lines in window for line in lines]
