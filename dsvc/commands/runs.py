"""The `dsvc runs` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.runs import RunQuery, add_note, find_run, list_runs, remove_runs, show_run
from dsvc.actions.runs_diff import diff_runs
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.commands.run_diff_text import diff_json, print_diff
from dsvc.commands.run_table import DEFAULT_COLUMNS, print_csv, print_table, summary_json
from dsvc.commands.run_text import found_json, note_json, print_run
from dsvc.commands.runs_plot import export, plot
from dsvc.errors import UsageError
from dsvc.runs.names import short_key

Texts = Sequence[str]
Where = Annotated[str, typer.Option("--where", metavar="CONDITION", help="Only runs for which this is true.")]
Sort = Annotated[str, typer.Option("--sort", metavar="COLUMN", help="In order of this column; -COLUMN: largest first.")]
Columns = Annotated[str, typer.Option("--columns", metavar="A,B,...", help="Show these columns; * stands for any.")]
Best = Annotated[str, typer.Option("--best", metavar="COLUMN", help="Only the run with the largest value there.")]
Lowest = Annotated[bool, typer.Option("--lowest", help="With --best: the smallest value is the best.")]
Count = Annotated[int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="Show N runs.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Digits of a run, or @ for the newest one, @~1, ...")]


def command(
    context: Context,
    *,
    where: Where = "",
    sort: Sort = "",
    columns: Columns = "",
    best: Best = "",
    lowest: Lowest = False,
    count: Count = None,
    csv: Csv = False,
    json: Json = False,
) -> int | None:
    """List and compare recorded runs.

    Without a subcommand this is `dsvc runs list`.
    """
    return _list(
        context, where=where, sort=sort, columns=columns, best=best, lowest=lowest, count=count, csv=csv, json=json
    )


def _list(
    context: Context,
    *,
    where: Where = "",
    sort: Sort = "",
    columns: Columns = "",
    best: Best = "",
    lowest: Lowest = False,
    count: Count = None,
    csv: Csv = False,
    json: Json = False,
) -> int | None:
    """List recorded runs, the newest first.

    A column is a field such as state, name, user, start, elapsed, exit_code, or params.NAME, metrics.NAME, labels.NAME.
    A condition compares them: "metrics.acc > 0.9 and params.lr in (0.1, 0.01)", with and, or, not, =, !=, <, <=, >, >=,
    in, and ~ for "contains". With --best the exit code is 1 when no run has such a value.
    """
    if csv and json:
        raise UsageError("--csv and --json exclude each other")
    if best and sort:
        raise UsageError("--best and --sort exclude each other")
    rows = list_runs(context.workspace(), RunQuery(where, sort, best, lowest, count))
    if json:
        context.out.json("dsvc.runs", {"runs": [summary_json(row) for row in rows]})
    elif csv:
        print_csv(context, rows, columns)
    else:
        with context.paged():
            print_table(context, rows, columns or DEFAULT_COLUMNS)
    return 1 if best and not rows else None


def show(
    context: Context,
    name: Run = "@",
    *,
    log: Annotated[bool, typer.Option("--log", help="Print what was written to stdout, and nothing else.")] = False,
    err: Annotated[bool, typer.Option("--err", help="The same for stderr.")] = False,
    notebook: Annotated[bool, typer.Option("--notebook", help="Print the notebook with its outputs.")] = False,
    json: Json = False,
) -> None:
    """Show all that is recorded of a run."""
    workspace = context.workspace()
    key = find_run(workspace, name)
    found = show_run(workspace, key)
    if log or err or notebook:
        stored = found.run.logs.get("stderr" if err else "notebook" if notebook else "stdout")
        if json:
            raise UsageError("--log, --err and --notebook print what was written, and no JSON of dsvc's")
        if stored is not None:
            for piece in workspace.repo.store.file_chunks(stored.id):
                context.out.raw(piece)
        return
    if json:
        context.out.json("dsvc.runs.show", found_json(found))
        return
    with context.paged():
        print_run(context, found)


def diff(
    context: Context,
    old: Annotated[str, typer.Argument(metavar="RUN", help="Digits of a run, or @ for the newest one.")],
    new: Annotated[str, typer.Argument(metavar="RUN", help="The run to compare it with.")] = "@",
    *,
    json: Json = False,
) -> int | None:
    """Show what differs between two runs: parameters, metrics, code, data, environment.

    The exit code is 1 when anything differs. With one run it is compared with the newest.
    """
    workspace = context.workspace()
    found = diff_runs(workspace, find_run(workspace, old), find_run(workspace, new))
    if json:
        context.out.json("dsvc.runs.diff", diff_json(found))
    else:
        with context.paged():
            print_diff(context, found)
    return None if found.is_same() else 1


def comment(
    context: Context,
    name: Run,
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="The comment; without it the editor asks.")] = "",
    *,
    labels: Annotated[
        Texts, typer.Option("-l", "--label", metavar="LABEL[=TEXT]", help="Set a label instead.")
    ] = (),
    unlabel: Annotated[Texts, typer.Option("--unlabel", metavar="LABEL", help="Take a label away instead.")] = (),
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Add a comment or labels to a run.

    The record itself never changes: what is added later stands beside it, with who said it and when.
    """
    workspace = context.workspace()
    key = find_run(workspace, name)
    changes: dict[str, str | None] = dict.fromkeys(unlabel)
    for label in labels:
        label_name, _, value = label.partition("=")
        changes[label_name] = value
    if "" in changes:
        raise UsageError("a label has no name", hint="-l baseline, or -l kind=baseline")
    if changes and text:
        raise UsageError("a comment and labels are added one after the other", hint="dsvc runs comment RUN TEXT")
    if not changes and not text:
        text = context.edit("").strip()
        if not text:
            raise UsageError("the comment is empty, so nothing was added", hint="dsvc runs comment RUN TEXT")
    note = add_note(workspace, key, text=text, labels=changes)
    if json:
        context.out.json("dsvc.runs.comment", {"run": key.hex(), "note": note_json(note)})
    elif not quiet:
        context.out.note(f"added to run {short_key(key)}")


def rm(
    context: Context,
    names: Annotated[Texts, typer.Argument(metavar="RUN...", help="Digits of runs, or @ for the newest one.")] = (),
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for those who come later.")] = "",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove runs.

    That a run was removed is kept, and wins wherever the repository is pushed or fetched. What only it needs goes with
    the next gc. 'dsvc undo' brings it back.
    """
    if not names:
        raise UsageError("which runs?", hint="dsvc runs rm RUN...")
    workspace = context.workspace()
    keys = [find_run(workspace, name) for name in names]
    remove_runs(workspace, keys, reason=reason)
    if json:
        context.out.json("dsvc.runs.rm", {"removed": [key.hex() for key in keys]})
    elif not quiet:
        context.out.note(f"removed {', '.join(short_key(key) for key in keys)}")


SUBCOMMANDS = {
    "list": _list,
    "show": show,
    "diff": diff,
    "plot": plot,
    "export": export,
    "comment": comment,
    "rm": rm,
}
