"""The environment for a repetition: the present one where it has the same packages, else one that is made again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsvc.actions.env_lock import lock_for_program
from dsvc.actions.env_restore import restore_environment
from dsvc.environments import Difference, Environment, decode_environment, differences, lock
from dsvc.environments.interpreter import InterpreterError
from dsvc.environments.restoring import RestoreError
from dsvc.errors import DsvcError
from dsvc.objects.ids import Kind
from dsvc.runs.container import META
from dsvc.runs.record import Run
from dsvc.workspace import Workspace

Where = Literal["auto", "present", "restore"]


@dataclass(frozen=True, slots=True)
class EnvironmentUsed:
    """The variables that the command gets, what the environment is, and how it differs from what was recorded.

    `python` is the interpreter of a virtual environment that was made for it.
    """

    variables: Mapping[str, str]
    how: Literal["present", "restored", "image", "unknown"]
    differences: tuple[Difference, ...] = ()
    python: Path | None = None


def find_environment_for(
    workspace: Workspace,
    run: Run,
    variables: Mapping[str, str],
    *,
    where: Where,
    installer: Literal["pip", "uv"],
    tell: Callable[[str], None],
) -> EnvironmentUsed:
    """Return the environment for a repetition of a run.

    With `auto` the present one is taken where its interpreter and packages are those of the run, otherwise a virtual
    environment is made with them, which is kept in the cache for the next time. `present` takes it in any case.

    Raises:
        RestoreError, InterpreterError: when it has to be made and cannot be.
    """
    if META in run.metadata:
        return EnvironmentUsed(variables, "image")
    if run.environment is None:
        return EnvironmentUsed(variables, "unknown")
    try:
        recorded = decode_environment(workspace.repo.store.get(run.environment, Kind.ENVIRONMENT))
    except DsvcError:
        return EnvironmentUsed(variables, "unknown")
    if where != "restore":
        differ = _present(workspace, run, recorded, variables)
        # An editable package is only to be had in the state that it is in: a new environment would not change that.
        if differ is not None and (where == "present" or all(_is_editable(one) for one in differ)):
            return EnvironmentUsed(variables, "present", differ)
        if where == "present":
            return EnvironmentUsed(variables, "present")
    return _restored(workspace, run, recorded, variables, installer=installer, tell=tell)


def _present(
    workspace: Workspace, run: Run, recorded: Environment, variables: Mapping[str, str]
) -> tuple[Difference, ...] | None:
    program = os.fsdecode(run.command[0]) if isinstance(run.command[0], bytes) else run.command[0]
    if "/" in program:
        program = os.path.normpath(os.path.join(workspace.root, os.fsdecode(run.directory), program))
    try:
        present = lock_for_program(workspace, program=program, variables=variables).environment
    except InterpreterError:
        return None
    finally:
        workspace.repo.store.abandon()
    return _packages(recorded, present)


def _is_editable(one: Difference) -> bool:
    return (one.old or "").startswith("editable") and (one.new or "").startswith("editable")


def _packages(recorded: Environment, present: Environment) -> tuple[Difference, ...]:
    return tuple(one for one in differences(recorded, present) if one.level == "packages")


def _restored(
    workspace: Workspace,
    run: Run,
    recorded: Environment,
    variables: Mapping[str, str],
    *,
    installer: Literal["pip", "uv"],
    tell: Callable[[str], None],
) -> EnvironmentUsed:
    assert run.environment is not None
    folder = workspace.cache / "environments" / run.environment.hex()[:20]
    python = folder / "bin" / "python"
    inside = {name: value for name, value in variables.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME")}
    inside |= {
        "VIRTUAL_ENV": os.fspath(folder),
        "PATH": f"{folder / 'bin'}{os.pathsep}{variables.get('PATH', os.defpath)}",
    }
    if python.exists():
        with_it = lock(
            workspace.repo.store,
            interpreter=python,
            cache=workspace.cache,
            variables=variables,
            names=workspace.config.get_list("env.variables"),
            root=workspace.root,
        )
        workspace.repo.store.abandon()
        differ = _packages(recorded, with_it.environment)
        if all(_is_editable(one) for one in differ):
            return EnvironmentUsed(inside, "restored", differ, python)
        shutil.rmtree(folder)
    tell(f"making the environment {run.environment.hex()[:10]} again in {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = restore_environment(workspace, run.environment.hex(), folder, installer=installer, tell=tell)
    workspace.repo.store.abandon()
    if made.failed:
        shutil.rmtree(folder, ignore_errors=True)
        first = made.failed[0]
        raise RestoreError(
            f"the environment of the run cannot be made again: {first.name}: {first.reason}",
            hint="--environment present repeats it with what is installed now",
        )
    return EnvironmentUsed(inside, "restored", made.differences, python)
