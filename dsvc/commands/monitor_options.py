"""What the commands of `dsvc monitor` take, and which servers that means."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.context import Context
from dsvc.errors import UsageError

if TYPE_CHECKING:
    from dsvc.actions.monitor_targets import Targets
    from dsvc.monitoring.rules import Watch

_USUAL = "127.0.0.1:8080"
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})", re.ASCII)
_MOST = 65_535  # of a port
Model = Annotated[str, typer.Argument(metavar="NAME", help="A deployment, or a model as what it is served.")]
Deployment = Annotated[str, typer.Option("--deployment", metavar="NAME", help="Only the servers of this deployment.")]
Psi = Annotated[float, typer.Option("--psi", metavar="X", help="Alert when a column's PSI is above.")]
Errors = Annotated[float, typer.Option("--errors", metavar="X", help="Alert when more than this share fails.")]
Latency = Annotated[float, typer.Option("--latency", metavar="S", help="Alert when a hundredth takes longer.")]


Target = Annotated[
    Sequence[str], typer.Option("--target", metavar="HOST:PORT", help="Where it is served; may be repeated.")
]
Interval = Annotated[int, typer.Option("--interval", min=1, metavar="S", help="Seconds between scrapes.")]
Webhook = Annotated[str, typer.Option("--webhook", metavar="URL", help="Where alerts are sent.")]
Tls = Annotated[bool, typer.Option("--tls", help="The servers speak TLS.")]
Prometheus = Annotated[str, typer.Option("--prometheus", metavar="URL", help="The Prometheus to ask.")]
Minutes = Annotated[int, typer.Option("--minutes", min=1, metavar="N", help="Rates are of the last N minutes.")]
Gate = Annotated[Sequence[str], typer.Option("--gate", metavar="CONDITION", help="'psi < 0.2'; may be repeated.")]


def watch_of(context: Context, name: str, deployment: str, target: Sequence[str]) -> Watch:
    """Return what is watched: servers that were named, or those of a deployment that is recorded here."""
    from dsvc.monitoring.rules import Watch

    found = _recorded(context, name, ask=True) if not target and not deployment else None
    if found is None:
        if not target:
            context.out.note(
                f"{deployment or name} is no deployment that is recorded here: {_USUAL} is watched, where 'dsvc serve' "
                "listens by itself; --target HOST:PORT names another place"
            )
        return Watch(name, deployment, targets=tuple(target) or (_USUAL,))
    if not found.targets:
        opened = f"'kubectl port-forward service/{found.deployment} 8080:80' opens"
        raise UsageError(
            f"where {name} is served cannot be seen from here",
            hint=f"{found.model} --deployment {found.deployment} --target HOST:PORT, such as the port that {opened}",
        )
    return Watch(found.model, found.deployment, targets=found.targets)


def checked(watch: Watch) -> Watch:
    """Return what is watched; what Prometheus or Alertmanager would refuse, or what never alerts, is said here.

    Raises:
        UsageError: for such an option.
    """
    for option, value, fits, wanted in (
        ("--psi", watch.psi, watch.psi >= 0, "a number, 0 or more"),
        ("--errors", watch.errors, 0 <= watch.errors < 1, "a share, from 0 to less than 1"),
        ("--latency", watch.latency, watch.latency > 0, "a number of seconds above 0"),
    ):
        if not (fits and math.isfinite(value)):
            raise UsageError(f"{option} is {wanted}, and {value:g} is none")
    addresses = [("--target", each) for each in watch.targets]
    addresses += [("--alertmanager", watch.alertmanager)] if watch.alertmanager else []
    for option, address in addresses:
        found = _ADDRESS.fullmatch(address)
        if found is None or not 0 < int(found[1]) <= _MOST:
            raise UsageError(f"{address!r} is no HOST:PORT", hint=f"{option} 127.0.0.1:8080")
    if watch.webhook and not re.fullmatch(r"https?://[^\s/]+\S*", watch.webhook):
        raise UsageError(f"{watch.webhook!r} is no address of a webhook", hint="--webhook https://example.com/alerts")
    return watch


def labels_of(context: Context, name: str, deployment: str) -> Watch:
    """Return what is watched, by its labels alone: where it is served is not asked for."""
    from dsvc.monitoring.rules import Watch

    found = None if deployment else _recorded(context, name, ask=False)
    return Watch(name, deployment) if found is None else Watch(found.model, found.deployment)


def _recorded(context: Context, name: str, *, ask: bool) -> Targets | None:
    from dsvc.worktree.places import find_private

    if find_private(context.directory) is None:
        return None
    from dsvc.actions.monitor_targets import deployment_targets

    return deployment_targets(context.workspace(), name, ask=ask)
