"""The `dsvc blame-data` command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsvc.actions.blame_data import BlamedFile, RawFile, blame_data
from dsvc.commands.context import Context
from dsvc.commands.graph_text import takes_boxes
from dsvc.commands.lineage import columns, targets_of
from dsvc.commands.lineage_labels import MARK_COLORS, PLAIN_SIGNS, SIGNS, run_facts, run_word, short_id, title
from dsvc.commands.options import Json
from dsvc.commands.path_text import path_json, quote_path
from dsvc.commands.run_text import size_text
from dsvc.errors import UsageError

_MOST = 40  # raw files that people are shown


def command(
    context: Context,
    words: Annotated[
        Sequence[str], typer.Argument(metavar="PATH...", help="A file, PATH@ID, REV:PATH, a model, run or commit.")
    ] = (),
    *,
    every: Annotated[bool, typer.Option("--all", help=f"List all raw files, not {_MOST} of them.")] = False,
    json: Json = False,
) -> int | None:
    """Show which run wrote a file, and which raw files it rests on.

    Raw are files that no run wrote: data that was collected, and programs. The exit code is 1 when there is a file
    whose run nobody knows.
    """
    if not words:
        raise UsageError("which file?", hint="dsvc blame-data PATH")
    workspace = context.workspace()
    names, paths = targets_of(context, workspace, words)
    found = blame_data(workspace, names, paths=paths)
    if json:
        context.out.json("dsvc.blame-data", {"files": [_json(one) for one in found]})
    else:
        with context.paged():
            for number, one in enumerate(found):
                if number:
                    context.out.line()
                _print(context, one, most=None if every else _MOST)
    return 1 if any(one.run is None or one.mark == "missing" for one in found) else None


def _print(context: Context, one: BlamedFile, *, most: int | None) -> None:
    out = context.out
    boxes = takes_boxes(context.environment.items(), terminal=True)
    signs = SIGNS if boxes else PLAIN_SIGNS
    headline = context.config().get_str("run.headline")
    where = f"  on {', '.join(one.tips)}" if one.tips else ""
    out.line(f"{out.paint(quote_path(one.file.path), 'bold')} {out.paint(short_id(one.file), 'yellow')}{where}")
    if one.run is None:
        commit = f": commit {short_id(one.commit)} {title(one.commit)}" if one.commit is not None else ""
        out.line(f"  no run wrote it, as far as is known{commit}")
        return
    sign = out.paint(signs[one.mark], MARK_COLORS[one.mark])
    reason = f"  {one.reason}" if one.reason else ""
    how = "written by run" if run_word(one.run) == "run" else "correction"
    out.line(f"  {sign} {how} {out.paint(short_id(one.run), 'cyan')} {title(one.run)}{reason}")
    out.line(out.paint(f"    {run_facts(one.run, wanted=headline)}", "dim"))
    for run in one.through[:_MOST]:
        out.line(f"    after run {out.paint(short_id(run), 'cyan')} {title(run)}")
    for name, files in (("data", [r for r in one.raw if not r.is_code]), ("code", [r for r in one.raw if r.is_code])):
        if not files:
            continue
        out.line(f"  rests on {len(files):,} file{'' if len(files) == 1 else 's'} of {name}")
        widest = max(len(quote_path(raw.file.path)) for raw in files[:most])
        room = max(columns(context) - widest - 48, 12)
        out.table([_row(context, raw, signs[raw.mark], room) for raw in files[:most]])
        if most is not None and len(files) > most:
            out.line(f"      and {len(files) - most:,} more (--all lists them)")


def _row(context: Context, raw: RawFile, sign: str, room: int) -> list[str]:
    out = context.out
    if raw.commit is not None:
        subject = title(raw.commit)
        subject = subject if len(subject) <= room else subject[: room - 3].rstrip() + "..."
        where = f"commit {out.paint(short_id(raw.commit), 'yellow')} {subject}"
    else:
        where = "outside of the working copy" if raw.file.path.startswith(b"/") else "in no commit"
    found = [f"    {out.paint(sign, MARK_COLORS[raw.mark])} {quote_path(raw.file.path)}", short_id(raw.file)]
    return [*found, size_text(raw.file.size), "; ".join(filter(None, [where, raw.reason]))]


def _json(one: BlamedFile) -> dict[str, Any]:
    return {
        **path_json(one.file.path),
        "id": one.file.id.hex() if one.file.id is not None else None,
        "run": one.run.run_key.hex() if one.run is not None else None,
        "mark": one.mark,
        "reason": one.reason or None,
        "through": [run.run_key.hex() for run in one.through],
        "raw": [
            {
                **path_json(raw.file.path),
                "id": raw.file.id.hex() if raw.file.id is not None else None,
                "size": raw.file.size if raw.file.id is not None else None,
                "code": raw.is_code,
                "commit": raw.commit.id.hex() if raw.commit is not None else None,
                "mark": raw.mark,
                "reason": raw.reason or None,
            }
            for raw in one.raw
        ],
    }
