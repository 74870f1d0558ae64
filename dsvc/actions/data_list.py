"""List content: what stands where, how large it is, and whether it is here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsvc.actions.data_get import entries_at
from dsvc.objects.reference import reference_of
from dsvc.objects.tree import Entry, EntryKind
from dsvc.workspace import Workspace


class Content(NamedTuple):
    """A file, a link or a reference, whether its content is stored here, and the address of a reference."""

    path: bytes
    entry: Entry
    here: bool
    address: str | None


def data_list(
    workspace: Workspace, paths: Sequence[bytes] = (), *, references: bool = False, absent: bool = False
) -> Iterator[Content]:
    """Yield what stands at or below `paths` (everything for none) in the tree that the next commit begins with.

    `references` and `absent` limit that to them. Of large files only the map is looked for. Memory does not grow with
    the number of entries.

    Raises:
        RequestError: for a path that is not there.
    """
    store = workspace.repo.store
    for path, entry in entries_at(workspace, workspace.index().tree, paths):
        is_reference = entry.kind == EntryKind.REFERENCE
        if references and not is_reference:
            continue
        if is_reference:
            here = store.elsewhere is not None and store.elsewhere.here(entry) is not None
        else:
            here = store.has_file(entry.id)
        if not (absent and here):
            yield Content(path, entry, here, reference_of(entry).address if is_reference else None)
