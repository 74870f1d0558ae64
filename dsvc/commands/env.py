"""The `dsvc env` commands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from dsvc.actions.env import check_environment, diff_environments, find_environment, lock_environment_here
from dsvc.actions.env_export import PYLOCK, Format, check_pylock, export_environment, write_output, write_pylock
from dsvc.actions.env_restore import restore_environment
from dsvc.commands.context import Context
from dsvc.commands.count_text import counted
from dsvc.commands.env_text import difference_json, difference_lines, environment_json, plain, summary
from dsvc.commands.env_text import show as show_environment
from dsvc.commands.options import Json, Quiet
from dsvc.commands.ref_text import SHORT
from dsvc.environments import Distribution
from dsvc.environments.restoring import Sources
from dsvc.errors import UsageError

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
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Where the lock file goes (pylock.toml).")
    ] = None,
    no_pylock: Annotated[bool, typer.Option("--no-pylock", help="Write no lock file.")] = False,
    no_index: Annotated[bool, typer.Option("--no-index", help="Ask no index for the archives of packages.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Record the interpreter, its packages, the system and the machine; write pylock.toml for installers.

    It is the project's interpreter: that of the active virtual environment, of .venv, of conda, or the first on PATH.
    From then on commits in this worktree name their environment (commit.environment). A lock file names the archives
    that packages come from: uv is asked for them where it is installed, else pip, as you have set them up.
    """
    workspace = context.workspace()
    path = context.directory / output if output is not None else workspace.root / PYLOCK
    if not no_pylock:
        check_pylock(path)
    locked = lock_environment_here(workspace, python=python, directory=context.directory)
    for note in locked.environment.notes:
        context.out.warn(plain(note))
    written = None if no_pylock else write_pylock(workspace, locked, path, offline=no_index or context.offline)
    if json:
        context.out.json(
            "dsvc.env.lock",
            {
                "environment": locked.environment_id.hex(),
                "interpreter": str(locked.interpreter),
                "distributions": len(locked.environment.distributions),
                "cached": locked.cached,
                "notes": list(locked.environment.notes),
                "pylock": None if written is None else str(written.path),
                "unlocked": [] if written is None else [f"{one.name}=={one.version}" for one in written.unlocked],
            },
        )
        return
    context.out.note(f"Locked {locked.interpreter}: {summary(locked.environment)}")
    if written is not None:
        context.out.note(f"Wrote {written.path}")
        _tell_left_out(context, written.unlocked)
    context.out.line(locked.environment_id.hex() if quiet else f"environment {locked.environment_id.hex()[:SHORT]}")


def _tell_left_out(context: Context, left_out: Sequence[Distribution], form: Format = "pylock") -> None:
    if left_out:
        names = plain(", ".join(f"{one.name} {one.version}" for one in left_out[:5]))
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        if form == "dockerfile":
            text = f"{names}{more} came from a folder of a machine, so the image will not have that"
            context.out.warn(text, hint="bring it into the project, or install it from a repository or an index")
        else:
            file = "requirements leave" if form == "requirements" else "lock file leaves"
            context.out.warn(f"no archive is known of {names}{more}, so the {file} that out")


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


