"""The `dsvc fsck` command."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dsvc.actions.fsck import Damage, FsckResult, check, drop_damaged
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import IntegrityError

_SHORT = 10
_SHOWN = 10  # paths of one damaged object


def command(
    context: Context,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Read indexes and history only, not what files hold.")
    ] = False,
    drop: Annotated[
        bool, typer.Option("--drop-damaged", help="Take damaged objects out, so that good copies can come in.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Check everything that is stored.

    Each object is read, decoded and hashed again, and everything that the branches, tags and operations reach must be
    there. What is damaged is named with the paths and commits that it hits; the exit code is 15 then.
    """
    workspace = context.workspace()
    partial = workspace.content_filter() is not None
    result = check(workspace.repo, deep=not quick, partial=partial, progress=context.progress)
    dropped = drop_damaged(workspace.repo, result.damage) if drop and result.damage else 0
    if json:
        context.out.json("dsvc.fsck", {**_json(result), "packs_rewritten": dropped})
    else:
        for damage in result.damage:
            _show(context, damage)
        what = "checked" if result.deep else "checked quickly"
        context.out.note(
            f"{counted(result.packs, 'pack')}, {human_size(result.size)}, {counted(result.objects, 'object')}, "
            f"{counted(result.operations, 'operation')} {what}: "
            + (f"{len(result.damage)} damaged" if result.damage else "nothing is damaged")
        )
        if result.not_fetched:
            context.out.note(f"The content of {counted(result.not_fetched, 'file')} was not fetched (a partial clone)")
        if result.purged:
            count = len(result.purged)
            absent = "is absent on purpose: it was" if count == 1 else "are absent on purpose: they were"
            context.out.note(f"{counted(count, 'file')} {absent} purged")
    return IntegrityError.exit_code if result.damage else None


def _show(context: Context, damage: Damage) -> None:
    out = context.out
    out.line(out.paint(damage.message, "red"))
    for hit in damage.hits[:_SHOWN]:
        refs = f" ({', '.join(hit.refs)})" if hit.refs else ""
        out.line(f"  {quote_path(hit.path) or '.'} in commit {hit.commit.hex()[:_SHORT]}{refs}")
    if len(damage.hits) > _SHOWN:
        out.line(f"  and {len(damage.hits) - _SHOWN} more")
    out.line(f"  repair: {damage.hint}")


def _json(result: FsckResult) -> dict[str, Any]:
    return {
        "whole": not result.damage,
        "quick": not result.deep,
        "damage": [
            {
                "what": d.what,
                "kind": d.kind.name.lower() if d.kind is not None else None,
                "id": d.id.hex() or None,
                "pack": d.pack.hex() if d.pack is not None else None,
                "message": d.message,
                "hint": d.hint,
                "hits": [{**path_json(h.path), "commit": h.commit.hex(), "refs": list(h.refs)} for h in d.hits],
            }
            for d in result.damage
        ],
        "packs": result.packs,
        "bytes": result.size,
        "objects": result.objects,
        "operations": result.operations,
        "large_files": result.files,
        "purged": [i.hex() for i in result.purged],
        "not_fetched": result.not_fetched,
    }
