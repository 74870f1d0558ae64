"""The list of changed files with bars of plus and minus signs, laid out as git does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsvc.actions.filediff import Counts, FileDiff
from dsvc.commands.output import Output
from dsvc.commands.path_text import quote_path
from dsvc.commands.width import display_width


class StatRow(NamedTuple):
    """A file and how many of its lines changed; None where lines are not counted."""

    file: FileDiff
    counts: Counts


def print_stat(out: Output, rows: Sequence[StatRow], *, width: int) -> None:
    """Print a line for each file and one for all, at most `width` columns wide."""
    names = [stat_name(row.file) for row in rows]
    changes = [_total(row.counts) for row in rows]
    most = max(changes, default=0)
    sizes = [_sizes(row) for row in rows]
    number_width = max(len(str(most)), *(len(_word(row)) for row in rows if _sizes(row)), 1)
    size_width = max((len(size) for size in sizes), default=0) + 4 if any(sizes) else 0
    name_width, bar_width = _widths(
        max(map(display_width, names), default=0), number_width, most, size_width=size_width, width=width
    )
    for row, name, change, size in zip(rows, names, changes, sizes, strict=True):
        shown = _shortened(name, name_width)
        space = " " * (name_width - display_width(shown))
        if size:
            out.line(f" {shown}{space} | {_word(row):>{number_width}} {size}".rstrip())
            continue
        plus, minus = _bar(row.counts, bar_width, most)
        bar = out.paint("+" * plus, "green") + out.paint("-" * minus, "red")
        out.line(f" {shown}{space} | {change:>{number_width}}{' ' if bar else ''}{bar}")
    print_totals(out, rows)


def print_totals(out: Output, rows: Sequence[StatRow]) -> None:
    """Print how many files and lines changed in all; nothing where there is no file."""
    if not rows:
        return
    added = sum(row.counts.added or 0 for row in rows)
    removed = sum(row.counts.removed or 0 for row in rows)
    text = f" {len(rows)} file{'s' if len(rows) != 1 else ''} changed"
    if added or not removed:
        text += f", {added} insertion{'s' if added != 1 else ''}(+)"
    if removed or not added:
        text += f", {removed} deletion{'s' if removed != 1 else ''}(-)"
    out.line(text)


def stat_name(file: FileDiff) -> str:
    """The name of a file as `--stat` shows it: a rename as `folder/{old => new}/rest`."""
    if file.old_path == file.path:
        return quote_path(file.path)
    old, new = quote_path(file.old_path), quote_path(file.path)
    if old.startswith('"') or new.startswith('"'):
        return f"{old} => {new}"
    left, right = old.split("/"), new.split("/")
    head = 0
    while head < min(len(left), len(right)) - 1 and left[head] == right[head]:
        head += 1
    tail = 0
    while tail < min(len(left), len(right)) - head and left[-1 - tail] == right[-1 - tail]:
        tail += 1
    if not head and not tail:
        return f"{old} => {new}"
    inner = "/".join(left[head : len(left) - tail]), "/".join(right[head : len(right) - tail])
    before = "".join(part + "/" for part in left[:head])
    after = "".join("/" + part for part in left[len(left) - tail :]) if tail else ""
    return f"{before}{{{inner[0]} => {inner[1]}}}{after}"


def _total(counts: Counts) -> int:
    return (counts.added or 0) + (counts.removed or 0)


def _word(row: StatRow) -> str:
    return "Purged" if row.counts.purged else "Bin"


def _sizes(row: StatRow) -> str:
    if row.counts.added is not None:
        return ""
    old, new = row.file.old, row.file.new
    return f"{old.size if old else 0} -> {new.size if new else 0} bytes"


def _widths(names: int, number_width: int, most: int, *, size_width: int, width: int) -> tuple[int, int]:
    """The columns for names and for bars, by git's rule: bars get three eighths when both do not fit."""
    width = max(width, 16 + 6 + number_width)
    bars = most if most + 4 > size_width else size_width - 4
    if names + number_width + 6 + bars > width:
        bars = min(bars, max(width * 3 // 8 - number_width - 6, 6))
        if names > width - number_width - 6 - bars:
            names = width - number_width - 6 - bars
        else:
            bars = width - number_width - 6 - names
    return names, bars


def _bar(counts: Counts, width: int, most: int) -> tuple[int, int]:
    added, removed = counts.added or 0, counts.removed or 0
    if width > most:
        return added, removed
    total = max(_scaled(added + removed, width, most), 2 if added and removed else 0)
    if added < removed:
        added = _scaled(added, width, most)
        return added, total - added
    removed = _scaled(removed, width, most)
    return total - removed, removed


def _scaled(number: int, width: int, most: int) -> int:
    return 1 + number * (width - 1) // most if number else 0


def _shortened(name: str, width: int) -> str:
    """Cut a name from the left, at a slash where there is one."""
    if display_width(name) <= width:
        return name
    tail = name
    while tail and display_width(tail) > width - 3:
        tail = tail[1:]
    slash = tail.find("/")
    return "..." + (tail[slash:] if slash >= 0 else tail)
