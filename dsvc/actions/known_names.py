"""Names of branches and tags, as a shell offers them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dsvc.refs.names import short_name
from dsvc.repo.repository import Repository
from dsvc.storage.local import LocalBackend
from dsvc.worktree.places import common_folder, find_private, store_folder


def known_names(folder: Path, prefixes: Sequence[str]) -> list[str]:
    """Return the short names of the refs with these prefixes in the repository around a folder, if there is one.

    Nothing is written, and what a killed command left behind stays as it is.
    """
    private = find_private(folder)
    if private is None:
        return []
    backend = LocalBackend(store_folder(common_folder(private)))
    repo = Repository.open(backend, backend.staging)
    try:
        view = repo.view()
        return [short_name(name) for prefix in prefixes for name, _ in view.items(prefix)]
    finally:
        repo.close()
