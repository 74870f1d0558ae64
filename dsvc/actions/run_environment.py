"""Which environment a run takes place in."""

from __future__ import annotations

from collections.abc import Mapping

from dsvc.objects.ids import EnvironmentId
from dsvc.workspace import Workspace


def lock_environment(
    workspace: Workspace, *, program: str, environment: Mapping[str, str]
) -> EnvironmentId | None:
    """Return the environment in which `program` would run with these variables, stored and not yet published.

    None where nothing is known of it.
    """
    del workspace, program, environment
    return None
