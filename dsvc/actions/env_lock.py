"""Store the present environment, of the project or of a program, without publishing anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dsvc.environments import Locked, find_interpreter, interpreter_of, lock
from dsvc.workspace import Workspace


def lock_now(workspace: Workspace, *, python: str | None = None, directory: Path | None = None) -> Locked:
    """Store the environment of the project's interpreter (see `find_interpreter`) without publishing anything.

    Raises:
        InterpreterError: where there is none, or it does not start.
    """
    variables = workspace.surroundings.environment
    return lock(
        workspace.repo.store,
        interpreter=find_interpreter(variables, workspace.root, python=python, directory=directory),
        cache=workspace.cache,
        variables=variables,
        names=workspace.config.get_list("env.variables"),
        root=workspace.root,
    )


def lock_for_program(workspace: Workspace, *, program: str, variables: Mapping[str, str]) -> Locked:
    """Store the environment in which a program would run with these variables, without publishing anything.

    That of the interpreter which the program is or which runs it, else of the project's. Some milliseconds when nothing
    was installed since the last time.

    Raises:
        InterpreterError: where there is no interpreter, or it does not start.
    """
    return lock(
        workspace.repo.store,
        interpreter=interpreter_of(program, variables, workspace.root),
        cache=workspace.cache,
        variables=variables,
        names=workspace.config.get_list("env.variables"),
        root=workspace.root,
    )
