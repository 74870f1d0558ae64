"""Let references be fetched whenever their content is read."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.actions.bring import OfflineError
from dsvc.actions.sources import fetch_references
from dsvc.objects.tree import Entry
from dsvc.workspace import Workspace


def fetch_when_read(workspace: Workspace, entries: Sequence[Entry], *, offline: bool) -> None:
    """Fetch the content of references: what a workspace's `fetched.fetch` is to do.

    Raises:
        OfflineError: with `offline`. What `fetch_references` raises.
    """
    if offline:
        count = "one reference" if len(entries) == 1 else f"{len(entries)} references"
        raise OfflineError(
            f"the content of {count} is not here, and this command is to stay offline",
            hint="leave --offline out, or fetch before: dsvc data get PATH",
        )
    fetch_references(workspace, entries)
