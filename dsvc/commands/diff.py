"""The `dsvc diff` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.diff import diff
from dsvc.actions.filediff import status_filter
from dsvc.actions.revision import revision_context
from dsvc.commands.arguments import revisions_and_paths
from dsvc.commands.context import Context
from dsvc.commands.diff_options import (
    DiffFilter,
    DiffForm,
    FindRenames,
    Full,
    IgnoreSpace,
    NameOnly,
    NameStatus,
    NoRenames,
    NumStat,
    Patch,
    ShortStat,
    Stat,
    Summary,
    Text,
    Unified,
    rename_minimum,
)
from dsvc.commands.diff_text import files_json, print_diff, warn_of_limit
from dsvc.commands.json_stream import stream_json
from dsvc.commands.options import Json, NoStaging, NullEnded


def command(
    context: Context,
    words: Annotated[
        Sequence[str], typer.Argument(metavar="[A] [B] [PATH]...", help="Commits, and files and folders to look at.")
    ] = (),
    *,
    patch: Patch = False,
    stat: Stat = False,
    numstat: NumStat = False,
    shortstat: ShortStat = False,
    summary: Summary = False,
    name_only: NameOnly = False,
    name_status: NameStatus = False,
    null_ended: NullEnded = False,
    unified: Unified = None,
    ignore_whitespace: IgnoreSpace = False,
    find_renames: FindRenames = None,
    no_renames: NoRenames = False,
    diff_filter: DiffFilter = None,
    reverse: Annotated[bool, typer.Option("-R", help="Exchange the two sides.")] = False,
    full: Full = False,
    text: Text = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write an HTML page, with notebooks and images side by side.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where there are differences.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing; implies --exit-code.")] = False,
    staged: NoStaging = False,
    json: Json = False,
) -> int | None:
    """Show differences between commits or the working copy.

    Without a commit compares HEAD's commit with the working copy, with one that commit with the working copy, with two
    these with each other. A..B is the same as A B, A...B compares B with the best common ancestor. A and B may also be
    REV:PATH. New files that are not ignored count: a commit would take them. Notebooks are compared by cells, tables by
    rows, parameter files by keys, weights by tensors; -p shows lines. Other binary files are shown by their sizes, and
    so are texts above 8 MiB.
    """
    del staged
    form = DiffForm(
        patch=patch or not any((stat, numstat, shortstat, summary, name_only, name_status)),
        stat=stat,
        numstat=numstat,
        shortstat=shortstat,
        summary=summary,
        name_only=name_only,
        name_status=name_status,
        null_ended=null_ended,
        context=unified if unified is not None else context.config().get_int("diff.context"),
        ignore_whitespace=ignore_whitespace,
        full=full,
        text=text or patch,
    )
    form.check()
    minimum = rename_minimum(find_renames, no_renames=no_renames)
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    revs, paths = revisions_and_paths(context, workspace, words, revisions=revisions)
    only = status_filter(diff_filter) if diff_filter is not None else None
    result = diff(workspace, revs, paths=paths, minimum=minimum, reverse=reverse, only=only, context=revisions)
    if quiet:
        return 1 if result.files else 0
    if json:
        if result.limit is not None:
            warn_of_limit(context.out, result.limit)
        items = files_json(result.files, result.sides, form)
        stream_json(context.out, "dsvc.diff", {"renames_complete": result.limit is None}, key="files", items=items)
    elif html:
        from dsvc.commands.diff_html import html_pieces

        for piece in html_pieces(result, form):
            context.out.text(piece)
    else:
        with context.paged():
            print_diff(context, result, form)
    return 1 if exit_code and result.files else None
