"""The `dsvc bisect` commands."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Annotated

import typer

from dsvc.actions.bisect import (
    BisectResult,
    Mark,
    bisect_mark,
    bisect_reset,
    bisect_run,
    bisect_start,
    require_bisection,
)
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.options import Json, Quiet
from dsvc.errors import AnswerNoError, RequestError
from dsvc.objects.ids import CommitId

SHORT = 10
Revisions = Annotated[Sequence[str], typer.Argument(metavar="[REV]...", help="Commits; HEAD if none is given.")]


def start(
    context: Context,
    bad: Annotated[str | None, typer.Argument(metavar="[BAD]", help="A commit that has the change.")] = None,
    good: Annotated[Sequence[str], typer.Argument(metavar="[GOOD]...", help="Commits that do not have it.")] = (),
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Begin to look for the first bad commit between a bad and a good one."""
    return _show(context, bisect_start(context.workspace(), bad=bad, good=good), json=json)


def good(context: Context, revisions: Revisions = (), *, quiet: Quiet = False, json: Json = False) -> int | None:
    """Say that commits do not have the change."""
    return _mark(context, "good", revisions, json=json)


def bad(context: Context, revisions: Revisions = (), *, quiet: Quiet = False, json: Json = False) -> int | None:
    """Say that a commit has the change."""
    return _mark(context, "bad", revisions, json=json)


def skip(context: Context, revisions: Revisions = (), *, quiet: Quiet = False, json: Json = False) -> int | None:
    """Say that commits cannot be tested."""
    return _mark(context, "skip", revisions, json=json)


def reset(context: Context, *, quiet: Quiet = False, json: Json = False) -> int | None:
    """End the search and go back to where it began."""
    return _show(context, bisect_reset(context.workspace()), json=json)


def log(context: Context, *, json: Json = False) -> None:
    """Show what was said so far."""
    steps = require_bisection(context.workspace()).steps
    if json:
        context.out.json("dsvc.bisect.log", {"steps": list(steps)})
        return
    for step in steps:
        context.out.line(step)


def run(
    context: Context,
    program: Annotated[Sequence[str], typer.Argument(metavar="PROGRAM...", help="The program, and its arguments.")],
    *,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Let a program test each commit: code 0 means good, 1 to 127 bad, 125 that it cannot be tested."""
    workspace = context.workspace()

    def test(commit_id: CommitId) -> int:
        context.out.flush()
        try:
            return subprocess.run(
                list(program), cwd=workspace.root, env=dict(context.environment), stdout=2, check=False
            ).returncode
        except OSError as error:
            raise RequestError(f"{program[0]} cannot be run: {error.strerror}") from error

    def tell(result: BisectResult) -> None:
        if not json:
            _note_step(context, result)

    return _show(context, bisect_run(workspace, test, tell=tell), json=json)


def _mark(context: Context, mark: Mark, revisions: Sequence[str], *, json: bool) -> int | None:
    return _show(context, bisect_mark(context.workspace(), mark, revisions), json=json)


def _show(context: Context, result: BisectResult, *, json: bool) -> int | None:
    code = AnswerNoError.exit_code if result.kind == "undecided" else None
    commit = result.commit_id.hex() if result.commit_id is not None else None
    if json:
        candidates = [c.hex() for c in result.candidates]
        payload = {"state": result.kind, "commit": commit, "left": result.left, "candidates": candidates}
        context.out.json("dsvc.bisect", payload)
        return code
    match result.kind:
        case "waiting":
            context.out.note(_awaited(context))
        case "testing":
            _note_step(context, result)
        case "found":
            context.out.line(f"{commit} is the first bad commit")
            context.out.note(f"    {_subject(context, result)}\n'dsvc bisect reset' goes back to where you were")
        case "undecided":
            context.out.note("Only commits that were skipped are left; the first bad one is any of:")
            for candidate in result.candidates:
                context.out.line(candidate.hex())
        case "ended":
            context.out.note("The search has ended")
    return code


def _awaited(context: Context) -> str:
    known = require_bisection(context.workspace())
    if known.bad is not None:
        return "Waiting for a good commit: dsvc bisect good REV"
    if known.good:
        return "Waiting for a bad commit: dsvc bisect bad REV"
    return "Waiting for a bad and a good commit: dsvc bisect bad REV, dsvc bisect good REV"


def _note_step(context: Context, result: BisectResult) -> None:
    short = result.commit_id.hex()[:SHORT] if result.commit_id is not None else ""
    steps = max((result.left - 1).bit_length(), 1)
    about = f"{counted(result.left, 'commit')} left, about {counted(steps, 'step')}"
    context.out.note(f"Testing {short} {_subject(context, result)} ({about})")


def _subject(context: Context, result: BisectResult) -> str:
    if result.commit_id is None:
        return ""
    return context.workspace().repo.commit(result.commit_id).message.partition("\n")[0]


SUBCOMMANDS = {
    "start": start,
    "good": good,
    "bad": bad,
    "skip": skip,
    "reset": reset,
    "run": run,
    "log": log,
}
PASS_ON = ("run",)
