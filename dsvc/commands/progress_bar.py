"""One line on a terminal that says how far work is; plain escape codes, because rich is slow to import."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from dsvc.commands.output import Output

_PATIENCE: Final = 1.0
_GLANCE: Final = 0.3
_INTERVAL: Final = 0.1
_BAR: Final = 20


class Census:
    """Counts in a thread how much a phase has to do; the totals are known once nothing waits to be counted."""

    __slots__ = ("_busy", "_items", "_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], tuple[int, int]]] = deque()
        self._busy: threading.Thread | None = None
        self._items = self._size = 0

    def add(self, count: Callable[[], tuple[int, int]]) -> None:
        """Let this be counted too."""
        self._waiting.append(count)

    def totals(self) -> tuple[int, int] | None:
        """Items and bytes, or None while they are counted; the first call begins to count."""
        if self._busy is not None and self._busy.is_alive():
            return None
        if self._waiting:
            self._busy = threading.Thread(target=self._count, daemon=True)
            self._busy.start()
            return None
        return self._items, self._size

    def stop(self) -> None:
        """Count no more."""
        self._waiting.clear()

    def _count(self) -> None:
        while self._waiting:
            try:
                count = self._waiting.popleft()
            except IndexError:  # stopped meanwhile
                return
            items, size = count()
            self._items += items
            self._size += size


class ProgressLine:
    """A `dsvc.progress.Progress` that draws on stderr, but only once the work has taken a second.

    After that each phase is drawn which takes longer than a glance.
    """

    __slots__ = (
        "_begun",
        "_bytes",
        "_census",
        "_columns",
        "_drawn",
        "_items",
        "_label",
        "_next",
        "_now",
        "_out",
        "_started",
        "_total_bytes",
        "_total_items",
        "_unit",
    )

    def __init__(
        self, out: Output, *, now: Callable[[], float] = time.monotonic, columns: Callable[[], int] | None = None
    ) -> None:
        self._out = out
        self._now = now
        self._columns = columns if columns is not None else _terminal_columns
        self._drawn = False
        self._census: Census | None = None
        self._begun: float | None = None
        self.start("")
        self._begun = None

    def start(
        self, label: str, *, total_bytes: int | None = None, total_items: int | None = None, unit: str = "files"
    ) -> None:
        """Begin a phase; the line of the one before it goes."""
        self.finish()
        self._label = label
        self._total_bytes = total_bytes
        self._total_items = total_items
        self._unit = unit
        self._items = 0
        self._bytes = 0
        self._started = self._now()
        if self._begun is None:
            self._begun = self._started
        self._next = max(self._begun + _PATIENCE, self._started + _GLANCE)

    def expect(self, count: Callable[[], tuple[int, int]]) -> None:
        """Count more of the phase, once it has taken a second."""
        if self._census is None:
            self._census = Census()
        self._census.add(count)

    def advance(self, *, items: int = 0, size: int = 0) -> None:
        """Count, and draw at most ten times a second."""
        self._items += items
        self._bytes += size
        now = self._now()
        if now >= self._next:
            self._next = now + _INTERVAL
            self._draw(now - self._started)

    def finish(self) -> None:
        """Take the line away."""
        if self._census is not None:
            self._census.stop()
            self._census = None
        if self._drawn:
            self._clear()
            self._out.live_line(None)

    def _draw(self, seconds: float) -> None:
        width = self._columns()
        if self._census is not None:
            totals = self._census.totals()
            self._total_items, self._total_bytes = totals if totals is not None else (None, None)
        text = progress_text(
            self._label,
            seconds,
            items=self._items,
            size=self._bytes,
            total_items=self._total_items,
            total_bytes=self._total_bytes,
            unit=self._unit,
            width=width - 1,
        )
        self._out.live(f"\r\x1b[K{text[: width - 1]}")
        self._drawn = True
        self._out.live_line(self._clear)

    def _clear(self) -> None:
        if self._drawn:
            self._out.live("\r\x1b[K")
            self._drawn = False


def progress_text(
    label: str,
    seconds: float,
    *,
    items: int,
    size: int,
    total_items: int | None = None,
    total_bytes: int | None = None,
    unit: str = "files",
    width: int = 79,
) -> str:
    """`Storing  [####      ]  40%  12/30 files  4.0 MiB/10.0 MiB  2.0 MiB/s  3 s left`, as far as it is known.

    The bar takes what the rest leaves of `width` columns, and is left out where that is little. Where the rest itself
    is too long, sizes are said in one unit, then the files are left out, then the rate, then the sizes.
    """
    fraction = _fraction(size, total_bytes) if total_bytes else _fraction(items, total_items)
    count = rate = sizes = short = ""
    if items or total_items:
        done = f"{items:,}/{total_items:,}" if total_items else f"{items:,}"
        count = f"{done} {unit[:-1] if done == '1' else unit}"
    if size or total_bytes:
        sizes = f"{size_text(size)}/{size_text(total_bytes)}" if total_bytes else size_text(size)
        short = f"{size_text(size, like=total_bytes)}/{size_text(total_bytes)}" if total_bytes else sizes
        rate = f"{size_text(int(size / seconds))}/s"
    else:
        rate = f"{items / seconds:,.0f} {unit}/s"
    left = f"{duration_text(seconds / fraction - seconds)} left" if fraction else ""
    percent = "" if fraction is None else f"{fraction:4.0%}"
    for middle in ((count, sizes, rate), (count, short, rate), (short or count, rate), (short or count,), ()):
        parts = [part for part in (label, percent, *middle, left) if part]
        if len("  ".join(parts)) <= width:
            break
    room = min(_BAR, width - len("  ".join(parts)) - len("  []"))
    if fraction is not None and room >= _BAR // 4:
        parts.insert(1 if label else 0, f"[{'#' * int(fraction * room):<{room}}]")
    return "  ".join(parts)


def size_text(size: int, *, like: int | None = None) -> str:
    """`size` bytes for people: `512 B`, `1.5 MiB`; with `like` the bare number, in the unit of that many."""
    amount, measure = float(size), float(size if like is None else like)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if measure < 1024 or unit == "TiB":
            break
        amount /= 1024
        measure /= 1024
    if like is not None:
        return f"{size}" if unit == "B" else f"{amount:.1f}"
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """`seconds` for people: `42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _terminal_columns() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        return 80


def _fraction(done: int, total: int | None) -> float | None:
    return None if not total else min(done / total, 1.0)
