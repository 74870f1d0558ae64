"""Write the history of a workspace's repository as git's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dsvc.actions.git_import import MAP, threshold_of
from dsvc.errors import RequestError
from dsvc.gitbridge.exporting import ExportResult, export_git
from dsvc.refs.names import HEADS, TAGS
from dsvc.workspace import Workspace


def git_export(
    workspace: Workspace,
    destination: Path,
    *,
    names: Sequence[str] = (),
    lfs_threshold: int | None = None,
    force: bool = False,
) -> ExportResult:
    """Write branches and tags (`names`, short or full; none: all) to the git repository at `destination`.

    `lfs_threshold` in bytes stands before the setting git.lfsThreshold.

    Raises:
        RequestError: for a name that is no branch and no tag. What `export_git` raises.
    """
    view = workspace.view()
    refs: list[str] | None = None
    if names:
        refs = []
        for name in names:
            found = [full for full in (name, HEADS + name, TAGS + name) if view.get(full) is not None]
            found = [full for full in found if full.startswith((HEADS, TAGS))]
            if not found:
                raise RequestError(f"{name!r} is no branch and no tag", hint="dsvc branch --list, dsvc tag --list")
            refs.append(found[0])
    return export_git(
        workspace.repo,
        destination,
        refs=refs,
        map_path=workspace.cache / MAP,
        lfs_threshold=threshold_of(workspace) if lfs_threshold is None else lfs_threshold,
        force=force,
        head=workspace.head().branch or f"{HEADS}main",
        progress=workspace.progress,
    )
