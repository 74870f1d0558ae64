"""Write the files of a model's version into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dsvc.actions.export import write_folder
from dsvc.actions.model import FoundVersion, find_model
from dsvc.objects import trees
from dsvc.objects.ids import ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind
from dsvc.workspace import Workspace


def model_get(
    workspace: Workspace, text: str, destination: Path, *, force: bool = False
) -> tuple[FoundVersion, int, int]:
    """Write the files of a version into a folder; return the version, the number of files and their bytes.

    The folder is new or empty, unless `force` is set: files of the same names are replaced then.

    A model that is one file gets its name there, one that is a folder has what is in it directly in the destination.

    Raises:
        UnknownModelError. What `export` raises for a folder.
    """
    found = find_model(workspace, text)
    files, size = write_folder(workspace, model_files(workspace, found), destination, force=force)
    return found, files, size


def model_files(workspace: Workspace, found: FoundVersion) -> Iterator[tuple[bytes, Entry]]:
    """Yield the files of a version: path in it, entry."""
    version = found.version
    if version.entry.kind != EntryKind.TREE:
        yield version.path.rpartition(b"/")[2], version.entry
        return
    yield from trees.walk(workspace.repo.store, TreeId(ObjectId(version.entry.id)))
