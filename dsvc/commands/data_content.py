"""What `dsvc data` says and does of content that may be elsewhere: list, where, drop, update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.date_text import iso_text
from dsvc.commands.entry_text import entry_json, human_size
from dsvc.commands.options import DryRun, Jobs, Json, Paths, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.workspace import Workspace


def _selected(context: Context, workspace: Workspace, paths: Sequence[str]) -> list[bytes]:
    return [path for path in (workspace.repo_path(path, context.directory) for path in paths) if path]


def list_(
    context: Context,
    paths: Paths = (),
    *,
    references: Annotated[bool, typer.Option("--references", help="Only references.")] = False,
    absent: Annotated[bool, typer.Option("--absent", help="Only what is not here.")] = False,
    json: Json = False,
) -> None:
    """List files and references with their size and whether their content is here.

    Memory does not grow with their number. With --json each is a line of its own.
    """
    from dsvc.actions.data_list import data_list

    workspace = context.workspace()
    listed = data_list(
        workspace, _selected(context, workspace, paths), references=references, absent=absent
    )
    with context.paged():
        for item in listed:
            if json:
                row = {**entry_json(item.path, item.entry), "here": item.here, "address": item.address}
                context.out.json_line("dsvc.data.list", row)
                continue
            where = "here" if item.here else "absent"
            at = f"  {item.address}" if item.address is not None else ""
            context.out.line(f"{where:<6}  {human_size(item.entry.size):>10}  {quote_path(item.path)}{at}")


def where(
    context: Context,
    paths: Paths = (),
    *,
    check: Annotated[bool, typer.Option("--check", help="Ask all remotes now, and note their answers.")] = False,
    json: Json = False,
) -> None:
    """Say where copies of content lie: here, at its source, and at remotes by their newest answers."""
    from dsvc.actions.data_where import Answers, ask_remotes, content_ids, data_where

    workspace = context.workspace()
    selected = _selected(context, workspace, paths)
    answers = ask_remotes(workspace, content_ids(workspace, selected)) if check else Answers()
    for name, reason in answers.failed.items():
        context.out.warn(f"{name} was not asked: {reason}")
    for item in data_where(workspace, selected):
        copies = [(c.remote or c.remote_id.hex(), c.time) for c in item.copies]
        if json:
            row: dict[str, Any] = {
                **path_json(item.path),
                "here": item.here,
                "address": item.address,
                "copies": [{"remote": name, "checked": time} for name, time in copies],
            }
            context.out.json_line("dsvc.data.where", row)
            continue
        places = ["here"] if item.here else []
        places += [item.address] if item.address is not None else []
        places += [f"{name} (seen {iso_text(time * 1_000_000, 0)})" for name, time in copies]
        context.out.line(f"{quote_path(item.path)}: {', '.join(places) or 'nowhere that is known'}")


def drop(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="PATH...", help="Files and folders.")],
    *,
    numcopies: Annotated[
        int | None, typer.Option("--numcopies", metavar="N", min=0, help="Instead of data.numcopies.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove content from here and from the disk that is elsewhere too; history stays as it is.

    All remotes are asked anew first, and the sources of references: unless each file is in data.numcopies other places
    that can be reached, nothing is removed. What was dropped is fetched when it is needed; 'dsvc data get' brings it.
    """
    from dsvc.actions.data_drop import data_drop

    workspace = context.workspace()
    selected = [workspace.repo_path(path, context.directory) for path in paths]
    result = data_drop(workspace, selected, numcopies=numcopies)
    if json:
        kept = [path_json(path) for path in result.kept]
        context.out.json("dsvc.data.drop", {"files": result.files, "size": result.size, "kept": kept})
        return
    context.out.note(f"Dropped {counted(result.files, 'file')} of {human_size(result.size)}")
    for path in result.kept:
        context.out.warn(f"{quote_path(path)} stays: it holds changes")


def update(
    context: Context,
    paths: Paths = (),
    *,
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is gone at its source.")] = False,
    dry_run: DryRun = False,
    jobs: Jobs = 8,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare what was imported with its sources, and take up what changed there and what is new.

    A reference then names the new version, a copy is imported anew, and what is new in a folder that was imported with
    --prefix comes in as the rest of it did. What is gone at its source is named and stays, unless --delete is given.
    The next commit takes all this; 'dsvc undo' takes it back.
    """
    from dsvc.actions.data_update import data_update

    workspace = context.workspace()
    result = data_update(
        workspace, _selected(context, workspace, paths), dry_run=dry_run, delete=delete, jobs=jobs
    )
    found = [("changed", result.changed), ("new", result.new), ("vanished", result.vanished)]
    if json:
        lists: dict[str, Any] = {word: [path_json(path) for path in listed] for word, listed in found}
        context.out.json("dsvc.data.update", {"checked": result.checked, "applied": result.applied, **lists})
        return
    for word, listed in found:
        for path in listed:
            context.out.line(f"{word + ':':<10}{quote_path(path)}")
    if not any(listed for _, listed in found):
        context.out.note(f"{counted(result.checked, 'source')} are as they were")
    elif result.vanished and not delete:
        context.out.note("What is gone at its source stays here; --delete removes it")
