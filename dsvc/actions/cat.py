"""Read files of commits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dsvc.actions.ls import NoSuchPathError
from dsvc.actions.revision import revision_context
from dsvc.errors import RequestError
from dsvc.history.revisions import RevisionContext, UnknownRevisionError, resolve, resolve_tree
from dsvc.objects import trees
from dsvc.objects.ids import FileId, Kind, ObjectId
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.repo.fetched import with_content
from dsvc.workspace import Workspace


class NoContentError(RequestError):
    """What a revision names is nothing that has content in this repository."""


class CatResult(NamedTuple):
    """A file: its id, its size in bytes, where it stands when it was named so, and its content in pieces."""

    file_id: FileId
    size: int
    path: bytes | None
    entry: Entry | None
    chunks: Iterator[bytes]


def cat(workspace: Workspace, name: str, *, path: bytes | None, context: RevisionContext | None = None) -> CatResult:
    """Return the content of `REV:PATH`, of a file's id, or of `path` in HEAD's commit (`name` seen from a folder).

    Raises:
        UnknownRevisionError: when there is no such file. NoContentError: when it is a folder or a submodule.
        IntegrityError: while it is read, when stored bytes are damaged.
    """
    context = context or revision_context(workspace)
    if ":" not in name and path is not None:
        entry = _in_head(context, path)
        if entry is not None:
            return _opened(workspace, name, path, entry)
        try:
            resolved = resolve(context, name)
        except UnknownRevisionError:
            raise NoSuchPathError(path, "HEAD") from None
    else:
        resolved = resolve(context, name)
    if resolved.entry is not None:
        return _opened(workspace, name, resolved.path, resolved.entry)
    if resolved.kind != Kind.CHUNK:
        what = resolved.kind.name.lower()
        hint = f"dsvc ls {name}" if what in {"tree", "commit"} else f"dsvc show {name}"
        raise NoContentError(f"{name} is a {what}, not a file", hint=hint)
    store = workspace.repo.store
    size = store.file_size(resolved.id)
    return CatResult(FileId(resolved.id), size, None, None, store.file_chunks(resolved.id))


def _in_head(context: RevisionContext, path: bytes) -> Entry | None:
    try:
        return trees.lookup(context.store, resolve_tree(context, "HEAD"), path)
    except UnknownRevisionError:
        return None


def _opened(workspace: Workspace, name: str, path: bytes | None, entry: Entry) -> CatResult:
    entry = with_content(workspace.repo, entry)
    if entry.kind not in CONTENT_KINDS:
        if entry.kind == EntryKind.TREE:
            raise NoContentError(f"{name} is a folder", hint=f"dsvc ls {name}")
        what = {EntryKind.GITLINK: "a submodule"}.get(EntryKind(entry.kind), "kept elsewhere")
        raise NoContentError(f"{name} is {what}: its content is not in this repository")
    return CatResult(FileId(ObjectId(entry.id)), entry.size, path, entry, workspace.repo.store.file_chunks(entry.id))
