"""The `dsvc git` commands: import and export."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dsvc.actions.git_export import git_export
from dsvc.actions.git_import import git_import
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import DivergedError, IntegrityError, RequestError
from dsvc.gitbridge.exporting import ExportResult
from dsvc.gitbridge.importing import ImportResult
from dsvc.gitbridge.refimport import RefMove
from dsvc.refs.names import short_name

_SHORT = 10
_SHOWN = 10  # paths of one warning


def import_(
    context: Context,
    source: Annotated[
        Path | None, typer.Argument(metavar="[REPO]", help="The git repository; the working copy's own folder.")
    ] = None,
    *,
    lfs: Annotated[bool, typer.Option("--lfs", help="Replace LFS pointers by the files they name.")] = False,
    remotes: Annotated[bool, typer.Option("--remotes", help="Bring git's remote branches too.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Move branches and tags that have diverged.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Bring a git history in.

    Branches, tags, commits with authors, dates and signatures; the git repository is only read. Running it again
    brings what is new. A branch on which both sides have commits of their own is left and named; exit code 12 then.
    So is one whose commits cannot be read; exit code 15.

    With --lfs all files that LFS pointers name must be in the git repository ('git lfs fetch --all' brings them).
    """
    del quiet
    workspace = context.workspace()
    result = git_import(workspace, (source or workspace.root).absolute(), lfs=lfs, remotes=remotes, force=force)
    for warning in result.warnings:
        context.out.warn(warning)
    if json:
        context.out.json("dsvc.git.import", _import_json(result))
    else:
        for move in result.moved:
            what = "new" if move.old is None else f"was {move.old.id.hex()[:_SHORT]}"
            context.out.line(f"{short_name(move.name)} {move.new.id.hex()[:_SHORT]} ({what})")
        context.out.note(f"Imported {counted(result.commits, 'commit')}")
    if result.unread:
        context.out.warn(
            f"left out, because git cannot read what they point to: {_listed([n.encode() for n in result.unread])}",
            hint=f"git -C {source or workspace.root} fsck",
        )
    if result.diverged:
        names = ", ".join(short_name(move.name) for move in result.diverged)
        error = DivergedError(
            f"both sides have commits of their own on {names}: left as they were here",
            hint="dsvc git import --remotes brings git's remote branches beside yours; --force gives up yours",
        )
        context.out.warn(error.message, hint=error.hint)
    if result.unread:
        return IntegrityError.exit_code
    return DivergedError.exit_code if result.diverged else None


def export(
    context: Context,
    destination: Annotated[Path, typer.Argument(metavar="REPO", help="The git repository; made if missing.")],
    names: Annotated[Sequence[str], typer.Argument(metavar="[REF]...", help="Only these branches and tags.")] = (),
    *,
    force: Annotated[bool, typer.Option("-f", "--force", help="Move git's refs back or aside.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Write the history to a git repository.

    What was imported from git and is unchanged gets its old ids, signatures included. In commits made by dsvc, files
    above git.lfsThreshold become LFS pointers, with their content in the repository's lfs/objects. What git cannot
    hold is named in a warning. A branch on which git's working copy stands is never moved.
    """
    del quiet
    result = git_export(context.workspace(), destination.absolute(), names=names, force=force)
    _warn(context, result)
    if json:
        context.out.json("dsvc.git.export", _export_json(result))
    else:
        for move in result.moved:
            what = "new" if move.old is None else f"was {move.old.hex()[:_SHORT]}"
            context.out.line(f"{move.name} {move.new.hex()[:_SHORT]} ({what})")
        context.out.note(f"Exported {counted(result.commits, 'commit')}")
    for refused in result.refused:
        context.out.warn(f"{refused.move.name} was left: {refused.reason}", hint=refused.hint)
    if not result.refused:
        return None
    return DivergedError.exit_code if any(r.diverged for r in result.refused) else RequestError.exit_code


def _warn(context: Context, result: ExportResult) -> None:
    for warning in result.warnings:
        context.out.warn(warning)
    for reason, paths in sorted(result.lost.items()):
        context.out.warn(f"git cannot hold {reason}: {_listed(paths)}")
    marked = set(result.pointers) - set(result.unmarked)
    if marked:
        context.out.note(f"Files written as LFS pointers: {_listed(marked)}")
    if result.unmarked:
        context.out.warn(
            f"files written as LFS pointers: {_listed(result.unmarked)}",
            hint="let .gitattributes mark them (git lfs track PATTERN), or raise git.lfsThreshold",
        )


def _listed(paths: Collection[bytes]) -> str:
    every = sorted(paths)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(quote_path(path) for path in every[:_SHOWN]) + more


def _import_json(result: ImportResult) -> dict[str, object]:
    def moves(listed: Sequence[RefMove]) -> list[dict[str, object]]:
        return [{"ref": m.name, "old": m.old.id.hex() if m.old else None, "new": m.new.id.hex()} for m in listed]

    return {
        "commits": result.commits,
        "moved": moves(result.moved),
        "diverged": moves(result.diverged),
        "unread": list(result.unread),
        "head": result.head,
        "warnings": list(result.warnings),
    }


def _export_json(result: ExportResult) -> dict[str, object]:
    def move(name: str, old: bytes | None, new: bytes) -> dict[str, object]:
        return {"ref": name, "old": old.hex() if old else None, "new": new.hex()}

    return {
        "commits": result.commits,
        "created": result.created,
        "refs": {name: oid.hex() for name, oid in sorted(result.ids.items())},
        "moved": [move(m.name, m.old, m.new) for m in result.moved],
        "refused": [{**move(r.move.name, r.move.old, r.move.new), "reason": r.reason} for r in result.refused],
        "lost": [{"reason": reason, **path_json(p)} for reason, ps in sorted(result.lost.items()) for p in sorted(ps)],
        "pointers": [path_json(path) for path in sorted(result.pointers)],
        "warnings": list(result.warnings),
    }


SUBCOMMANDS = {"import": import_, "export": export}
