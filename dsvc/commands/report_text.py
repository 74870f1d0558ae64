"""A report as a page of Markdown, with diagrams in Mermaid's language, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dsvc.actions.report import DataChange, Report, Side
from dsvc.actions.runs_diff import ValueChange
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.lineage_diagram import mermaid
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.ref_text import SHORT
from dsvc.commands.run_text import duration_text, plain_json, size_text, value_text, visible
from dsvc.errors import DsvcError
from dsvc.history.treediff import Change
from dsvc.objects.codec import Value
from dsvc.objects.tree import Entry
from dsvc.runs.names import short_key
from dsvc.runs.summary import Summary
from dsvc.runs.values import is_finite
from dsvc.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.actions.runs_plot import Chart, Line

_ROWS = 40  # of a table; more are counted
_FILES = 5  # of which the lineage is drawn
_BOXES = 60  # a larger diagram is not read by anybody
_CHARTS = 4
_POINTS = 30  # of a line
# What lines are drawn in, one after the other: Mermaid's own first one can hardly be seen on white.
_COLORS = (("blue", "#1f77b4"), ("orange", "#ff7f0e"), ("green", "#2ca02c"))
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
_MARKS = {True: "✅ holds", False: "❌ fails", None: "no base"}


def markdown(
    context: Context, workspace: Workspace, found: Report, *, title: str = "", plots: bool = True, lineage: bool = True
) -> str:
    """Return the page."""
    names = [_side_name(found.base), _side_name(found.new)]
    lines = [f"## {_text(title) if title else f'{names[0]} → {names[1]}'}", ""]
    counts = [counted(found.commits, "commit"), f"{counted(len(found.data), 'file')} of data changed"]
    counts += [f"{counted(len(found.code), 'file')} of code changed", counted(len(found.runs), "new run")]
    lines += [f"{', '.join(counts)}.", ""]
    if found.gates:
        lines += ["### Gates", "", *_table(["", "gate", "values"], _gate_rows(found)), ""]
    lines += _values("Metrics", found.metrics, names)
    lines += _values("Parameters", [c for c in found.params if not _same(c)], names)
    if found.data:
        rows = [_data_row(change) for change in found.data]
        lines += ["### Data", "", *_table(["file", *names, "written by"], rows, code=(0,)), ""]
    if found.code:
        rows = [[quote_path(change.path), _what(change)] for change in found.code]
        lines += ["### Code", "", *_table(["file", ""], rows, code=(0,)), ""]
    if found.runs:
        lines += ["### Runs", "", *_table(["run", "command", "state", "took"], map(_run_row, found.runs), code=(0, 1))]
        lines.append("")
    if plots:
        lines += list(_charts(workspace, found))
    if lineage:
        lines += _lineage(context, workspace, found)
    return "\n".join(lines).rstrip() + "\n"


def report_json(found: Report) -> dict[str, Any]:
    """The report as an object of a JSON document."""
    return {
        "base": _side_json(found.base) if found.base is not None else None,
        "new": _side_json(found.new),
        "commits": found.commits,
        "metrics": [_value_json(change) for change in found.metrics],
        "params": [_value_json(change) for change in found.params],
        "data": [
            {**_change_json(one.change), "run": one.run.key.hex() if one.run is not None else None}
            for one in found.data
        ],
        "code": [_change_json(change) for change in found.code],
        "runs": [run.key.hex() for run in found.runs],
        "replaced": [run.key.hex() for run in found.replaced],
        "gates": [{"gate": v.gate, "passed": v.passed, "reason": v.reason} for v in found.gates],
        "passed": found.passed(),
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {"name": side.name, "commit": side.commit.hex()}


def _value_json(change: ValueChange) -> dict[str, Any]:
    return {"name": change.name, "base": plain_json(change.old), "new": plain_json(change.new)}


def _change_json(change: Change) -> dict[str, Any]:
    def side(entry: Entry | None) -> dict[str, Any] | None:
        return {"id": entry.id.hex(), "size": entry.size} if entry is not None else None

    return {**path_json(change.path), "base": side(change.old), "new": side(change.new)}


def _side_name(side: Side | None) -> str:
    return f"{_text(side.name)} `{side.commit.hex()[:SHORT]}`" if side is not None else "nothing"


def _gate_rows(found: Report) -> Iterator[list[str]]:
    for verdict in found.gates:
        yield [_MARKS[verdict.passed], _code(verdict.gate), _text(verdict.reason)]


def _values(title: str, changes: Sequence[ValueChange], names: list[str]) -> list[str]:
    if not changes:
        return []
    rows = [[_code(c.name), _value(c.old), _value(c.new), _difference(c)] for c in changes]
    return [f"### {title}", "", *_table([title.lower()[:-1], *names, "change"], rows), ""]


def _value(value: Value) -> str:
    return _text(value_text(value)) if value is not None else ""


def _difference(change: ValueChange) -> str:
    old, new = change.old, change.new
    if _same(change):
        return "="
    if old is None or new is None:
        return "new" if old is None else "gone"
    if not (is_finite(old) and is_finite(new)):
        return "changed"
    by = new - old
    share = f" ({by / abs(old):+.1%})" if old else ""
    return f"{'▲' if by > 0 else '▼'} {by:+.6g}{share}".replace("%", " %")


def _same(change: ValueChange) -> bool:
    return type(change.old) is type(change.new) and repr(change.old) == repr(change.new)


def _data_row(one: DataChange) -> list[str]:
    run = _code(short_key(one.run.key)) if one.run is not None else ""
    return [quote_path(one.path), _entry(one.change.old), _entry(one.change.new), run]


def _entry(entry: Entry | None) -> str:
    return f"`{entry.id.hex()[:SHORT]}` {size_text(entry.size)}" if entry is not None else ""


def _what(change: Change) -> str:
    return "new" if change.old is None else "deleted" if change.new is None else "changed"


def _run_row(run: Summary) -> list[str]:
    return [short_key(run.key), run.command, _text(run.state), duration_text(run.elapsed)]


def _table(header: Sequence[str], rows: Any, *, code: Sequence[int] = ()) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    found = list(rows)
    for row in found[:_ROWS]:
        cells = [_code(cell) if number in code else cell for number, cell in enumerate(row)]
        lines.append(f"| {' | '.join(cells)} |")
    if len(found) > _ROWS:
        lines += ["", f"and {len(found) - _ROWS:,} more"]
    return lines


def _text(text: str) -> str:
    """A text in which Markdown takes no character for its own."""
    return _SPECIAL.sub(r"\\\1", visible(text).replace("\n", " "))


def _code(text: str) -> str:
    """A text as code in a cell of a table, where `|` has to be escaped even in code."""
    text = visible(text).replace("\n", " ").replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def _charts(workspace: Workspace, found: Report) -> Iterator[str]:
    """Yield the lines of charts of the series that the new runs have, each beside the run that it replaced."""
    from dsvc.actions.runs_plot import plot_series

    runs = [run.key.hex() for run in (*found.replaced[-1:], *found.runs[-2:])]
    if not found.runs:
        return
    charts: list[Chart] = []
    with suppress(DsvcError):  # they have no series
        charts = plot_series(workspace, runs)[:_CHARTS]
    if charts:
        yield from ("### Series", "")
    for chart in charts:
        yield from _chart(chart)


def _chart(chart: Chart) -> Iterator[str]:
    """Yield a chart as Mermaid has them: all lines over the same steps, drawn at equal distances."""
    low = min((min(line.x) for line in chart.lines if line.x), default=0.0)
    high = max((max(line.x) for line in chart.lines if line.x), default=0.0)
    if not low < high:
        return
    label = '"' + chart.title.replace('"', "'") + '"'
    palette = ", ".join(code for _, code in _COLORS)
    theme = f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}}}%%'
    yield from ("```mermaid", theme, "xychart-beta", f"  title {label}", f'  x-axis "step" {low:g} --> {high:g}')
    for line in chart.lines:
        yield f"  line [{', '.join(f'{value:.5g}' for value in _even(line, low, high))}]"
    named = (
        f"{_text(line.label)} ({_COLORS[number % len(_COLORS)][0]})" for number, line in enumerate(chart.lines)
    )
    yield from ("```", "", f"Lines: {', '.join(named)}", "")


def _even(line: Line, low: float, high: float) -> Iterator[float]:
    """Yield the values of a line at equal distances; before its first and behind its last point it stays level."""
    at = 0
    for number in range(_POINTS):
        x = low + (high - low) * number / (_POINTS - 1)
        while at + 1 < len(line.x) and line.x[at + 1] <= x:
            at += 1
        if at + 1 < len(line.x) and x > line.x[at]:
            share = (x - line.x[at]) / (line.x[at + 1] - line.x[at])
            yield line.y[at] + (line.y[at + 1] - line.y[at]) * share
        else:
            yield line.y[at]


def _lineage(context: Context, workspace: Workspace, found: Report) -> list[str]:
    from dsvc.actions.lineage import lineage

    names = [
        f"{found.new.commit.hex()}:{one.path.decode()}"
        for one in found.data
        if one.run is not None and one.change.new is not None and _is_plain(one.path)
    ]
    if not names:
        return []
    graph = lineage(workspace, names[:_FILES])
    if len(graph.nodes) > _BOXES:
        return ["### Lineage", "", f"{len(graph.nodes):,} boxes are too many to draw: `dsvc lineage` shows them.", ""]
    text = mermaid(graph, headline=context.config().get_str("run.headline"))
    return ["### Lineage", "", "```mermaid", text.rstrip("\n"), "```", ""]


def _is_plain(path: bytes) -> bool:
    try:
        return path.decode().isprintable()
    except UnicodeDecodeError:
        return False
