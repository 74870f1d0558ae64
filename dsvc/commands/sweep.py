"""The `dsvc sweep` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.sweep import Sweep, TrialResult, default_name, sweep
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_text import plain_json, value_text
from dsvc.errors import UsageError
from dsvc.pipelines.space import parse_space
from dsvc.runs.names import short_key

PASS_ON = ("sweep",)
Texts = Sequence[str]


def command(
    context: Context,
    words: Annotated[Texts, typer.Argument(metavar="[--] COMMAND...", help="{NAME} stands for a value in it.")] = (),
    *,
    params: Annotated[
        Texts, typer.Option("-p", "--param", metavar="NAME=VALUES", help="Try 0.1,0.01 or 2..6 or log:1e-4..0.1.")
    ] = (),
    count: Annotated[
        int | None, typer.Option("--random", metavar="N", min=1, help="Try N combinations at random, not all.")
    ] = None,
    optuna: Annotated[int | None, typer.Option("--optuna", metavar="N", min=1, help="Let Optuna propose N.")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="For --random and --optuna.")] = 0,
    best: Annotated[str, typer.Option("--best", metavar="COLUMN", help="What counts, such as metrics.acc.")] = "",
    lowest: Annotated[bool, typer.Option("--lowest", help="The smallest value is the best.")] = False,
    patience: Annotated[
        int | None, typer.Option("--patience", metavar="N", min=1, help="End after N trials without a better one.")
    ] = None,
    prune: Annotated[
        int | None,
        typer.Option("--prune", metavar="N", min=1, help="End a trial that, after N points, falls behind the others."),
    ] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Run so many at a time.")] = 1,
    metrics: Annotated[Texts, typer.Option("--metrics", metavar="FILE", help="As for 'dsvc run'.")] = (),
    outputs: Annotated[Texts, typer.Option("-o", "--output", metavar="PATH", help="As for 'dsvc run'.")] = (),
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Label of the runs.")] = "",
    resume: Annotated[
        str, typer.Option("--resume", metavar="NAME", help="Go on with a sweep that broke off, given the same.")
    ] = "",
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Run a command for combinations of parameters, and say which was best.

    Each is a run with the label 'sweep', so 'dsvc runs' lists and compares them later. A value stands for {NAME} in the
    command; one that stands nowhere is added as --NAME VALUE. The variable DSVC_SWEEP_TRIAL is the number of the trial:
    commands that run at the same time should not write the same file. --resume takes the trials that succeeded, or were
    ended early, from the sweep that broke off, and runs the others. The exit code is 1 when no trial succeeded.
    """
    if not words:
        raise UsageError("which command?", hint="dsvc sweep -p lr=0.1,0.01 -- python train.py")
    if not params:
        raise UsageError("which parameters?", hint="dsvc sweep -p lr=0.1,0.01 -- python train.py")
    if optuna is not None and (count is not None or not best):
        raise UsageError("--optuna goes with --best and without --random", hint="--optuna 20 --best metrics.acc")
    if patience is not None and not best:
        raise UsageError("--patience goes with --best", hint="--best metrics.acc --patience 5")
    if prune is not None and not best.startswith(("metrics.", "m.")):
        raise UsageError("--prune goes with --best and the name of a series", hint="--best metrics.loss --prune 5")
    if resume and name:
        raise UsageError("--resume names the sweep already", hint=f"--resume {resume}")
    options = [*(f"--metrics={file}" for file in metrics), *(f"--output={path}" for path in outputs)]
    request = Sweep(
        words=words,
        space=parse_space(params),
        name=resume or name or default_name(),
        count=optuna if optuna is not None else count,
        seed=seed,
        asks_optuna=optuna is not None,
        metric=best,
        lowest=lowest,
        patience=patience,
        prune=prune,
        jobs=jobs,
        options=options,
        resumes=bool(resume),
    )

    def tell(result: TrialResult) -> None:
        if not json and not quiet:
            context.out.line(_line(result, best))
            context.out.flush()

    try:
        results = sweep(
            context.workspace(),
            request,
            directory=context.directory,
            environment=context.environment,
            tell=tell,
            warn=context.out.warn,
            output=sys.stderr.fileno() if json else None,
        )
    except KeyboardInterrupt:
        context.out.warn(f"to go on from here: the same command with --resume {request.name}")
        raise
    if json:
        context.out.json("dsvc.sweep", {"sweep": request.name, "trials": [_json(result) for result in results]})
    elif not quiet and best and results and results[0].value is not None:
        context.out.line(f"best: {_line(results[0], best)}")
    return None if any(result.exit_code == 0 for result in results) else 1


def _line(result: TrialResult, best: str) -> str:
    run = short_key(result.run) if result.run is not None else "not recorded"
    params = " ".join(f"{name}={value_text(value)}" for name, value in result.params.items())
    text = f"trial {result.number}  run {run}  {params}{'  done before' if result.earlier else ''}"
    if result.pruned:
        return f"{text}  pruned"
    if result.exit_code:
        return f"{text}  failed with exit code {result.exit_code}"
    if not best:
        return text
    label = best.rpartition(".")[2]
    return f"{text}  {label}={value_text(result.value)}" if result.value is not None else f"{text}  no {label}"


def _json(result: TrialResult) -> dict[str, object]:
    return {
        "number": result.number,
        "params": plain_json(dict(result.params)),
        "run": result.run.hex() if result.run is not None else None,
        "exit_code": result.exit_code,
        "value": result.value,
        "pruned": result.pruned,
        "earlier": result.earlier,
    }
