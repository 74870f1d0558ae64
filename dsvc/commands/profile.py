"""The `dsvc profile` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dsvc.commands.context import Context
from dsvc.commands.options import Json
from dsvc.commands.run_text import visible

if TYPE_CHECKING:
    from dsvc.monitoring.profile import Column

_CELLS = " ▁▂▃▄▅▆▇█"


def command(
    context: Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A table in CSV or Parquet.")],
    *,
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="What a model shall answer.")] = "",
    drop: Annotated[Sequence[str], typer.Option("--drop", metavar="COLUMN", help="Leave this column out.")] = (),
    header: Annotated[bool, typer.Option("--header/--no-header", help="Whether a CSV file names its columns.")] = True,
    json: Json = False,
) -> None:
    """Say what the columns of a table look like.

    The table is read in pieces, so it may be larger than memory. In a command that 'dsvc run' started it is kept with
    the run, as run.profile(table) does in Python: for all models that the run makes, to compare what they are asked
    with what they were trained on. 'dsvc model add --profile PATH' keeps it with one version of a model.
    """
    from dsvc.actions.profile import keep_profile, profile

    found = profile(context.directory / path, header=header, target=target, drop=drop)
    is_kept = keep_profile(found, context.environment)
    if json:
        from dsvc.monitoring.profile import profile_fields

        context.out.json("dsvc.profile", {"rows": found.rows, "profile": profile_fields(found)})
        return
    rows = [_row(column) for column in (*found.columns, *found.outputs)]
    with context.paged():
        header_row = ["COLUMN", "TYPE", "MISSING", "MIN", "MEAN", "MAX", "DISTRIBUTION"]
        context.out.table(rows, header=header_row, right=(2, 3, 4, 5))
    context.out.note(f"{found.rows:,} rows" + (", kept with the run" if is_kept else ""))


def _row(column: Column) -> list[str]:
    name, type_of, missing = visible(column.name), column.type, f"{column.missing:,}"
    if column.kind == "number":
        numbers = [column.low, column.mean, column.high]
        return [name, type_of, missing, *("" if n is None else f"{n:.4g}" for n in numbers), _bars(column.counts)]
    if column.kind == "category":
        shown = ", ".join(f"{visible(text)} {count:,}" for text, count in column.values[:4])
        rest = len(column.values) > 4 or column.other
        return [name, type_of, missing, "", "", "", shown + (", …" if rest else "")]
    return [name, "", missing, "", "", "", "no values"]


def _bars(counts: Sequence[int]) -> str:
    most = max(counts, default=0) or 1
    return "".join(_CELLS[-(-count * (len(_CELLS) - 1) // most)] for count in counts)