def restore(
    context: Context,
    name: Annotated[str, typer.Argument(metavar="REV|ID", help="A commit, a run or an environment's id.")],
    folder: Annotated[str, typer.Argument(metavar="[DIR]", help="Where the virtual environment goes.")] = ".venv",
    *,
    python: Annotated[
        str | None, typer.Option("--python", metavar="PYTHON", help="The interpreter to make it with.")
    ] = None,
    find_links: Annotated[
        Sequence[str], typer.Option("-f", "--find-links", metavar="DIR", help="Look for wheels in this folder too.")
    ] = (),
    no_index: Annotated[bool, typer.Option("--no-index", help="Look for wheels in those folders alone.")] = False,
    installer: Annotated[Literal["pip", "uv"], typer.Option("--installer", help="What installs.")] = "pip",
    quiet: Quiet = False,
    json: Json = False,
) -> int | None:
    """Make a virtual environment with exactly the versions that were recorded; 1 if something differs.

    It is made by Python's venv and pip (or uv), with the settings that they have here, and compared file by file with
    what was recorded. Packages of conda and of the system are not installed.
    """
    result = restore_environment(
        context.workspace(),
        name,
        Path(os.path.abspath(context.directory / folder)),
        python=python,
        sources=Sources(tuple(str(context.directory / one) for one in find_links), no_index or context.offline),
        installer=installer,
        directory=context.directory,
        tell=context.out.note,
    )
    code = 1 if result.failed or result.differences else None
    if json:
        context.out.json(
            "dsvc.env.restore",
            {
                "environment": result.found.environment_id.hex(),
                "path": str(result.folder),
                "interpreter": str(result.made.interpreter),
                "matches": code is None,
                "failed": [{"name": one.name, "reason": one.reason} for one in result.failed],
                "differences": [difference_json(one) for one in result.differences],
                "unseen": list(result.unseen),
            },
        )
        return code
    for one in result.failed:
        context.out.warn(plain(f"{one.name} was not installed: {one.reason}"))
    conda = len(result.found.environment.conda)
    if conda:
        left = f"{counted(conda, 'conda package')} not installed: a virtual environment holds none"
        context.out.warn(left, hint=f"dsvc env export {name} --dockerfile is for an image with them")
    for line in difference_lines(context.out, result.differences):
        context.out.line(line)
    recorded = result.found.environment_id.hex()[:SHORT]
    for unseen in result.unseen:
        context.out.note(f"{plain(unseen)} has its version; its files were not known, so they are not compared")
    if code is None:
        context.out.note(f"{result.folder} matches environment {recorded}")
    else:
        context.out.note(f"{result.folder} differs from environment {recorded}")
    return code


def export(
    context: Context,
    name: Named = None,
    *,
    dockerfile: Annotated[bool, typer.Option("--dockerfile", help="A Dockerfile for an image with it.")] = False,
    pylock: Annotated[bool, typer.Option("--pylock", help="A lock file (pylock.toml).")] = False,
    requirements: Annotated[bool, typer.Option("--requirements", help="A requirements file for pip.")] = False,
    sbom: Annotated[bool, typer.Option("--sbom", help="A bill of materials (CycloneDX JSON).")] = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write it to a file.")] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="IMAGE", help="With --dockerfile: the image to begin with.")
    ] = None,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="With --requirements: digests, for pip's --require-hashes.")
    ] = False,
    no_index: Annotated[
        bool, typer.Option("--no-index", help="With --pylock or --hashes: ask no index for the archives.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Print an environment for other tools."""
    chosen = {"dockerfile": dockerfile, "pylock": pylock, "requirements": requirements, "sbom": sbom}
    forms: list[Format] = [form for form in _FORMS if chosen[form]]
    if len(forms) != 1:
        raise UsageError(
            "'dsvc env export' takes one of --dockerfile, --pylock, --requirements and --sbom",
            hint="dsvc env export --requirements",
        )
    if hashes and not requirements:
        raise UsageError("--hashes goes with --requirements; the others have digests anyway", hint="leave it out")
    result = export_environment(
        context.workspace(), name, forms[0], base=base, offline=no_index or context.offline, hashes=hashes
    )
    if output is not None:
        write_output(context.directory / output, result.text)
    if json:
        context.out.json(
            "dsvc.env.export",
            {
                "environment": result.found.environment_id.hex(),
                "format": forms[0],
                "output": output,
                "text": result.text,
                "left_out": [f"{one.name}=={one.version}" for one in result.left_out],
            },
        )
        return
    if output is None:
        context.out.text(result.text)
    else:
        context.out.note(f"Wrote {output}")
    _tell_left_out(context, result.left_out, forms[0])


_FORMS: Final[tuple[Format, ...]] = ("dockerfile", "pylock", "requirements", "sbom")

SUBCOMMANDS = {"lock": lock, "show": show, "diff": diff, "check": check, "restore": restore, "export": export}
