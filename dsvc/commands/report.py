"""The `dsvc report` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet


def command(
    context: Context,
    text: Annotated[str | None, typer.Argument(metavar="[A..B]", help="What to compare; A alone is A..HEAD.")] = None,
    *,
    gate: Annotated[
        Sequence[str], typer.Option("--gate", metavar="CONDITION", help="What must hold; may be repeated.")
    ] = (),
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="Write it there.")] = "",
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="The heading.")] = "",
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Leave out the charts of series.")] = False,
    no_lineage: Annotated[bool, typer.Option("--no-lineage", help="Leave out the diagram of lineage.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Compare two versions as a page of Markdown, and say whether gates hold.

    It has tables of metrics and parameters, what changed of data and code, runs, charts and lineage, for a merge
    request or a chat. A gate is such as 'metrics.acc >= 0.9' or 'metrics.acc >= base.metrics.acc - 0.01'; where one
    fails the exit code is 1. Without a range HEAD is compared with where it left the main branch, and on that branch
    with the commit before.
    """
    from dsvc.actions.report import report
    from dsvc.commands.report_text import markdown, report_json

    workspace = context.workspace()
    found = report(workspace, text, gates=gate)
    if json:
        context.out.json("dsvc.report", report_json(found))
    if output or not json:
        page = markdown(context, workspace, found, title=title, plots=not no_plots, lineage=not no_lineage)
        if output:
            (context.directory / output).write_text(page, encoding="utf-8")
            if not (quiet or json):
                context.out.note(f"wrote {output}")
        else:
            context.out.text(page)
    for verdict in found.gates:
        if verdict.passed is False:
            context.out.warn(f"the gate {verdict.gate} failed: {verdict.reason}")
    return None if found.passed() else 1
