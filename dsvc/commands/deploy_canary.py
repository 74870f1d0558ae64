"""Canaries of `dsvc deploy`: their options, `dsvc deploy promote`, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsvc.commands.build import Base, EnvironmentOf
from dsvc.commands.context import Context
from dsvc.commands.deploy_text import deployed_json, print_deployed
from dsvc.commands.options import Json, Quiet
from dsvc.errors import UsageError

if TYPE_CHECKING:
    from dsvc.actions.deploy_canary import CanaryOptions, CanaryResult

Share = Annotated[
    int | None,
    typer.Option("--canary", metavar="PERCENT", help="Serve it beside the old one, for a share of the requests."),
]
Gates = Annotated[
    Sequence[str],
    typer.Option("--gate", metavar="CONDITION", help="'error_rate < 0.01': what a canary must be like; repeatable."),
]
During = Annotated[
    int, typer.Option("--during", metavar="SECONDS", min=1, help="How long a canary is looked at.")
]
Least = Annotated[
    int, typer.Option("--min-requests", metavar="N", min=0, help="Fewer tell nothing of a canary.")
]
Prometheus = Annotated[
    str, typer.Option("--prometheus", metavar="URL", help="Read figures there, not at the canary's servers.")
]


def canary_options(
    share: int | None, gates: Sequence[str], during: int, least: int, prometheus: str, *, wait: int | None
) -> CanaryOptions | None:
    """Return what options say of a canary, None where they say nothing; raises UsageError."""
    from dsvc.actions.deploy_canary import CanaryOptions
    from dsvc.actions.deploy_gate import read_gates

    if share is None:
        if gates:
            raise UsageError("--gate is for a canary, and there is none", hint="--canary 10")
        return None
    return CanaryOptions(share, read_gates(gates), during, least, prometheus, wait)


def promote(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The deployment that has a canary.")],
    *,
    gate: Gates = (),
    during: During = 60,
    min_requests: Least = 100,
    prometheus: Prometheus = "",
    wait: Annotated[bool, typer.Option("--wait", help="End when it is ready; exit code 14 if it never is.")] = False,
    timeout: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long --wait waits; 300 if not said.")
    ] = 300,
    base: Base = None,
    environment: EnvironmentOf = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Let the canary of a deployment take its place, if it meets the gates.

    Where it does not, it is taken away, everything else stays as it was, and the exit code is 1. A gate compares
    error_rate (a share), requests (a second), p50, p99 (seconds), psi (of the input that drifts most) or samples with a
    number; what is not known does not meet it.
    """
    from dsvc.actions.build import BuildOptions
    from dsvc.actions.deploy_canary import promote as take

    options = canary_options(
        10, gate, during, min_requests, prometheus, wait=timeout if wait else None
    )
    assert options is not None
    build = BuildOptions(context.directory, base, environment)
    print_canary(context, take(context.workspace(), name, build, options, tell=context.out.note), "promote", json=json)


def print_canary(context: Context, done: CanaryResult, verb: str, *, json: bool) -> None:
    """Print what came of a canary."""
    if json:
        context.out.json(f"dsvc.deploy.{verb}", {**deployed_json(done.deployed), "canary": canary_json(done)})
        return
    if done.reading is not None:
        known = {name: value for name, value in done.reading.figures.items() if value is not None}
        context.out.note(", ".join(f"{name} {value:.4g}" for name, value in known.items()))
    print_deployed(context, done.deployed)
    if done.outcome == "running" and done.deployed.applied is not None:
        context.out.note(
            f"{done.name} has a canary, {done.got:.0f} % of the servers: 'dsvc deploy promote {done.name}' lets it "
            f"take its place, 'dsvc deploy rm {done.deployed.deployment.name}' takes it away"
        )


def canary_json(done: CanaryResult) -> dict[str, Any]:
    """What came of a canary, as an object of a JSON document."""
    return {
        "of": done.name,
        "outcome": done.outcome,
        "share": round(done.got, 1),
        "figures": dict(done.reading.figures) if done.reading is not None else None,
    }
