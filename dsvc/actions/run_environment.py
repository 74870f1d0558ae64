"""Which environment a run takes place in."""

from __future__ import annotations

from collections.abc import Mapping

from dsvc.actions.env_lock import lock_for_program
from dsvc.errors import DsvcError
from dsvc.objects.ids import EnvironmentId
from dsvc.workspace import Workspace


def lock_environment(
    workspace: Workspace, *, program: str, environment: Mapping[str, str]
) -> EnvironmentId | None:
    """Return the environment in which `program` would run with these variables, stored and not yet published.

    It is that of the Python interpreter which the program is, or which its first line names; for other programs, that
    of the project. None where there is none, where it does not answer, or where `run.environment` is `never`.
    """
    if workspace.config.get_str("run.environment") == "never":
        return None
    try:
        return lock_for_program(workspace, program=program, variables=environment).environment_id
    except (DsvcError, OSError):  # a run is worth recording without it
        return None
