"""The `dsvc monitor` command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.monitor_check import check
from dsvc.commands.monitor_collect import collect
from dsvc.commands.monitor_compare import compare
from dsvc.commands.monitor_options import (
    Deployment,
    Errors,
    Gate,
    Interval,
    Latency,
    Minutes,
    Model,
    Prometheus,
    Psi,
    Target,
    Tls,
    Webhook,
    checked,
    labels_of,
    watch_of,
)
from dsvc.commands.monitor_text import figure_text
from dsvc.commands.monitor_up import up
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_text import visible

if TYPE_CHECKING:
    from dsvc.actions.monitor import ServerStatus
_TITLES = {"requests": "REQUESTS/S", "psi": "DRIFT (PSI)", "samples": "ROWS IN WINDOW"}


def init(
    context: Context,
    name: Model,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder to write into.")] = "monitoring",
    *,
    target: Target = (),
    deployment: Deployment = "",
    psi: Psi = 0.2,
    errors: Errors = 0.01,
    latency: Latency = 1.0,
    interval: Interval = 15,
    webhook: Webhook = "",
    alertmanager: Annotated[
        str, typer.Option("--alertmanager", metavar="HOST:PORT", help="Where Alertmanager listens.")
    ] = "127.0.0.1:9093",
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE", help="The token that /metrics asks for, at Prometheus.")
    ] = "",
    tls: Tls = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace files that differ.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write what watches a served model: for Prometheus, Alertmanager and Grafana.

    The folder gets prometheus.yml with the scrape config, the rules that alert when the model is down, fails, is slow
    or drifts, alertmanager.yml with the routes, and the dashboard as JSON. A deployment that is recorded here says
    itself where it is served.
    """
    from dsvc.actions.monitor import monitor_init

    watch = replace(
        watch_of(context, name, deployment, target),
        psi=psi,
        errors=errors,
        latency=latency,
        interval=interval,
        webhook=webhook,
        token_file=token_file,
        tls=tls,
        alertmanager=alertmanager,
    )
    paths = [str(path) for path in monitor_init(checked(watch), context.directory / folder, force=force)]
    if json:
        context.out.json("dsvc.monitor.init", {"files": paths})
    elif not quiet:
        for path in paths:
            context.out.line(path)


def dashboard(context: Context, name: Model, *, deployment: Deployment = "", json: Json = False) -> None:
    """Print the Grafana dashboard of a model.

    Grafana imports it by its menu, or finds it in a folder of provisioned dashboards.
    """
    from dsvc.actions.monitor import dump_dashboard
    from dsvc.monitoring.dashboard import dashboard as make

    watch = labels_of(context, name, deployment)
    if json:
        context.out.json("dsvc.monitor.dashboard", {"dashboard": make(watch)})
    else:
        context.out.raw(dump_dashboard(watch).encode())


def rules(
    context: Context,
    name: Model,
    *,
    deployment: Deployment = "",
    psi: Psi = 0.2,
    errors: Errors = 0.01,
    latency: Latency = 1.0,
    json: Json = False,
) -> None:
    """Print the recording and alert rules of a model."""
    from dsvc.actions.monitor import dump_yaml
    from dsvc.monitoring.rules import rules as make

    watch = replace(labels_of(context, name, deployment), psi=psi, errors=errors, latency=latency)
    found = make(checked(watch))
    if json:
        context.out.json("dsvc.monitor.rules", {"rules": found})
    else:
        context.out.raw(dump_yaml(found).encode())


def status(
    context: Context,
    name: Model,
    *,
    prometheus: Prometheus = "http://127.0.0.1:9090",
    deployment: Deployment = "",
    gate: Gate = (),
    minutes: Minutes = 5,
    json: Json = False,
) -> int:
    """Show how the served versions of a model do, from Prometheus; exit 1 when a gate is not met.

    A gate compares one of requests (a second), errors (a share), p50, p99 (seconds), psi and samples with a number.
    What is not known, such as the drift of a window with too few rows, does not meet a gate.
    """
    from dsvc.actions.monitor import monitor_status, parse_gate
    from dsvc.monitoring.rules import Watch

    gates = [parse_gate(text) for text in gate]
    found = monitor_status(prometheus, Watch(name, deployment), gates=gates, minutes=minutes)
    return _show(context, "dsvc.monitor.status", found, json=json)


def _show(context: Context, schema: str, found: Sequence[ServerStatus], *, json: bool) -> int:
    failed = any(each.failed for each in found)
    if json:
        rows = [
            {**each.labels, **each.figures, "failed": [str(gate) for gate in each.failed]} for each in found
        ]
        context.out.json(schema, {"servers": rows, "ok": not failed})
        return int(failed)
    names = list(found[0].figures)
    shown = [label for label in found[0].labels if any(each.labels[label] for each in found)]
    table = []
    for each in found:
        missed = {gate.name for gate in each.failed}
        cells = {name: figure_text(name, each.figures[name]) for name in names}
        figures = [context.out.paint(cells[name], "red", "bold") if name in missed else cells[name] for name in names]
        table.append([*(visible(each.labels[label]) for label in shown), *figures, ", ".join(map(str, each.failed))])
    titles = [_TITLES.get(name, name.upper()) for name in names]
    header = [*map(str.upper, shown), *titles, "NOT MET" if failed else ""]
    right = range(len(shown), len(shown) + len(names))
    context.out.table(table, header=header, right=list(right))
    return int(failed)


SUBCOMMANDS = {
    "init": init,
    "dashboard": dashboard,
    "rules": rules,
    "up": up,
    "status": status,
    "compare": compare,
    "collect": collect,
    "check": check,
}
