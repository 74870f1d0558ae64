"""Charts drawn in a terminal, by plotille, and as pictures, by matplotlib; both come with the extra `plot`."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsvc.actions.runs_plot import Chart
from dsvc.atomic import write_file
from dsvc.errors import RequestError

_HEIGHT = 14  # lines of a chart
_FRAME = 19  # characters left of a chart and right of it, where the label of its axis stands too
_NOTHING = "no finite value"
_COLORS = ("cyan", "magenta", "yellow", "green", "blue", "red")


class PlotPackageError(RequestError):
    """What draws is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"charts need {package}, which is not installed", hint="pip install 'dsvc[plot]'")


def chart_lines(chart: Chart, *, width: int, color: bool) -> list[str]:
    """A chart in lines of at most `width` characters.

    Raises:
        PlotPackageError: when plotille is not installed.
    """
    try:
        import plotille  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ModuleNotFoundError as error:
        raise PlotPackageError("plotille") from error
    if not chart.lines:
        return [f"({chart.title})  {_NOTHING}"]
    figure = plotille.Figure()
    figure.width, figure.height = max(width - _FRAME - len(chart.x_label), 20), _HEIGHT
    figure.x_label, figure.y_label = chart.x_label, chart.y_label
    figure.with_colors = color
    figure.color_mode = "names"
    figure.register_label_formatter(float, _tick)
    figure.register_label_formatter(int, _tick)
    for number, line in enumerate(chart.lines):
        draw = figure.scatter if chart.is_cloud else figure.plot
        look = {"lc": _COLORS[number % len(_COLORS)]} if color else {}
        look |= {"marker": "o"} if chart.is_cloud else {}
        draw(list(line.x), list(line.y), label=line.label, **look)
    _bound(figure, chart)
    lines = str(figure.show(legend=not chart.is_cloud)).splitlines()
    return [line.rstrip() for line in lines if not line.startswith(("Legend:", "-------\n")) and line.strip("-")]


def _bound(figure: Any, chart: Chart) -> None:
    """End the axes where lines end, so that nothing below zero is shown of what is never below zero."""
    xs = [x for line in chart.lines for x in line.x]
    ys = [y for line in chart.lines for y in line.y]
    room = 0.05 if chart.is_cloud else 0.0  # markers at the edge are not drawn
    for values, limit in ((xs, figure.set_x_limits), (ys, figure.set_y_limits)):
        least, most = min(values), max(values)
        if least < most:
            limit(least - room * (most - least), most + room * (most - least))


def _tick(value: float, chars: int, delta: float, left: bool = False) -> str:
    del delta
    text = f"{value:.4g}"
    return text.ljust(chars) if left else text.rjust(chars)


def write_picture(charts: Sequence[Chart], path: Path) -> None:
    """Write charts below each other as a PNG picture.

    Raises:
        PlotPackageError: when matplotlib is not installed.
    """
    write_file(path, _drawn(charts, "png"))


def write_page(charts: Sequence[Chart], path: Path, *, title: str) -> None:
    """Write charts as one HTML page that needs nothing else.

    Raises:
        PlotPackageError: when matplotlib is not installed.
    """
    pictures = []
    for chart in charts:
        picture = _drawn([chart], "svg").decode()
        pictures.append(f"<figure>{picture[picture.index('<svg') :]}</figure>")
    style = "body{font:16px system-ui,sans-serif;margin:2em auto;max-width:54em}svg{width:100%;height:auto}"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style><h1>{html.escape(title)}</h1>{''.join(pictures)}</html>\n"
    )
    write_file(path, page.encode())


def _drawn(charts: Sequence[Chart], form: str) -> bytes:
    try:
        import matplotlib as mpl  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ModuleNotFoundError as error:
        raise PlotPackageError("matplotlib") from error
    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "dsvc"  # the same page for the same runs
    from matplotlib.figure import Figure  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from matplotlib.ticker import MaxNLocator  # type: ignore[import-not-found, import-untyped, unused-ignore]

    figure = Figure(figsize=(9, 4.2 * len(charts)), layout="constrained")
    for axes, chart in zip(figure.subplots(len(charts), squeeze=False).flat, charts, strict=True):
        for line in chart.lines:
            if chart.is_cloud:
                axes.scatter(line.x, line.y, s=22, alpha=0.75)
            else:
                axes.plot(line.x, line.y, label=line.label, linewidth=1.4)
        if not chart.lines:
            axes.set(title=chart.title, xticks=[], yticks=[])
            axes.text(0.5, 0.5, _NOTHING, ha="center", va="center", transform=axes.transAxes)
            continue
        axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
        if all(x == int(x) for line in chart.lines for x in line.x if math.isfinite(x)):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no step 2.5
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if not chart.is_cloud and any(line.label for line in chart.lines):
            axes.legend(frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def chart_json(chart: Chart) -> dict[str, Any]:
    """A chart as an object of a JSON document."""
    lines = [{"label": line.label, "x": list(line.x), "y": list(line.y)} for line in chart.lines]
    return {"title": chart.title, "x_label": chart.x_label, "y_label": chart.y_label, "lines": lines}
