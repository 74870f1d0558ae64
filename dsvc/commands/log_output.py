"""Prints the commits of a log: one after the other, or beside their graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import NamedTuple

from dsvc.actions.decorations import Decorations
from dsvc.actions.diff import DiffResult
from dsvc.actions.log import LogResult
from dsvc.commands.commit_format import CommitStyle, ShownCommit
from dsvc.commands.commit_text import commit_lines, is_one_line
from dsvc.commands.context import Context
from dsvc.commands.diff_options import DiffForm
from dsvc.commands.diff_text import print_diff
from dsvc.commands.graph_text import GraphWriter, takes_boxes
from dsvc.commands.run_lines import graph_run_lines
from dsvc.objects.ids import RunId
from dsvc.objects.values import Commit

FindDiff = Callable[[LogResult], "DiffResult | None"]


class LogForm(NamedTuple):
    """How a log looks: the form of commits, the refs beside them, and their differences."""

    form: str
    style: CommitStyle
    decorations: Decorations
    diff: DiffForm
    null_ended: bool = False

    def shown(self, entry: LogResult) -> ShownCommit:
        """A commit with its refs."""
        return ShownCommit(entry.commit_id, entry.commit, self.decorations.get(entry.commit_id, ()))


def print_log(
    context: Context, entries: Iterable[LogResult], form: LogForm, *, graph: bool, find_diff: FindDiff
) -> None:
    """Print commits as they come."""
    if not graph:
        _print(context, entries, form, None, find_diff=find_diff)
        return
    from dsvc.actions.run_claims import late_runs

    boxes = takes_boxes(context.environment.items(), terminal=context.out.terminal)
    writer = GraphWriter(context.out, boxes=boxes)
    with late_runs(context.workspace()) as find_runs:
        _print(context, entries, form, writer, find_diff=find_diff, find_runs=find_runs)


def _print(
    context: Context,
    entries: Iterable[LogResult],
    form: LogForm,
    writer: GraphWriter | None,
    *,
    find_diff: FindDiff,
    find_runs: Callable[[Commit], Sequence[RunId]] = lambda _commit: (),
) -> None:
    apart = False
    one_line = is_one_line(form.form)
    for entry in entries:
        texts = [*commit_lines(form.shown(entry), form.form, form.style)]
        if writer is not None and (runs := entry.commit.runs or find_runs(entry.commit)):
            texts += graph_run_lines(context, runs, one_line=one_line)
        lines = [line.encode("utf-8", "surrogateescape") for line in texts]
        lines += _diff_lines(context, entry, form, find_diff)
        if writer is not None:
            writer.write(entry.commit_id, entry.parents, lines, apart=apart)
        elif form.null_ended:
            context.out.raw(b"\n".join(lines) + b"\0")
        else:
            context.out.raw((b"\n" if apart else b"") + b"\n".join(lines) + b"\n")
        apart = not one_line


def _diff_lines(context: Context, entry: LogResult, form: LogForm, find_diff: FindDiff) -> Sequence[bytes]:
    if not form.diff.any():
        return ()
    result = find_diff(entry)
    if result is None or not result.files:
        return ()
    kept = BytesIO()
    before = context.out.redirect(kept)
    try:
        print_diff(context, result, form.diff)
    finally:
        context.out.redirect(before)
    lines = kept.getvalue().removesuffix(b"\n").split(b"\n")
    return lines if form.form == "oneline" else [b"", *lines]
