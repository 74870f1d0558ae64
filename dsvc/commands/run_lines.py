"""The runs that a commit names, beside it in `log --graph`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsvc.commands.context import Context
from dsvc.objects.ids import RunId

_MOST = 5  # runs beside one commit


def graph_run_lines(context: Context, run_ids: Sequence[RunId], *, one_line: bool) -> Iterator[str]:
    """Lines for the runs of a commit: which, of what, with its headline metric (`run.headline`, or the first one)."""
    from dsvc.actions.runs import run_of
    from dsvc.commands.run_text import value_text, visible
    from dsvc.runs.names import short_key
    from dsvc.runs.summary import summarize

    workspace = context.workspace()
    wanted = context.config().get_str("run.headline")
    if not one_line:
        yield ""
    for run_id in run_ids[:_MOST]:
        run = run_of(workspace, run_id)
        if run is None:
            yield f"    run {context.out.paint(run_id.hex()[:10], 'cyan')} (not here)"
            continue
        row = summarize(run, run_id)
        name = wanted if wanted in row.metrics else next(iter(row.metrics), None)
        what = row.name or row.description.partition("\n")[0] or row.command
        line = f"    run {context.out.paint(short_key(run.key), 'cyan')} {visible(what[:60])}"
        if row.state != "done":
            line += f" ({row.state})"
        yield line + (f"  {visible(name)}={value_text(row.metrics[name])}" if name is not None else "")
    if len(run_ids) > _MOST:
        yield f"    and {len(run_ids) - _MOST} more runs"
