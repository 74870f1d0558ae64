"""The commands `dsvc runs plot` and `dsvc runs export`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.runs import RunQuery, UnknownRunError, list_runs
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError

Texts = Sequence[str]
Where = Annotated[str, typer.Option("--where", metavar="CONDITION", help="Only runs for which this is true.")]
_WIDEST = 120  # characters


def plot(
    context: Context,
    runs: Annotated[Texts, typer.Argument(metavar="[RUN]...", help="Whose series to draw; the newest run's.")] = (),
    *,
    series: Annotated[Texts, typer.Option("-s", "--series", metavar="NAME", help="Draw this series.")] = (),
    y: Annotated[str, typer.Option("--y", metavar="COLUMN", help="Draw a point a run instead: this column ...")] = "",
    x: Annotated[str, typer.Option("--x", metavar="COLUMN", help="... against this one.")] = "",
    where: Where = "",
    html: Annotated[str, typer.Option("--html", metavar="FILE", help="Write a page instead.")] = "",
    png: Annotated[str, typer.Option("--png", metavar="FILE", help="Write a picture instead.")] = "",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Draw series of runs, or one value of many runs against another.

    Without options the series of the newest run are drawn, with names or --where those of several runs (the newest 20)
    in one chart each. With --x and --y each run is a point: 'dsvc runs plot --x params.lr --y metrics.acc'. It needs
    pip install 'dsvc[plot]'.
    """
    from dsvc.actions.runs_plot import plot_runs, plot_series, runs_with_series
    from dsvc.commands.plot_text import chart_json, chart_lines, write_page, write_picture

    if bool(x) != bool(y):
        raise UsageError("--x and --y belong together", hint="dsvc runs plot --x params.lr --y metrics.acc")
    if y and (runs or series):
        raise UsageError("runs and series are drawn without --x and --y", hint="--where chooses runs")
    if where and runs:
        raise UsageError("runs are chosen by --where or by their names", hint="dsvc runs plot --where CONDITION")
    workspace = context.workspace()
    if y:
        charts = [plot_runs(workspace, x, y, RunQuery(where))]
    else:
        names = runs_with_series(workspace, RunQuery(where)) if where else runs or ("@",)
        try:
            charts = plot_series(workspace, names, series)
        except UnknownRunError as error:
            error.hint = "dsvc runs lists them; dsvc runs plot -s NAME draws the series NAME of the newest one"
            raise
    if html:
        title = charts[0].title if len(charts) == 1 else "Runs"
        write_page(charts, context.directory / html, title=title)
    if png:
        write_picture(charts, context.directory / png)
    if json:
        context.out.json("dsvc.runs.plot", {"charts": [chart_json(chart) for chart in charts]})
        return
    if html or png:
        if not quiet:
            context.out.note(f"Wrote {' and '.join(filter(None, (html, png)))}")
        return
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    color = context.out.paint("x", "red") != "x"
    for number, chart in enumerate(charts):
        if number:
            context.out.line()
        for line in chart_lines(chart, width=width, color=color):
            context.out.line(line)


def export(
    context: Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Ends with .csv or .parquet.")],
    *,
    where: Where = "",
    series: Annotated[bool, typer.Option("--series", help="The points of all series instead: a row a point.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write runs into a table, a row a run: all parameters, metrics and labels, with their types.

    A value that is no number, text or truth value stands there as JSON. Parquet needs pip install 'dsvc[parquet]'.
    """
    from dsvc.actions.runs_export import export_runs, export_series

    workspace = context.workspace()
    rows = [row for row in list_runs(workspace, RunQuery(where)) if row.state != "running"]
    write = export_series if series else export_runs
    count = write(workspace, rows, context.directory / file)
    if json:
        context.out.json("dsvc.runs.export", {"file": file, "rows": count})
    elif not quiet:
        context.out.note(f"{count:,} {'row' if count == 1 else 'rows'} in {file}")
