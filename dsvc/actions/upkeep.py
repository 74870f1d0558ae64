"""What a command does for the store behind its own work: bounded, silent, and safe to leave out."""

from __future__ import annotations

from contextlib import suppress

from dsvc.errors import DsvcError
from dsvc.workspace import Workspace


def upkeep(workspace: Workspace) -> None:
    """Keep the number of packs small and the commit graph near the branches.

    Whatever fails here is left for `gc`: the work before it is done.
    """
    from dsvc.actions.commit_graph import extend_graph
    from dsvc.repo.maintenance import tidy

    with suppress(DsvcError, OSError):
        workspace.repo.head = tidy(workspace.repo.store, workspace.repo.head)
        extend_graph(workspace)
