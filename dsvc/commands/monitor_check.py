"""The `dsvc monitor check` command."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.monitor_text import figure_text, percent_text
from dsvc.commands.options import Json
from dsvc.commands.run_text import visible
from dsvc.errors import UsageError

if TYPE_CHECKING:
    from dsvc.actions.monitor_check import CheckResult

_HEADER = ("SIDE", "COLUMN", "PSI", "JS", "KS", "MISSING", "IN TRAINING")
_NAMED = 5  # columns that the last line names


def check(
    context: Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, MODEL@3 or MODEL@prod; else the newest.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A table in CSV or Parquet.")],
    *,
    psi: Annotated[float, typer.Option("--psi", metavar="X", help="Drifting is a column whose PSI is above.")] = 0.2,
    min_samples: Annotated[
        int, typer.Option("--min-samples", min=1, metavar="N", help="Rows below which drift is not told.")
    ] = 200,
    header: Annotated[bool, typer.Option("--header/--no-header", help="Whether a CSV file names its columns.")] = True,
    push: Annotated[str, typer.Option("--push", metavar="URL", help="Hand the figures to this Pushgateway.")] = "",
    json: Json = False,
) -> int:
    """Compare a table with what a model was trained on; exit 1 when a column drifts.

    This is for models that are not served and answer a file at a time. The table is read in pieces, so it may be
    larger than memory. It has the inputs of the model by name; its answers are compared where the table has a column
    with their name, and further columns are not looked at. With --push a Prometheus that scrapes the Pushgateway gets
    the same series of drift as from a server, which the rules and the dashboard of 'dsvc monitor init' ask for.
    """
    from dsvc.actions.monitor_check import monitor_check, push_check
    from dsvc.monitoring.pushgateway import check_gateway

    if math.isnan(psi):
        raise UsageError("--psi is no number")
    shown = check_gateway(push) if push else None
    found = monitor_check(
        context.workspace(), model, context.directory / table, header=header, psi=psi, min_samples=min_samples
    )
    if not json:
        _show(context, found)
    if shown is not None:
        push_check(found, push)
    if json:
        context.out.json("dsvc.monitor.check", {**_fields(found), "pushed": shown})
    return int(bool(found.drifting))


def _show(context: Context, found: CheckResult) -> None:
    rows = []
    for each in found.columns:
        score = figure_text("psi", each.drift.psi)
        rows.append([
            each.side,
            visible(each.column.name),
            context.out.paint(score, "red", "bold") if each.drift.psi > found.psi else score,
            f"{each.drift.js:.3f}",
            "-" if each.drift.ks is None else f"{each.drift.ks:.3f}",
            percent_text(each.missing),
            percent_text(each.missing_before),
        ])  # fmt: skip
    context.out.table(rows, header=_HEADER, right=[2, 3, 4, 5, 6])
    context.out.flush()
    version, drifting = found.found.version, found.drifting
    of = f"{counted(found.rows, 'row')} beside {visible(version.name)}@{version.version}"
    if not drifting:
        context.out.note(f"{of}: no column is above {found.psi:g}")
        return
    names = ", ".join(visible(each.column.name) for each in drifting[:_NAMED])
    more = f" and {len(drifting) - _NAMED} more" if len(drifting) > _NAMED else ""
    context.out.note(f"{of}: above {found.psi:g} is {names}{more}")


def _fields(found: CheckResult) -> dict[str, Any]:
    version = found.found.version
    columns = [
        {
            "side": each.side, "name": each.column.name, "psi": each.drift.psi, "js": each.drift.js,
            "ks": each.drift.ks, "missing": each.missing, "missing_in_training": each.missing_before,
            "drifting": each.drift.psi > found.psi,
        }
        for each in found.columns
    ]  # fmt: skip
    return {
        "model": version.name, "number": version.version, "rows": found.rows, "psi": found.psi, "columns": columns,
        "ok": not found.drifting,
    }  # fmt: skip
