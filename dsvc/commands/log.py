"""The `dsvc log` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.decorations import decorations
from dsvc.actions.diff import DiffResult
from dsvc.actions.filediff import status_filter
from dsvc.actions.log import ALL_REFS, LogQuery, LogResult, commit_files, log
from dsvc.actions.pickaxe import changed_lines_with, occurrences_of
from dsvc.actions.revision import revision_context
from dsvc.commands.arguments import revisions_and_paths
from dsvc.commands.commit_text import commit_json
from dsvc.commands.context import Context
from dsvc.commands.diff_options import (
    DiffFilter,
    DiffForm,
    FindRenames,
    Full,
    IgnoreSpace,
    NameOnly,
    NameStatus,
    NoPatch,
    NoRenames,
    NumStat,
    Patch,
    ShortStat,
    Stat,
    Summary,
    Unified,
    rename_minimum,
)
from dsvc.commands.diff_text import files_json
from dsvc.commands.json_stream import stream_json
from dsvc.commands.log_options import Date, Decorate, Form, NoDecorate, OneLine, ShortIds, chosen_form, chosen_style
from dsvc.commands.log_output import FindDiff, LogForm, print_log
from dsvc.commands.options import Json, NullEnded
from dsvc.commands.signature_text import ShowSignature
from dsvc.errors import UsageError
from dsvc.refs.names import HEADS, REMOTES, TAGS
from dsvc.workspace import Workspace

Texts = Sequence[str]


def command(
    context: Context,
    words: Annotated[
        Texts, typer.Argument(metavar="[REV]... [PATH]...", help="Where to begin, ranges, and files and folders.")
    ] = (),
    *,
    count: Annotated[int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="Show N commits.")] = None,
    skip: Annotated[int, typer.Option("--skip", metavar="N", min=0, help="Leave out the first N.")] = 0,
    oneline: OneLine = False,
    form: Form = None,
    graph: Annotated[bool, typer.Option("--graph", help="Draw the lines of history beside the commits.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Begin at all branches and tags, and HEAD.")] = False,
    branches: Annotated[bool, typer.Option("--branches", help="Begin at all branches.")] = False,
    tags: Annotated[bool, typer.Option("--tags", help="Begin at all tags.")] = False,
    remotes: Annotated[bool, typer.Option("--remotes", help="Begin at all branches of remotes.")] = False,
    patch: Patch = False,
    no_patch: NoPatch = False,
    stat: Stat = False,
    numstat: NumStat = False,
    shortstat: ShortStat = False,
    summary: Summary = False,
    name_only: NameOnly = False,
    name_status: NameStatus = False,
    show_merges: Annotated[
        bool, typer.Option("-m", "--diff-merges", help="Show what merges changed against their first parent.")
    ] = False,
    unified: Unified = None,
    ignore_whitespace: IgnoreSpace = False,
    find_renames: FindRenames = None,
    no_renames: NoRenames = False,
    diff_filter: DiffFilter = None,
    full: Full = False,
    follow: Annotated[bool, typer.Option("--follow", help="Follow a single file across renames.")] = False,
    authors: Annotated[Texts, typer.Option("--author", metavar="PATTERN", help="Only of these people.")] = (),
    committers: Annotated[Texts, typer.Option("--committer", metavar="PATTERN", help="Committed by these.")] = (),
    messages: Annotated[Texts, typer.Option("--grep", metavar="PATTERN", help="With this in the message.")] = (),
    all_match: Annotated[bool, typer.Option("--all-match", help="With all patterns of --grep.")] = False,
    invert_grep: Annotated[bool, typer.Option("--invert-grep", help="Without the patterns of --grep.")] = False,
    ignore_case: Annotated[bool, typer.Option("-i", "--regexp-ignore-case", help="Let case not count.")] = False,
    fixed: Annotated[bool, typer.Option("-F", "--fixed-strings", help="Patterns are plain text.")] = False,
    extended: Annotated[bool, typer.Option("-E", "--extended-regexp", help="Accepted: patterns always are.")] = False,
    since: Annotated[str | None, typer.Option("--since", "--after", metavar="DATE", help="Not older.")] = None,
    until: Annotated[str | None, typer.Option("--until", "--before", metavar="DATE", help="Not newer.")] = None,
    merges: Annotated[bool, typer.Option("--merges", help="Only merges.")] = False,
    no_merges: Annotated[bool, typer.Option("--no-merges", help="No merges.")] = False,
    first_parent: Annotated[bool, typer.Option("--first-parent", help="Follow the first parent of merges.")] = False,
    text: Annotated[str | None, typer.Option("-S", metavar="TEXT", help="That added or removed TEXT.")] = None,
    changed: Annotated[str | None, typer.Option("-G", metavar="PATTERN", help="With it in a changed line.")] = None,
    text_is_pattern: Annotated[bool, typer.Option("--pickaxe-regex", help="TEXT of -S is a pattern.")] = False,
    topo_order: Annotated[bool, typer.Option("--topo-order", help="Children first, one line after the other.")] = False,
    date_order: Annotated[bool, typer.Option("--date-order", help="Newest first, the default.")] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="Show the chosen commits oldest first.")] = False,
    show_signature: ShowSignature = False,
    short_ids: ShortIds = False,
    date: Date = None,
    decorate: Decorate = False,
    no_decorate: NoDecorate = False,
    null_ended: NullEnded = False,
    json: Json = False,
) -> None:
    """Show commits.

    Begins at HEAD, or at the revisions given, and goes back; A..B are the commits of B that A has not. With paths only
    commits that changed one of them are shown, with --diff-filter those that did so in one of these ways. Patterns are
    regular expressions as Python writes them.
    """
    del extended
    if merges and no_merges:
        raise UsageError("--merges and --no-merges exclude each other")
    if graph and (reverse or null_ended):
        raise UsageError("--graph excludes --reverse and -z")
    if topo_order and date_order:
        raise UsageError("--topo-order and --date-order exclude each other")
    if text is not None and changed is not None:
        raise UsageError("-S and -G exclude each other")
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    revs, paths = revisions_and_paths(context, workspace, words, revisions=revisions)
    pickaxe = None
    if text is not None:
        pickaxe = occurrences_of(text, pattern=text_is_pattern, ignore_case=ignore_case)
    elif changed is not None:
        pickaxe = changed_lines_with(changed, ignore_case=ignore_case)
    kinds = ((HEADS, branches), (TAGS, tags), (REMOTES, remotes))
    query = LogQuery(
        revisions=revs,
        paths=paths,
        prefixes=ALL_REFS if every else tuple(prefix for prefix, wanted in kinds if wanted),
        head_too=every,
        order="topo" if topo_order or (graph and not date_order) else "date",
        rewrite=graph,
        first_parent=first_parent,
        merges=True if merges else False if no_merges else None,
        authors=tuple(authors),
        committers=tuple(committers),
        messages=tuple(messages),
        all_match=all_match,
        invert_match=invert_grep,
        ignore_case=ignore_case,
        fixed=fixed,
        since=since,
        until=until,
        skip=skip,
        count=count,
        reverse=reverse,
        follow=follow,
        pickaxe=pickaxe,
        statuses=status_filter(diff_filter) if diff_filter is not None else None,
        minimum=rename_minimum(find_renames, no_renames=no_renames),
        merge_changes=show_merges or first_parent,
    )
    diff_form = DiffForm(
        patch=patch and not no_patch,
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
        text=patch,
    )
    diff_form.check()
    find_diff = _finder(workspace, query)
    chosen = chosen_form(form, oneline=oneline)
    asked = decorate or context.out.terminal or "%d" in chosen.lower()
    decorated = json or (asked and not no_decorate)
    log_form = LogForm(
        form=chosen,
        style=chosen_style(context, date, short=short_ids or oneline, show_signature=show_signature),
        decorations=decorations(workspace) if decorated else {},
        diff=diff_form,
        null_ended=null_ended,
    )
    entries = log(workspace, query, context=revisions)
    if json:
        items = (_entry_json(entry, log_form, find_diff) for entry in entries)
        stream_json(context.out, "dsvc.log", {}, key="commits", items=items)
        return
    with context.paged():
        print_log(context, entries, log_form, graph=graph, find_diff=find_diff)


def _finder(workspace: Workspace, query: LogQuery) -> FindDiff:
    """What finds the changes of a commit that are to be shown; None for a merge whose changes are not."""
    only = query.statuses

    def find(entry: LogResult) -> DiffResult | None:
        if len(entry.commit.parents) > 1 and not query.merge_changes:
            return None
        files, sides, limit = commit_files(
            workspace, entry.commit, paths=query.paths, minimum=query.minimum, follow_path=entry.path
        )
        if query.pickaxe is not None:
            files = [file for file in files if query.pickaxe(file, sides)]
        return DiffResult(tuple(file for file in files if only is None or only(file)), sides, limit)

    return find


def _entry_json(entry: LogResult, form: LogForm, find_diff: FindDiff) -> dict[str, Any]:
    document = commit_json(form.shown(entry), form.style)
    diff_form = form.diff
    if diff_form.any():
        found = find_diff(entry)
        if found is not None:
            diff_form = diff_form._replace(stat=diff_form.stat or diff_form.numstat)
            document["files"] = [*files_json(found.files, found.sides, diff_form)]
    return document
