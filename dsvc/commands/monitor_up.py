"""The `dsvc monitor up` command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.monitor_options import (
    Deployment,
    Errors,
    Interval,
    Latency,
    Model,
    Psi,
    Target,
    Tls,
    Webhook,
    checked,
    watch_of,
)
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_text import visible
from dsvc.commands.until_stopped import until_stopped
from dsvc.errors import UsageError

if TYPE_CHECKING:
    from dsvc.actions.monitor_up import Noticed, UpResult
    from dsvc.monitoring.rules import Watch

_STYLES = {"firing": ("red", "bold"), "not scraped": ("red",), "scraped": ("green",), "ended": ("green",)}
_WIDE = max(map(len, _STYLES))


def up(
    context: Context,
    name: Model,
    *,
    target: Target = (),
    deployment: Deployment = "",
    port: Annotated[
        int, typer.Option("-p", "--port", metavar="N", help="Prometheus' port; 0 takes a free one.")
    ] = 9090,
    alertmanager_port: Annotated[
        int, typer.Option("--alertmanager-port", metavar="N", help="Alertmanager's port.")
    ] = 9093,
    grafana_port: Annotated[int, typer.Option("--grafana-port", metavar="N", help="Grafana's port.")] = 3000,
    webhook: Webhook = "",
    psi: Psi = 0.2,
    errors: Errors = 0.01,
    latency: Latency = 1.0,
    interval: Interval = 15,
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE", help="The token that /metrics asks for.")
    ] = "",
    tls: Tls = False,
    folder: Annotated[
        str, typer.Option("--dir", metavar="DIR", help="Where data and logs are kept; else in .dsvc/cache/monitor.")
    ] = "",
    seconds: Annotated[
        float, typer.Option("--for", metavar="SECONDS", min=0, help="End after so many seconds; 0: on Ctrl-C.")
    ] = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Watch a deployment from here, until Ctrl-C: Prometheus, Alertmanager and Grafana, as far as they are installed.

    They listen on 127.0.0.1, scrape its servers, and know the rules and the dashboard. What they notice is printed as
    it happens: servers that answer or do not, alerts that fire or end. What was measured is kept for the next time.
    With --json there is a line for each.
    """
    from dsvc.actions.monitor_up import Ports, monitor_up

    watch = replace(
        watch_of(context, name, deployment, target),
        psi=psi,
        errors=errors,
        latency=latency,
        interval=interval,
        webhook=webhook,
        token_file=str((context.directory / token_file).absolute()) if token_file else "",
        tls=tls,
    )
    watch = checked(watch)

    def ready(result: UpResult) -> None:
        _tell_ready(context, watch, result, quiet=quiet, json=json)

    def notice(noticed: Noticed) -> None:
        _tell(context, noticed, json=json)

    with until_stopped() as stopped:
        if seconds:
            timer = Timer(seconds, stopped.set)
            timer.daemon = True
            timer.start()
        monitor_up(
            watch,
            context.directory / folder if folder else _kept(context, watch),
            ports=Ports(port, alertmanager_port, grafana_port),
            environment=context.environment,
            ready=ready,
            notice=notice,
            stopped=stopped,
        )


def _kept(context: Context, watch: Watch) -> Path:
    from dsvc.worktree.places import find_private

    if find_private(context.directory) is None:
        raise UsageError("where shall data and logs be kept?", hint="--dir DIR, or run it in a repository")
    return context.workspace().cache / "monitor" / watch.job


def _tell_ready(context: Context, watch: Watch, result: UpResult, *, quiet: bool, json: bool) -> None:
    addresses = {
        "prometheus": result.prometheus, "alertmanager": result.alertmanager, "grafana": result.grafana,
    }  # fmt: skip
    if json:
        _line(context, "ready", f"watching {', '.join(watch.targets)}", addresses)
        return
    for title, address in addresses.items():
        if address:
            context.out.line(f"{title.capitalize():14}{address}")
    if not quiet:
        if not result.alertmanager:
            context.out.note("alerts are shown here alone: 'apt install prometheus-alertmanager' sends and groups them")
        elif not watch.webhook:
            context.out.note("alerts are shown here and in Alertmanager; --webhook URL sends them")
        if not result.grafana:
            context.out.note("Grafana is not installed (https://grafana.com/grafana/download); the dashboard for it is")
            context.out.note(f"{result.folder / watch.job}.dashboard.json")
        context.out.note(f"watching {watch.deployment or watch.model} at {', '.join(watch.targets)}; Ctrl-C ends it")
    context.out.flush()


def _tell(context: Context, noticed: Noticed, *, json: bool) -> None:
    if json:
        _line(context, noticed.what, noticed.text, noticed.labels)
        return
    what = context.out.paint(f"{noticed.what:{_WIDE}}", *_STYLES[noticed.what])
    context.out.line(f"{context.now():%H:%M:%S}  {what}  {visible(noticed.text)}")
    context.out.flush()


def _line(context: Context, event: str, text: str, labels: Mapping[str, str]) -> None:
    now = context.now().isoformat(timespec="seconds")
    context.out.json_line("dsvc.monitor.up", {"time": now, "event": event, "text": text, "labels": dict(labels)})
    context.out.flush()
