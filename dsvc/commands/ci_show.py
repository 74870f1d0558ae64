"""The `dsvc ci show` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json


def show(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="[RUN|COMMIT]", help="Of a step, or delivered; else the newest.")] = "",
    *,
    step: Annotated[Sequence[str], typer.Option("--step", metavar="NAME", help="Only this step; repeatable.")] = (),
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=1, help="How many last lines of each.")] = 20,
    json: Json = False,
) -> None:
    """Show what a delivery did: its steps, how each of them ended, and what it printed.

    What stands in secrets is masked. 'dsvc runs show RUN --log' prints all that a step printed.
    """
    from dsvc.actions.ci_show import ci_show
    from dsvc.commands.ref_text import SHORT
    from dsvc.commands.run_text import duration_text, visible
    from dsvc.runs.names import short_key

    out = context.out
    found = ci_show(context.workspace(), name, lines=lines, only=step)
    if json:
        out.json("dsvc.ci.show", {
            "event": found.event, "ref": found.ref, "commit": found.commit or None,
            "steps": [
                {
                    "step": one.name, "run": one.run.key.hex(), "state": one.run.state,
                    "exit_code": one.run.exit_code, "start": one.run.start / 1_000_000,
                    "elapsed": one.run.elapsed / 1_000_000, "stdout": list(one.out), "stderr": list(one.err),
                }
                for one in found.steps
            ],
        })  # fmt: skip
        return
    with context.paged():
        out.line(f"{found.event} on {visible(found.ref)}, commit {found.commit[:SHORT]}")
        for one in found.steps:
            run = one.run
            ended = run.state if not run.exit_code else f"{run.state}, exit code {run.exit_code}"
            out.line("")
            color = "green" if run.state == "done" else "red"
            head = f"{visible(one.name)}: {out.paint(ended, color)}"
            out.line(f"{head} in {duration_text(run.elapsed)} (run {short_key(run.key)})")
            for line in (*one.out, *one.err):
                out.line(f"  {visible(line)}")
