"""The runs that a commit names, beside it in `log --graph`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsvc.commands.context import Context
from dsvc.objects.ids import RunId

_MOST = 5  # runs beside one commit
_WIDEST = 60  # characters of what a run is


def graph_run_lines(context: Context, run_ids: Sequence[RunId], *, one_line: bool) -> Iterator[str]:
    """Lines for the runs of a commit: which, of what, with its headline metric (`run.headline`)."""
    from dsvc.actions.runs import run_of
    from dsvc.commands.lineage_labels import run_title
    from dsvc.commands.run_headline import headline
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
        what = run_title(row)
        word = "correction" if row.authority == "correction" else "run"
        line = f"    {word} {context.out.paint(short_key(run.key), 'cyan')} {what[:_WIDEST]}"
        if row.state != "done":
            line += f" ({row.state})"
        metric = headline(row.metrics, wanted)
        yield line + (f"  {metric}" if metric else "")
    if len(run_ids) > _MOST:
        yield f"    and {len(run_ids) - _MOST} more runs"
