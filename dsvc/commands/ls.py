"""The `dsvc ls` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.ls import Listed, ls
from dsvc.actions.revision import revision_context
from dsvc.commands.arguments import revisions_and_paths
from dsvc.commands.context import Context
from dsvc.commands.entry_text import entry_json, human_size, kind_word, seen_from
from dsvc.commands.json_stream import stream_json
from dsvc.commands.options import Json, NullEnded
from dsvc.commands.path_text import quote_path
from dsvc.errors import UsageError
from dsvc.objects.reference import shown_id
from dsvc.objects.tree import EntryKind


def command(
    context: Context,
    words: Annotated[
        Sequence[str], typer.Argument(metavar="[REV] [PATH]...", help="A commit or tree, and files and folders of it.")
    ] = (),
    *,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="List all files below folders.")] = False,
    long: Annotated[bool, typer.Option("-l", "--long", help="Show kind, size and id too.")] = False,
    human: Annotated[bool, typer.Option("-h", "--human", help="Show sizes with units; with -l.")] = False,
    null_ended: NullEnded = False,
    json: Json = False,
) -> None:
    """List the files of a commit.

    Lists the current folder as it stands in HEAD's commit, or the folders and files given, in the commit given. Names
    are shown as they are written from the current folder; those of folders end with a slash. REV may also be
    REV:PATH, and names are then relative to that folder.
    """
    workspace = context.workspace()
    revisions = revision_context(workspace, directory=context.directory)
    revs, paths = revisions_and_paths(context, workspace, words, revisions=revisions)
    if len(revs) > 1:
        raise UsageError("one revision at a time", hint=f"dsvc ls {revs[0]}")
    revision = revs[0] if revs else "HEAD"
    here = b"" if ":" in revision else revisions.directory
    result = ls(workspace, revision, paths=paths or (here,), recursive=recursive, context=revisions)
    if json:
        items = (entry_json(listed.path, listed.entry) for listed in result.entries)
        stream_json(context.out, "dsvc.ls", {"tree": result.tree_id.hex()}, key="entries", items=items)
        return
    with context.paged():
        for listed in result.entries:
            shown = seen_from(listed.path, here) + (b"/" if listed.entry.kind == EntryKind.TREE else b"")
            name = shown.decode("utf-8", "surrogateescape") if null_ended else quote_path(shown)
            prefix = _columns(context, listed, human=human) if long else ""
            context.out.text(prefix + name + ("\0" if null_ended else "\n"))


def _columns(context: Context, listed: Listed, *, human: bool) -> str:
    entry = listed.entry
    size = human_size(entry.size) if human else str(entry.size)
    shown = context.out.paint(shown_id(entry).hex()[:10], "yellow")
    return f"{kind_word(entry):<10} {size:>12}  {shown}  "
