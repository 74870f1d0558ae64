"""Which commit last changed each line of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dsvc.actions.filediff import TEXT_LIMIT, Sides
from dsvc.actions.ls import NoSuchPathError
from dsvc.actions.revision import revision_context
from dsvc.contents.blame import LineOrigins
from dsvc.contents.kinds import is_binary
from dsvc.contents.likeness import similar_files
from dsvc.errors import RequestError
from dsvc.history.ancestry import Ancestry
from dsvc.history.renames import detect
from dsvc.history.revisions import RevisionContext, UnknownRevisionError, resolve_commit
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind
from dsvc.objects.values import Commit
from dsvc.repo.repository import Repository
from dsvc.repo.tombstones import tombstone_of
from dsvc.workspace import Workspace

_HERE = -1  # the node of the working copy

Suspect = tuple[int, bytes]  # a commit's node and the file's path in it


class NoTextError(RequestError):
    """A file that has no lines to blame: binary, a folder, a link."""


@dataclass(frozen=True, slots=True)
class BlamedLine:
    """A line: its number, its text without the line end, and the commit, path and number that it comes from.

    `commit_id` is None for a line that is not committed; `boundary` marks lines of a commit without parents.
    """

    number: int
    text: bytes
    commit_id: CommitId | None
    commit: Commit | None
    path: bytes
    origin: int
    boundary: bool = False


def blame(
    workspace: Workspace, path: bytes, *, revision: str | None = None, context: RevisionContext | None = None
) -> list[BlamedLine]:
    """Return where each line of a file comes from: of the working copy, or of a revision.

    Lines are followed through renames of the whole file.

    Raises:
        NoSuchPathError, NoTextError: when the file is not there, or is none with lines.
        UnknownRevisionError: for a revision that does not exist.
    """
    context = context or revision_context(workspace)
    ancestry = context.ancestry()
    store = workspace.repo.store
    try:
        start = ancestry.node(resolve_commit(context, revision or "HEAD"))
    except UnknownRevisionError:
        if revision is not None or workspace.head().commit_id is not None:
            raise
        start = None
    entry = trees.lookup(store, ancestry.tree(start), path) if start is not None else None
    shown = path.decode(errors="replace")
    if entry is not None and entry.kind == EntryKind.TREE:
        raise NoTextError(f"{shown} is a folder", hint=f"dsvc log -- {shown}")
    if revision is None:
        index = workspace.index()
        text = _working_text(workspace, path)
        if text is None and index.is_absent(path):  # it is as the store has it
            text = _stored_text(store, trees.lookup(store, index.tree, path), shown)
        elif entry is None and index.get(path) is None:
            text = None
        if text is None:
            raise NoSuchPathError(path, "HEAD")
        search: LineOrigins[Suspect] = LineOrigins((_HERE, path), text)
        content = _text_or_none(workspace.repo, entry)
        parents = [((start, path), content)] if start is not None and content is not None else []
        search.pass_to_parents((_HERE, path), parents)
    else:
        text = _stored_text(store, entry, shown)
        if text is None or start is None:
            raise NoSuchPathError(path, revision)
        search = LineOrigins((start, path), text)
    history = _History(ancestry, workspace.repo)
    while waiting := search.waiting:
        suspect = min(waiting, key=lambda s: ancestry.rank(s[0]))  # children before parents
        search.pass_to_parents(suspect, list(history.parents(suspect, search.text(suspect))))
    return _lines(workspace, ancestry, text, search)


def _lines(
    workspace: Workspace, ancestry: Ancestry, text: bytes, search: LineOrigins[Suspect]
) -> list[BlamedLine]:
    found: list[BlamedLine] = []
    for number, (line, origin) in enumerate(zip(text.split(b"\n"), search.origins(), strict=False), start=1):
        node, path = origin.commit
        if node == _HERE:
            found.append(BlamedLine(number, line, None, None, path, origin.number))
            continue
        commit_id = ancestry.id(node)
        commit = workspace.repo.commit(commit_id)
        boundary = not workspace.repo.parents(commit)
        found.append(BlamedLine(number, line, commit_id, commit, path, origin.number, boundary=boundary))
    return found


def _working_text(workspace: Workspace, path: bytes) -> bytes | None:
    import os

    full = workspace.place(path)
    try:
        if os.path.islink(full) or not os.path.isfile(full):
            return None
        if os.path.getsize(full) > TEXT_LIMIT:
            raise NoTextError(f"{path.decode(errors='replace')} is too large to be blamed")
        with open(full, "rb") as file:
            content = file.read()
    except OSError:
        return None
    if is_binary(content):
        raise NoTextError(f"{path.decode(errors='replace')} is a binary file")
    return content


def _stored_text(store: ObjectStore, entry: Entry | None, shown: str) -> bytes | None:
    if entry is None:
        return None
    if not _is_text(store, entry):
        raise NoTextError(f"{shown} is no text of a size that can be blamed", hint=f"dsvc log -- {shown}")
    return store.read_file(entry.id)


def _is_text(store: ObjectStore, entry: Entry | None) -> bool:
    if entry is None or entry.kind not in FILE_KINDS or entry.size > TEXT_LIMIT:
        return False
    return not is_binary(next(store.file_chunks(entry.id), b""))


def _text_or_none(repo: Repository, entry: Entry | None) -> bytes | None:
    """Return the content of a text; None for what is none, and for what was purged: its lines begin after it."""
    try:
        if entry is None or not _is_text(repo.store, entry):
            return None
        return repo.store.read_file(entry.id)
    except ObjectMissingError as error:
        if tombstone_of(repo, error.id) is None:
            raise
        return None


class _History:
    """Finds the same file in the parents of a commit."""

    def __init__(self, ancestry: Ancestry, repo: Repository) -> None:
        self._ancestry = ancestry
        self._repo = repo
        self._store = repo.store

    def parents(self, suspect: Suspect, text: bytes) -> Iterator[tuple[Suspect, bytes]]:
        """Yield the parents that have the file, under which name, with its text there."""
        node, path = suspect
        parents = self._ancestry.parents(node)
        if parents and not self._ancestry.may_touch(node, [path]):
            yield (parents[0], path), text
            return
        tree = self._ancestry.tree(node)
        entry = trees.lookup(self._store, tree, path)
        for parent in parents:
            old_tree = self._ancestry.tree(parent)
            before = trees.lookup(self._store, old_tree, path)
            if before is not None and entry is not None and before.id == entry.id:
                yield (parent, path), text
                return
        for parent in parents:
            old_tree = self._ancestry.tree(parent)
            before = trees.lookup(self._store, old_tree, path)
            name: bytes | None = path
            if before is None:
                name = self._renamed_from(old_tree, tree, path)
                before = trees.lookup(self._store, old_tree, name) if name is not None else None
            content = _text_or_none(self._repo, before)
            if name is not None and content is not None:
                yield (parent, name), content

    def _renamed_from(self, old: TreeId, new: TreeId, path: bytes) -> bytes | None:
        sides = Sides.of(self._repo)
        changes = [
            Change(c.path, None if c.path == path else c.old, c.new)
            for c in diff_trees(self._store, old, new)
            if c.new is None or c.path == path
        ]
        similar = similar_files(sides.read_old, sides.read_new, complete=sides.store.complete)
        found = detect(changes, similar=similar, empty_files=False)
        return next((rename.old_path for rename in found.renames if rename.new_path == path), None)
