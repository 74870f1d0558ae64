"""List what a tree holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsvc.actions.revision import revision_context
from dsvc.errors import RequestError
from dsvc.history.revisions import RevisionContext, resolve_tree
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.workspace import Workspace


class Listed(NamedTuple):
    """A path in a tree and what stands there."""

    path: bytes
    entry: Entry


class LsResult(NamedTuple):
    """The tree that is listed, and what it holds: read as it is asked for."""

    tree_id: TreeId
    entries: Iterator[Listed]


class NoSuchPathError(RequestError):
    """A path that a revision does not have."""

    def __init__(self, path: bytes, revision: str) -> None:
        super().__init__(
            f"there is no {path.decode(errors='replace')} in {revision}",
            hint=f"dsvc ls {revision}",
            details={"path": path.decode(errors="replace"), "revision": revision},
        )


def ls(
    workspace: Workspace,
    revision: str = "HEAD",
    *,
    paths: Sequence[bytes] = (b"",),
    recursive: bool = False,
    context: RevisionContext | None = None,
) -> LsResult:
    """List the folders and files at `paths` of a revision: a folder's entries, with `recursive` all files below it.

    Recursive lists hold folders only where they are empty. Memory does not grow with the number of files.

    Raises:
        UnknownRevisionError, NoSuchPathError: before anything is listed.
    """
    tree_id = resolve_tree(context or revision_context(workspace), revision)
    store = workspace.repo.store
    found: list[Listed] = []
    for path in paths:
        entry = trees.lookup(store, tree_id, path)
        if entry is None:
            raise NoSuchPathError(path, revision)
        found.append(Listed(path, entry))
    return LsResult(tree_id, _listed(store, found, recursive=recursive))


def _listed(store: ObjectStore, roots: Sequence[Listed], *, recursive: bool) -> Iterator[Listed]:
    for path, entry in roots:
        if entry.kind != EntryKind.TREE:
            yield Listed(path, entry)
            continue
        prefix = path + b"/" if path else b""
        if not recursive:
            for name, below in trees.entries(store, entry.id):
                yield Listed(prefix + name, below)
            continue
        empty: Listed | None = None
        for below_path, below in trees.walk(store, entry.id, prefix):
            # A folder is empty when the next path does not lie in it.
            if empty is not None and not below_path.startswith(empty.path + b"/"):
                yield empty
            empty = Listed(below_path, below) if below.kind == EntryKind.TREE else None
            if empty is None:
                yield Listed(below_path, below)
        if empty is not None:
            yield empty
