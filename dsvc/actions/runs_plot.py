"""Charts of runs as numbers: series over their steps, or one value of each run against another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dsvc.actions.runs import RunQuery, find_run, get_run, list_runs
from dsvc.errors import RequestError
from dsvc.runs.names import RunKey, short_key
from dsvc.runs.record import Run
from dsvc.runs.series import Point, Series, read_series
from dsvc.runs.values import is_finite
from dsvc.runs.where import column
from dsvc.workspace import Workspace

_BUCKETS = 500  # of a line; of each the least and the largest value is drawn
_CHARTS = 4  # of one command that names no series
_LINES = 20  # of one chart, where a condition chooses the runs


class NothingToPlotError(RequestError):
    """There are no numbers of that name."""


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one run, or of many runs as one cloud: `x` and `y` are finite and of one length."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines under one title; `is_cloud` says that the points are not joined."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    is_cloud: bool = False


def plot_series(workspace: Workspace, runs: Sequence[str], names: Sequence[str] = ()) -> list[Chart]:
    """Return a chart a series, with a line a run; without `names` the first few that these runs have.

    A chart has no lines where all values are NaN or infinite. A long series is thinned out: of each of 500 pieces the
    least and the largest value stay, so peaks are kept.

    Raises:
        UnknownRunError. NothingToPlotError: when no run has a number in such a series.
    """
    found = [get_run(workspace, find_run(workspace, text))[0] for text in runs]
    there = list(dict.fromkeys(series.name for run in found for series in run.series if _is_numeric(series)))
    wanted = list(names) or there[:_CHARTS]
    missing = [name for name in wanted if name not in there]
    if missing or not wanted:
        known = ", ".join(there[:20]) or "none"
        raise NothingToPlotError(
            f"no series {missing[0]!r} with numbers; there are: {known}" if missing else "these runs have no series",
            hint="run.log(loss=..., step=...) in Python makes a series; dsvc runs show lists them",
        )
    return [Chart(name, "step", name, tuple(_lines(workspace, found, name))) for name in wanted]


def runs_with_series(workspace: Workspace, query: RunQuery) -> list[str]:
    """Return the runs, as many of the newest as a chart can show, for which a condition is true and that have series.

    Raises:
        BadConditionError. NothingToPlotError: when there is none.
    """
    found: list[str] = []
    for row in list_runs(workspace, query):
        if len(found) < _LINES and row.state != "running" and get_run(workspace, row.key)[0].series:
            found.append(row.key.hex())
    if not found:
        raise NothingToPlotError("no run of these has a series", hint="dsvc runs --where shows which there are")
    return found


def plot_runs(workspace: Workspace, x: str, y: str, query: RunQuery) -> Chart:
    """Return one point a run: column `y` against column `x`, for runs in which both are numbers.

    Raises:
        BadConditionError. NothingToPlotError: when there is none.
    """
    read_x, read_y = column(x), column(y)
    points = [(read_x(row), read_y(row)) for row in list_runs(workspace, query)]
    numbers = [(float(a), float(b)) for a, b in points if is_finite(a) and is_finite(b)]
    if not numbers:
        hint = "dsvc runs --columns 'params.*,metrics.*' shows what there is"
        raise NothingToPlotError(f"no run has numbers in {x} and {y}", hint=hint)
    line = Line(f"{len(numbers)} runs", tuple(a for a, _ in numbers), tuple(b for _, b in numbers))
    return Chart(f"{y} over {x}", x, y, (line,), is_cloud=True)


def series_points(workspace: Workspace, run: Run) -> Iterator[tuple[str, Point]]:
    """Yield all points of a run's series: name, point."""
    if run.series_file is None:
        return
    for series in run.series:
        for point in read_series(workspace.repo.store, run.series_file, series):
            yield series.name, point


def _lines(workspace: Workspace, runs: Iterable[Run], name: str) -> Iterator[Line]:
    for run in runs:
        series = next((one for one in run.series if one.name == name and one.least is not None), None)
        if series is None or run.series_file is None:
            continue
        points = read_series(workspace.repo.store, run.series_file, series)
        numbers = ((float(p.step), float(p.value)) for p in points if is_finite(p.value))
        thin = list(_thinned(numbers, series.count))
        if thin:
            yield Line(_label(run.key, run), tuple(step for step, _ in thin), tuple(value for _, value in thin))


def _is_numeric(series: Series) -> bool:
    return series.least is not None or isinstance(series.last, float)  # all of it may be NaN


def _label(key: RunKey, run: Run) -> str:
    return f"{short_key(key)} {run.name}".strip()


def _thinned(points: Iterable[tuple[float, float]], count: int) -> Iterator[tuple[float, float]]:
    size = max(1, math.ceil(count / _BUCKETS))
    if size <= 2:
        yield from points
        return
    bucket: list[tuple[float, float]] = []
    for point in points:
        bucket.append(point)
        if len(bucket) == size:
            yield from _ends(bucket)
            bucket = []
    if bucket:
        yield from _ends(bucket)


def _ends(bucket: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return sorted({min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])})
