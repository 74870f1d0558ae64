"""The `dsvc watch` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.watch import Saved, Watch
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.until_stopped import until_stopped
from dsvc.runs.names import short_key


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[NOTEBOOK]...", help="These notebooks; all.")] = (),
    *,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often to look.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Record what was not recorded yet, and end.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Record what is executed in notebooks whenever one of them is saved, until Ctrl-C.

    Jupyter goes on as it is. Cells that were executed since the last save make a run, with what they printed, their
    errors and the notebook; a run that they printed in Dotscience's form is added to it. Which files they read and
    wrote is worked out from the names in their text, and only claimed. Nothing is recorded where the notebook itself
    says 'import dsvc' and logs, because its kernel records more. With --json there is a line for each save.
    """
    workspace = context.workspace()
    watch = Watch(workspace, [workspace.repo_path(path, context.directory) for path in paths])
    count = watch.begin(fresh=once)
    if not once and not quiet:
        context.out.note(f"watching {counted(count, 'notebook')}; Ctrl-C ends it")
    with until_stopped() as stopped:
        while True:
            for saved in watch.look(patient=not once):
                _tell(context, saved, quiet=quiet, json=json)
            if once or stopped.wait(every):
                return


def _tell(context: Context, saved: Saved, *, quiet: bool, json: bool) -> None:
    for text in saved.warnings:
        context.out.warn(text)
    if saved.problem:
        context.out.warn(f"{quote_path(saved.path)} is not recorded: {saved.problem}")
    if json:
        runs = [published.run.key.hex() for published in saved.published]
        payload = {**path_json(saved.path), "cells": saved.cells, "runs": runs, "problem": saved.problem or None}
        context.out.json_line("dsvc.watch", payload)
    elif saved.published and not quiet:
        run = saved.published[0].run
        inside = f" and {counted(len(saved.published) - 1, 'run')} inside it" if len(saved.published) > 1 else ""
        text = f"{quote_path(saved.path)}: {counted(saved.cells, 'cell')}  run {short_key(run.key)}{inside}"
        context.out.line(f"{text}  failed" if run.state == "failed" else text)
    context.out.flush()
