"""The `dsvc rerun` command."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dsvc.actions.rerun import RerunRequest, RerunResult, rerun
from dsvc.actions.rerun_compare import Verdict
from dsvc.actions.run import Screen
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.lineage import targets_of
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.run_text import plain_json, state_text, value_text, visible
from dsvc.errors import UsageError
from dsvc.runs.names import short_key

_COLORS: dict[Verdict, str] = {
    "identical": "green", "close": "yellow", "different": "red", "missing": "red", "new": "red", "ignored": "dim",
}  # fmt: skip
_MOST = 100  # files that people are shown
_SHORT = 10


def command(
    context: Context,
    words: Annotated[Sequence[str], typer.Argument(metavar="RUN|PATH", help="A run, or a file that one wrote.")] = (),
    *,
    check: Annotated[bool, typer.Option("--check", help="Only compare: keep no record of the repetition.")] = False,
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="PART", help="How far numbers may differ, as a part of the larger.")
    ] = 1e-6,
    ignore: Annotated[
        Sequence[str], typer.Option("--ignore", metavar="PATTERN", help="Do not compare these paths or metrics.NAME.")
    ] = (),
    environment: Annotated[
        Literal["auto", "present", "restore"],
        typer.Option("--environment", metavar="HOW", help="auto, present (as it is now), or restore (made again)."),
    ] = "auto",
    installer: Annotated[
        Literal["pip", "uv"], typer.Option("--installer", metavar="NAME", help="pip or uv makes the environment again.")
    ] = "pip",
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="FOLDER", help="Run in this folder, a new worktree that stays.")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also without some inputs, or writing outside.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Repeat a run in a clean folder and compare what comes of it.

    Source, inputs and environment are brought back as the run had them; the working copy is not touched. Each written
    file is compared by its hash, each metric by its value. The exit code is 0 when all is identical, or differs only in
    numbers by no more than the tolerance, and 1 when anything else differs.
    """
    if len(words) - ("--" in words) != 1:
        raise UsageError("which run, or which file?", hint="dsvc rerun RUN, or dsvc rerun PATH")
    workspace = context.workspace()
    names, paths = targets_of(context, workspace, words)
    request = RerunRequest(
        tolerance=tolerance,
        ignore=ignore,
        check=check,
        keep=Path(os.path.abspath(os.path.join(context.directory, keep))) if keep is not None else None,
        where=environment,
        installer=installer,
        anyway=anyway,
    )
    show = _silent if quiet else context.out.raw_error
    result = rerun(workspace, names[0] if names else paths[0], request, Screen(show, show), tell=context.out.note)
    if json:
        context.out.json("dsvc.rerun", _json(result))
    else:
        _print(context, result, keep=keep)
    return 1 if result.outcome == "different" else None


def _silent(_data: bytes) -> None:
    pass


def _print(context: Context, result: RerunResult, *, keep: str | None) -> None:
    out = context.out
    if not result.same_end:
        out.line(f"{out.paint('different', 'red')}  {state_text(result.new)}; the run was {state_text(result.old)}")
    rows = []
    for one in result.outputs[:_MOST]:
        old, new = (found.hex()[:_SHORT] if found is not None else "nothing" for found in (one.old, one.new))
        rows.append([one.verdict, quote_path(one.path), old if old == new else f"{old} -> {new}"])
    for metric in result.metrics:
        old, new = value_text(metric.old), value_text(metric.new)
        if metric.verdict in ("close", "different") and old == new:
            old, new = repr(metric.old), repr(metric.new)
        rows.append([metric.verdict, f"metrics.{visible(metric.name)}", old if old == new else f"{old} -> {new}"])
    out.table([[out.paint(row[0], _COLORS[row[0]]), *row[1:]] for row in rows])  # type: ignore[index]
    if len(result.outputs) > _MOST:
        out.line(f"and {counted(len(result.outputs) - _MOST, 'more file')} (--json lists them all)")
    where = {
        "present": "the present environment",
        "restored": "its environment, made again",
        "image": "a container of its image",
        "unknown": "the present environment, as none was recorded",
    }[result.environment.how]
    words = {"identical": "identical", "close": "the same within the tolerance", "different": "different"}
    out.line(f"run {short_key(result.old.key)} repeated in {where}: {words[result.outcome]}")
    for differ in result.environment.differences[:5]:
        out.warn(f"the environment differs: {differ.subject} {differ.what}: {differ.old} -> {differ.new}")
    for path in result.lacking:
        out.warn(f"the input {quote_path(path)} was not to be had as the run read it")
    if result.kept:
        out.note(f"recorded as run {short_key(result.new.key)}" + (f"; its files are in {keep}" if keep else ""))


def _json(result: RerunResult) -> dict[str, Any]:
    return {
        "run": result.old.key.hex(),
        "outcome": result.outcome,
        "repetition": result.new.key.hex() if result.kept else None,
        "old_state": state_text(result.old),
        "new_state": state_text(result.new),
        "environment": result.environment.how,
        "outputs": [
            {
                **path_json(one.path),
                "verdict": one.verdict,
                "old": one.old.hex() if one.old is not None else None,
                "new": one.new.hex() if one.new is not None else None,
            }
            for one in result.outputs
        ],
        "metrics": [
            {"name": one.name, "verdict": one.verdict, "old": plain_json(one.old), "new": plain_json(one.new)}
            for one in result.metrics
        ],
        "lacking": [path_json(path) for path in result.lacking],
    }
