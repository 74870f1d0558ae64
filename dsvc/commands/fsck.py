"""The `dsvc fsck` command."""

from __future__ import annotations

import shlex
from itertools import zip_longest
from typing import Annotated, Any

import typer

from dsvc.actions.fsck import Damage, FsckResult, check, drop_damaged
from dsvc.actions.fsck_back import StandsAgain, require_refs, stand_again
from dsvc.actions.fsck_remote import HERE, RemoteCheck, check_remote, repair_here
from dsvc.actions.hub_upkeep import REPAIR
from dsvc.actions.remote_access import choose_remote
from dsvc.commands.bare import repository_here
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.date_text import iso_text
from dsvc.commands.entry_text import human_size
from dsvc.commands.options import Jobs, Json, Quiet, Remote
from dsvc.commands.path_text import path_json, quote_path
from dsvc.errors import IntegrityError, RequestError, UsageError
from dsvc.objects.ids import Kind
from dsvc.refs.names import HEADS, short_name
from dsvc.repo.repository import Repository
from dsvc.workspace import Workspace

_NOT_REMOTE = {
    "remote": None,
    "damage_found": None,
    "objects_mended": None,
    "segments_mended": None,
    "operations_cut": None,
}
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
    remote: Remote = None,
    full: Annotated[bool, typer.Option("--full", help="With --remote: fetch and check every byte there.")] = False,
    repair_from: Annotated[
        str | None,
        typer.Option(
            "--repair-from", metavar="OTHER", help="Put copies of this remote in place; '.' is here, for --remote."
        ),
    ] = None,
    jobs: Jobs = 8,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Check everything that is stored.

    Each object is read, decoded and hashed again, and everything that the branches, tags and operations reach must be
    there. What is damaged is named with the paths and commits that it hits; the exit code is 15 then.

    In the folder of a repository without a working copy, such as a hub's, that one is checked. With --remote a remote
    is: that its packs are there with all their bytes, and that nothing is missing of what its history reaches. File
    content is fetched and compared with --full only. --repair-from brings sound copies of what is damaged or missing
    from a remote; for a remote also from this repository. Without any copy, --drop-damaged lets HEAD stand on a commit
    that is whole again; files are left alone, so that they can be committed or stored ('dsvc add --repair') anew.
    """
    if remote is None and full:
        raise UsageError("--full goes with --remote", hint="dsvc fsck --remote NAME")
    if remote is None and repair_from == HERE:
        raise UsageError("this repository cannot be mended from itself", hint="name a remote")
    if repair_from is not None and drop:
        raise UsageError("--repair-from and --drop-damaged exclude each other")
    if remote is not None and (quick or drop):
        raise UsageError("--quick and --drop-damaged do not go with --remote", hint="dsvc fsck --remote NAME is quick")
    if remote is None:
        with repository_here(context) as repo:
            if repo is not None:
                from_afar = REPAIR.format(shlex.quote(str(context.directory)))
                if repair_from is not None:
                    raise RequestError("a repository without a working copy is mended from afar", hint=from_afar)
                return _local(context, repo, partial=False, quick=quick, drop=drop, json=json, repair=from_afar)
    workspace = _opened(context)
    if remote is not None:
        return _remote(context, workspace, remote, full=full, repair_from=repair_from, jobs=jobs, json=json)
    partial = workspace.content_filter() is not None
    if repair_from is not None:
        source = choose_remote(workspace, repair_from, directory=context.directory)
        done = repair_here(workspace, source, deep=not quick, partial=partial, jobs=jobs)
        return _show_mended(context, done, shown=None, json=json)
    return _local(context, workspace.repo, partial=partial, quick=quick, drop=drop, json=json, workspace=workspace)


def _opened(context: Context) -> Workspace:
    """Open the repository; where that fails, say what helps, for 'dsvc fsck' is what was called."""
    try:
        return context.workspace()
    except IntegrityError as error:
        if error.hint == "dsvc fsck":
            error.hint = (
                "put the file back from a backup, or remove the newest file of .dsvc/store/cells/head to go back to "
                "the state before it; then run: dsvc fsck"
            )
        raise


def _local(
    context: Context,
    repo: Repository,
    *,
    partial: bool,
    quick: bool,
    drop: bool,
    json: bool,
    workspace: Workspace | None = None,
    repair: str | None = None,
) -> int | None:
    """Check a repository on this disk; `repair` is said in place of what mends one with a working copy."""
    result = check(repo, deep=not quick, partial=partial, progress=context.progress)
    if repair is not None:
        damage = tuple(d._replace(hint=repair) if "--repair-from" in d.hint else d for d in result.damage)
        result = result._replace(damage=damage)
    if not json:
        _show_all(context, result)
    drop = drop and bool(result.damage)
    if drop and workspace is not None:
        require_refs(repo)
    dropped = drop_damaged(repo, result.damage) if drop else 0
    again = stand_again(workspace) if drop and workspace is not None else StandsAgain()
    if json:
        more = {"packs_rewritten": dropped, **_NOT_REMOTE, **_again_json(again)}
        context.out.json("dsvc.fsck", {**_json(result), **more})
    else:
        _show_again(context, again)
        if result.not_fetched:
            context.out.note(f"The content of {counted(result.not_fetched, 'file')} was not fetched (a partial clone)")
        if result.purged:
            count = len(result.purged)
            absent = "is absent on purpose: it was" if count == 1 else "are absent on purpose: they were"
            context.out.note(f"{counted(count, 'file')} {absent} purged")
    return IntegrityError.exit_code if result.damage else None


def _remote(
    context: Context,
    workspace: Workspace,
    name: str,
    *,
    full: bool,
    repair_from: str | None,
    jobs: int,
    json: bool,
) -> int | None:
    settings = choose_remote(workspace, name or None, directory=context.directory)
    done = check_remote(workspace, settings, full=full, repair_from=repair_from, jobs=jobs)
    return _show_mended(context, done, shown=settings.shown, json=json)


def _show_mended(context: Context, done: RemoteCheck, *, shown: str | None, json: bool) -> int | None:
    """Print what was mended on a remote (`shown`) or here, and what is still wrong."""
    mended = done.mended
    there = "there" if shown is not None else "here"
    if json:
        more = {
            "packs_rewritten": mended.objects.packs,
            "remote": shown,
            "damage_found": done.found,
            "objects_mended": mended.objects.objects,
            "operations_cut": mended.log.cut,
            "segments_mended": done.segments,
        }
        context.out.json("dsvc.fsck", {**_json(done.result), **more, **_again_json(StandsAgain())})
    else:
        _show_all(context, done.result)
        objects, packs = mended.objects.objects, mended.objects.packs
        if objects or packs or done.segments:
            context.out.line(
                f"{counted(objects, 'object')} put in place, {counted(packs, 'damaged pack')} removed"
                + (f", {counted(done.segments, 'index segment')} written anew" if done.segments else "")
            )
        if mended.log.back_to is not None:
            when = iso_text(mended.log.back_to.time, mended.log.back_to.zone)
            context.out.warn(
                f"the newest operation {there} was lost: its refs are those of {when}",
                hint="push again what came later" if shown is not None else "dsvc pull brings what others have",
            )
        if mended.log.cut:
            context.out.note(f"older operations {there} were cut off, because what they refer to is lost")
    return IntegrityError.exit_code if done.result.damage else None


def _show_again(context: Context, again: StandsAgain) -> None:
    if again.back_to is not None:
        when = iso_text(again.back_to.time, again.back_to.zone)
        context.out.warn(
            f"the newest operation here was lost: its refs are those of {when}; files are as they were",
            hint="dsvc status shows what to commit again",
        )
    if again.commit_id is not None and again.lost is not None:
        what = short_name(again.ref) if again.ref is not None and again.ref.startswith(HEADS) else "HEAD"
        context.out.warn(
            f"{what} stood at commit {again.lost.hex()[:_SHORT]}, which is lost, and is back at "
            f"{again.commit_id.hex()[:_SHORT]}; files are as they were",
            hint="dsvc status shows what to commit again",
        )


def _again_json(again: StandsAgain) -> dict[str, Any]:
    return {
        "lost_commit": again.lost.hex() if again.lost is not None else None,
        "stands_at": again.commit_id.hex() if again.commit_id is not None else None,
    }


def _show_all(context: Context, result: FsckResult) -> None:
    if result.damage:
        with context.paged():  # one lost pack may be thousands of files
            for damage, following in zip_longest(result.damage, result.damage[1:]):
                _show(context, damage, hint=following is None or following.hint != damage.hint)
    what = "checked" if result.deep else "checked quickly"
    context.out.note(
        f"{counted(result.packs, 'pack')}, {human_size(result.size)}, {counted(result.objects, 'object')}, "
        f"{counted(result.operations, 'operation')} {what}: "
        + (f"{len(result.damage)} damaged" if result.damage else "nothing is damaged")
    )


def _show(context: Context, damage: Damage, *, hint: bool) -> None:
    out = context.out
    out.line(out.paint(damage.message, "red"))
    if damage.kind == Kind.COMMIT:
        for hit in damage.hits:
            out.line(f"  in the history of {', '.join(hit.refs)}")
    for hit in damage.hits[:_SHOWN] if damage.kind != Kind.COMMIT else ():
        refs = f" ({', '.join(hit.refs)})" if hit.refs else ""
        out.line(f"  {quote_path(hit.path) or '.'} in commit {hit.commit.hex()[:_SHORT]}{refs}")
    if len(damage.hits) > _SHOWN:
        out.line(f"  and {len(damage.hits) - _SHOWN} more")
    if hint:
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
