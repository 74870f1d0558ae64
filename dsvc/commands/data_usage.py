"""The `dsvc data usage` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.data_usage import PathUsage, Usage, data_usage
from dsvc.actions.revision import revision_context
from dsvc.commands.arguments import revisions_and_paths
from dsvc.commands.context import Context
from dsvc.commands.entry_text import human_size, kind_word, seen_from
from dsvc.commands.options import Json
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import UsageError
from dsvc.objects.tree import EntryKind


def usage(
    context: Context,
    words: Annotated[
        Sequence[str], typer.Argument(metavar="[REV] [PATH]...", help="A commit, and files and folders of it.")
    ] = (),
    *,
    depth: Annotated[int, typer.Option("--depth", metavar="N", min=0, help="Levels of folders to list.")] = 1,
    json: Json = False,
) -> None:
    """Show how much room files take.

    Three sizes: of the files as they are read; as they are stored, where equal pieces count once and are compressed;
    and which of the stored bytes lie in blocks that something outside the store has too, such as the working copy on
    a disk that clones files, or a fork. A line counts what it has in common with others in full; the last one counts
    it once.
    """
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    revs, paths = revisions_and_paths(context, workspace, words, revisions=revisions)
    if len(revs) > 1:
        raise UsageError("one revision at a time", hint=f"dsvc data usage {revs[0]}")
    revision = revs[0] if revs else "HEAD"
    here = b"" if ":" in revision else revisions.directory
    result = data_usage(workspace, revision, paths=paths or (here,), depth=depth, context=revisions)
    if json:
        context.out.json(
            "dsvc.data.usage",
            {
                "tree": result.tree_id.hex(),
                "paths": [_json(row) for row in result.paths],
                "total": _numbers(result.total),
            },
        )
        return
    rows = [["logical", "stored", "shared", ""]]
    for found in result.paths:
        name = seen_from(found.path, here) + (b"/" if found.entry.kind == EntryKind.TREE else b"")
        rows.append([*_sizes(found.usage), quote_path(name)])
    rows.append([*_sizes(result.total), "in all"])
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [text.rjust(width) for text, width in zip(row[:3], widths, strict=True)]
        context.out.line("  ".join([*cells, row[3]]).rstrip())
    if result.total.absent:
        context.out.note(f"{human_size(result.total.absent)} of content are not here; 'dsvc data get' fetches them")


def _sizes(numbers: Usage) -> list[str]:
    return [human_size(numbers.logical), human_size(numbers.stored), human_size(numbers.shared)]


def _json(row: PathUsage) -> dict[str, Any]:
    return {**path_json(row.path), "kind": kind_word(row.entry), **_numbers(row.usage)}


def _numbers(numbers: Usage) -> dict[str, int]:
    return {
        "files": numbers.files,
        "logical_bytes": numbers.logical,
        "stored_bytes": numbers.stored,
        "shared_bytes": numbers.shared,
        "absent_bytes": numbers.absent,
    }
