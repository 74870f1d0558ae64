"""Lists of runs: as a table, as comma-separated values, as objects of a JSON document."""

from __future__ import annotations

import fnmatch
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

from dsvc.commands.context import Context
from dsvc.commands.date_text import date_text, iso_text
from dsvc.commands.run_text import STATE_COLORS, duration_text, plain_json, value_text, visible
from dsvc.objects.codec import Value
from dsvc.runs.names import short_key
from dsvc.runs.summary import Summary
from dsvc.runs.where import column, split_column

DEFAULT_COLUMNS: Final = "short,start,elapsed,state,what,metrics.*"
_MOST = 6  # columns that one pattern gives in a table for people
_SPELLED: Final[frozenset[type]] = frozenset({tuple, dict, bool})
_WIDEST = 50  # characters of a cell


def print_table(context: Context, rows: Sequence[Summary], columns: str) -> None:
    """Print runs in columns, one a line; the header only where people read."""
    if not rows:
        context.out.note("no runs")
        return
    most = _MOST if columns == DEFAULT_COLUMNS else None
    names = _names(columns, rows, most=most)
    readers = [_cell(context, name) for name in names]
    header = [name.upper() if "." not in name else visible(name.partition(".")[2]) for name in names]
    header = ["RUN" if name == "SHORT" else name for name in header]
    cells = [[_cut(read(row)) for read in readers] for row in rows]
    if "state" in names:
        at = names.index("state")
        for line, row in zip(cells, rows, strict=True):
            line[at] = context.out.paint(line[at], STATE_COLORS.get(row.state, "bold"))
    right = [n for n, name in enumerate(names) if name == "elapsed" or name.startswith("metrics.")]
    context.out.table(cells, header=header, right=right)


def print_csv(context: Context, rows: Sequence[Summary], columns: str) -> None:
    """Print runs as comma-separated values with a header; all params, metrics and labels where no columns are given."""
    import csv

    wanted = columns or "run,state,name,start,elapsed,exit_code,command,params.*,metrics.*,labels.*"
    names = _names(wanted, rows, most=None)
    groups = _groups(names)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(_csv_row(row, groups) for row in rows)
    context.out.text(text.getvalue())


Group = tuple[str, list[str], list[Callable[[Summary], Value]]]


def _groups(names: Sequence[str]) -> list[Group]:
    """Return columns beside each other that are read in one go: a section and the names in it, or readers of fields."""
    found: list[Group] = []
    for name in names:
        section, dot, rest = split_column(name)
        section = section if dot else ""
        if not found or found[-1][0] != section:
            found.append((section, [], []))
        if section:
            found[-1][1].append(rest)
        else:
            found[-1][2].append(_plain(name))
    return found


def _csv_row(row: Summary, groups: Sequence[Group]) -> list[Value]:
    cells: list[Value] = []
    for section, names, readers in groups:
        if section:  # ten thousand rows of forty values each: the loops are those of C
            cells += map(getattr(row, section).get, names)
        else:
            cells += [read(row) for read in readers]
    if not _SPELLED.isdisjoint(map(type, cells)):
        return [value_text(value) if type(value) in _SPELLED else value for value in cells]
    return cells


def summary_json(row: Summary) -> dict[str, Any]:
    """A run as an object of a JSON document, without inputs, outputs and series."""
    return {
        "run": row.key.hex(),
        "id": row.run_id.hex() or None,
        "state": row.state,
        "name": row.name or None,
        "description": row.description or None,
        "authority": row.authority,
        "user": row.user,
        "start": iso_text(row.start, row.zone),
        "elapsed": row.elapsed / 1_000_000,
        "exit_code": row.exit_code,
        "signal": row.signal,
        "command": row.command,
        "parent": row.parent.hex() if row.parent is not None else None,
        "inputs": row.inputs,
        "outputs": row.outputs,
        "params": plain_json(dict(row.params)),
        "metrics": plain_json(dict(row.metrics)),
        "labels": dict(row.labels),
    }


def _names(columns: str, rows: Sequence[Summary], *, most: int | None) -> list[str]:
    """Return the columns that a list of names and patterns stands for."""
    found: dict[str, None] = {}
    for word in (part.strip() for part in columns.split(",")):
        section, dot, rest = word.partition(".")
        if dot and "*" in rest and section in ("params", "metrics", "labels"):
            present: dict[str, object] = {}
            for row in rows:
                present |= getattr(row, section)
            chosen = [name for name in present if fnmatch.fnmatchcase(name, rest)]
            found |= dict.fromkeys(f"{section}.{name}" for name in chosen[:most])
        elif word:
            if word != "what":
                column(word)  # so that a wrong name is found out
            found[word] = None
    return list(found)


def _cell(context: Context, name: str) -> Callable[[Summary], str]:
    if name == "start":
        now = context.now()
        return lambda row: date_text(row.start, row.zone, style="iso", now=now)[:16]
    if name == "elapsed":
        return lambda row: duration_text(row.elapsed)
    if name == "what":
        return lambda row: row.name or row.description.partition("\n")[0] or row.command
    if name in ("run", "parent"):
        return lambda row: short_key(row.key) if name == "run" else short_key(row.parent) if row.parent else ""
    read = column(name)
    return lambda row: "" if (value := read(row)) is None else value_text(value)


def _plain(name: str) -> Callable[[Summary], Value]:
    if name == "start":
        return lambda row: iso_text(row.start, row.zone)
    if name == "what":
        return lambda row: row.name or row.description or row.command
    return column(name)


def _cut(text: str) -> str:
    text = visible(text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
