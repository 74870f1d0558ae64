"""Let references be fetched whenever their content is read."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.objects.tree import Entry
from dsvc.repo.fetched import Fetched
from dsvc.workspace import Workspace


def attach_sources(workspace: Workspace, *, offline: bool = False, jobs: int = 8) -> None:
    """Let references be fetched whenever their content is read.

    With `offline` reading content that is not here raises OfflineError instead.
    """
    elsewhere = workspace.repo.store.elsewhere
    assert isinstance(elsewhere, Fetched), "every workspace has one"

    def fetch(entries: Sequence[Entry]) -> None:
        if offline:
            from dsvc.actions.bring import OfflineError

            count = "one reference" if len(entries) == 1 else f"{len(entries)} references"
            raise OfflineError(
                f"the content of {count} is not here, and this command is to stay offline",
                hint="leave --offline out, or fetch before: dsvc data get PATH",
            )
        from dsvc.actions.sources import fetch_references

        fetch_references(workspace, entries, jobs=jobs)

    elsewhere.fetch = fetch
