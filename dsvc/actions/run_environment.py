"""Which environment a run takes place in."""

from __future__ import annotations

from collections.abc import Mapping

from dsvc.actions.env import lock_for_program
from dsvc.environments import InterpreterError
from dsvc.objects.ids import EnvironmentId
from dsvc.workspace import Workspace


def lock_environment(
    workspace: Workspace, *, program: str, environment: Mapping[str, str]
) -> EnvironmentId | None:
    """Return the environment in which `program` would run with these variables, stored and not yet published.

    None where there is no interpreter, or it does not start: a run is recorded all the same.
    """
    try:
        return lock_for_program(workspace, program=program, variables=environment).environment_id
    except InterpreterError:
        return None
