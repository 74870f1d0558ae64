"""The `dsvc env` commands."""

from __future__ import annotations

from typing import Annotated

import typer

from dsvc.actions.env import check_environment, diff_environments, find_environment, lock_environment_here
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.env_text import difference_json, difference_lines, environment_json, summary
from dsvc.commands.env_text import show as show_environment
from dsvc.commands.options import Json, Quiet
from dsvc.commands.ref_text import SHORT

Python = Annotated[
    str | None,
    typer.Option("--python", metavar="PYTHON", help="Another interpreter or virtual environment than the project's."),
]
Named = Annotated[
    str | None, typer.Argument(metavar="[REV|ID]", help="A commit, a run or an environment (what was last locked).")
]


def lock(
    context: Context,
    *,
    python: Python = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Record the interpreter, its packages, the system and the machine.

    It is the project's interpreter: that of the active virtual environment, of .venv, of conda, or the first on PATH.
    From then on commits in this worktree name their environment (commit.environment).
    """
    locked = lock_environment_here(context.workspace(), python=python, directory=context.directory)
    for note in locked.environment.notes:
        context.out.warn(note)
    if json:
        context.out.json(
            "dsvc.env.lock",
            {
                "environment": locked.environment_id.hex(),
                "interpreter": str(locked.interpreter),
                "distributions": len(locked.environment.distributions),
                "cached": locked.cached,
                "notes": list(locked.environment.notes),
            },
        )
        return
    context.out.note(f"Locked {locked.interpreter}: {summary(locked.environment)}")
    context.out.line(locked.environment_id.hex() if quiet else f"environment {locked.environment_id.hex()[:SHORT]}")


def show(context: Context, name: Named = None, *, json: Json = False) -> None:
    """Show an environment that was recorded."""
    found = find_environment(context.workspace(), name)
    if json:
        fields = environment_json(found.environment)
        context.out.json("dsvc.env.show", {"environment": found.environment_id.hex(), "name": found.name, **fields})
        return
    with context.paged():
        context.out.line(f"{context.out.paint(f'environment {found.environment_id.hex()}', 'yellow')} ({found.name})")
        show_environment(context.out, found.environment)


def diff(
    context: Context,
    old: Annotated[str, typer.Argument(metavar="REV|ID", help="A commit, a run or an environment's id.")],
    new: Annotated[str | None, typer.Argument(metavar="[REV|ID]", help="Another one (the present one).")] = None,
    *,
    json: Json = False,
) -> None:
    """Show how one environment differs from another."""
    first, second, found = diff_environments(context.workspace(), old, new)
    if json:
        context.out.json(
            "dsvc.env.diff",
            {
                "old": first.environment_id.hex(),
                "new": second.environment_id.hex(),
                "differences": [difference_json(one) for one in found],
            },
        )
        return
    with context.paged():
        for level in ("packages", "system", "machine"):
            lines = list(difference_lines(context.out, (one for one in found if one.level == level)))
            if lines:
                context.out.line(context.out.paint(_TITLES[level], "bold"))
                for line in lines:
                    context.out.line(f"  {line}")
    if not found:
        context.out.note("They are the same")


_TITLES = {"packages": "Python", "system": "System", "machine": "Machine"}


def check(
    context: Context,
    name: Named = None,
    *,
    python: Python = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let the libraries of the system count too.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Say whether this machine has the environment that was recorded; 1 if not.

    The interpreter, its packages with their files, and recorded variables count; with --strict the libraries of the
    system too. A difference of hardware or kernel is shown and never counts.
    """
    result = check_environment(
        context.workspace(), name, python=python, strict=strict, directory=context.directory
    )
    code = 1 if result.counted else None
    if json:
        context.out.json(
            "dsvc.env.check",
            {
                "recorded": result.recorded.environment_id.hex(),
                "present": result.present.environment_id.hex(),
                "interpreter": str(result.present.interpreter),
                "matches": code is None,
                "differences": [difference_json(one) for one in result.counted],
                "not_counted": [difference_json(one) for one in result.others],
            },
        )
        return code
    for line in difference_lines(context.out, result.counted):
        context.out.line(line)
    if result.others and not quiet:
        context.out.line(context.out.paint("Not counted:", "bold"))
        for line in difference_lines(context.out, result.others):
            context.out.line(f"  {line}")
    recorded = f"{result.recorded.environment_id.hex()[:SHORT]} ({result.recorded.name})"
    if code is None:
        context.out.note(f"{result.present.interpreter} matches environment {recorded}")
    else:
        context.out.note(f"{counted(len(result.counted), 'difference')} from environment {recorded}")
    return code


SUBCOMMANDS = {"lock": lock, "show": show, "diff": diff, "check": check}
