"""The `dsvc resolve` command."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.resolve import ResolveResult, RunTool, Side, ToolFiles, list_conflicts, resolve
from dsvc.commands.conflict_text import conflict_json, show_conflicts
from dsvc.commands.context import Context
from dsvc.commands.options import Json, Quiet
from dsvc.commands.path_text import quote_path
from dsvc.errors import RequestError, UsageError
from dsvc.workspace import Workspace


def command(
    context: Context,
    paths: Annotated[Sequence[str], typer.Argument(metavar="[PATHS]...", help="Files and folders to settle.")] = (),
    *,
    ours: Annotated[bool, typer.Option("--ours", help="Take our side of these files.")] = False,
    theirs: Annotated[bool, typer.Option("--theirs", help="Take their side of these files.")] = False,
    base: Annotated[bool, typer.Option("--base", help="Take what was before both sides.")] = False,
    tool: Annotated[bool, typer.Option("--tool", help="Open each file in the program that merge.tool names.")] = False,
    everything: Annotated[bool, typer.Option("-a", "--all", help="All paths in conflict.")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Also with conflict markers in the file.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Settle conflicts: as the files stand now, or for one side. Without arguments, list them.

    A side's copy that was put beside a file goes when the conflict is settled, unless it was changed. What is
    overwritten is stored: 'dsvc undo' brings it back.
    """
    if sum((ours, theirs, base, tool)) > 1:
        raise UsageError("--ours, --theirs, --base and --tool exclude each other")
    if everything and paths:
        raise UsageError("--all takes no paths")
    workspace = context.workspace()
    selected = [workspace.repo_path(p, context.directory) for p in paths]
    if not paths and not everything:
        if ours or theirs or base or (tool and not list_conflicts(workspace).left):
            raise UsageError("which paths?", hint="dsvc resolve --all takes every path in conflict")
        if not tool:
            _list(context, workspace, json=json)
            return
    if everything or not paths:
        selected = [b""]
    side: Side | None = "ours" if ours else "theirs" if theirs else "base" if base else None
    result = resolve(workspace, selected, side=side, run_tool=_tool(context) if tool else None, force=force)
    _show(context, result, json=json)


def _list(context: Context, workspace: Workspace, *, json: bool) -> None:
    result = list_conflicts(workspace)
    if json:
        context.out.json("dsvc.resolve", _payload(result))
        return
    show_conflicts(context, result.left)
    if not result.left:
        context.out.note("Nothing is in conflict")


def _show(context: Context, result: ResolveResult, *, json: bool) -> None:
    if json:
        context.out.json("dsvc.resolve", _payload(result))
        return
    for conflict in result.settled:
        context.out.note(f"Settled {quote_path(conflict.path)}")
    if result.left:
        context.out.note(f"{len(result.left)} left; 'dsvc resolve' lists them")
    elif result.verb is not None:
        context.out.note(f"All conflicts are settled; 'dsvc {result.verb} --continue' goes on")


def _payload(result: ResolveResult) -> dict[str, object]:
    return {
        "settled": [conflict_json(c) for c in result.settled],
        "left": [conflict_json(c) for c in result.left],
        "under_way": result.verb,
    }


def _tool(context: Context) -> RunTool:
    program = context.config().get_str("merge.tool")
    if not program:
        raise RequestError(
            "no merge tool is configured", hint="""dsvc config merge.tool 'meld "$LOCAL" "$MERGED" "$REMOTE"'"""
        )

    def run(files: ToolFiles) -> int:
        names = {"BASE": files.base, "LOCAL": files.ours, "REMOTE": files.theirs, "MERGED": files.merged}
        environment = {**context.environment, **{name: str(path) for name, path in names.items()}}
        context.out.flush()
        return subprocess.run(["/bin/sh", "-c", program], env=environment, check=False).returncode

    return run
