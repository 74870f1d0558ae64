"""The `dsvc repro` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.repro import Repro, StageResult, repro
from dsvc.commands.context import Context
from dsvc.commands.options import DryRun, Json, Quiet
from dsvc.runs.names import short_key

_COLORS = {"ran": "green", "restored": "cyan", "failed": "red", "blocked": "red"}


def command(
    context: Context,
    stages: Annotated[Sequence[str], typer.Argument(metavar="[STAGE]...", help="These and what they need; all.")] = (),
    *,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Run so many stages at a time.")] = 1,
    force: Annotated[bool, typer.Option("-f", "--force", help="Run them even if nothing has changed.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Run the stages of dsvc.toml that are out of date.

    A stage whose command, inputs, parameters, interpreter and packages were seen before does not run: its outputs are
    taken from the store, whichever branch or clone made them. The exit code is 1 when a stage fails, by its exit code
    or because an output is not there afterwards; stages that do not need it go on. With --json what the commands print
    goes to stderr.
    """
    out = context.out

    def tell(result: StageResult) -> None:
        if json or quiet:
            return
        run = f"  run {short_key(result.run)}" if result.run is not None else ""
        took = f" ({result.seconds:.1f} s)" if result.what in ("ran", "failed") else ""
        why = f": it did not write {', '.join(result.missing)}" if result.missing else ""
        if result.what == "failed" and not why:
            why = f" with exit code {result.exit_code}"
        out.line(f"{result.name}: {out.paint(result.what, _COLORS.get(result.what, 'bold'))}{why}{took}{run}")
        out.flush()

    workspace = context.workspace()
    results = repro(
        workspace,
        Repro(stages, jobs, force, dry_run),
        environment=context.environment,
        tell=tell,
        output=sys.stderr.fileno() if json else None,
    )
    if json:
        out.json("dsvc.repro", {"stages": [_json(result) for result in results]})
    return 1 if any(result.what in ("failed", "blocked") for result in results) else None


def _json(result: StageResult) -> dict[str, object]:
    return {
        "name": result.name,
        "what": result.what,
        "run": result.run.hex() if result.run is not None else None,
        "exit_code": result.exit_code,
        "seconds": round(result.seconds, 3),
        "missing": list(result.missing),
    }
