"""Find commits that make the same change, wherever in a file it stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from blake3 import blake3

from dsvc.contents.kinds import is_binary
from dsvc.contents.text_diff import unified
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects.ids import CommitId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import FILE_KINDS, Entry
from dsvc.workspace import Workspace

_TEXT_LIMIT = 1 << 20  # bytes; larger files are compared by their ids

Paths = frozenset[bytes]


class PatchFinder:
    """Knows the changes of some commits; merges have none."""

    def __init__(self, workspace: Workspace, commits: Sequence[CommitId]) -> None:
        self._workspace = workspace
        self._by_paths: defaultdict[Paths, list[CommitId]] = defaultdict(list)
        self._ids: dict[CommitId, bytes] = {}
        for commit_id in commits:
            changes = self._changes(commit_id)
            if changes:
                self._by_paths[_paths(changes)].append(commit_id)

    def known(self, commits: Iterable[CommitId]) -> list[CommitId]:
        """Return those of `commits` whose change one of the known commits makes too.

        Contents are read only where the same paths are changed.
        """
        found = []
        for commit_id in commits:
            changes = self._changes(commit_id)
            others = self._by_paths.get(_paths(changes), ()) if changes else ()
            if any(self._id(other) == self._id(commit_id) for other in others):
                found.append(commit_id)
        return found

    def _changes(self, commit_id: CommitId) -> list[Change]:
        commit = self._workspace.repo.walked(commit_id)
        if len(commit.parents) > 1:
            return []
        before = self._workspace.tree_of(commit.parents[0]) if commit.parents else None
        return list(diff_trees(self._workspace.repo.store, before, commit.tree))

    def _id(self, commit_id: CommitId) -> bytes:
        known = self._ids.get(commit_id)
        if known is None:
            hasher = blake3()
            for change in self._changes(commit_id):
                hasher.update(_change_id(self._workspace.repo.store, change))
            known = self._ids[commit_id] = hasher.digest()
        return known


def _paths(changes: Iterable[Change]) -> Paths:
    return frozenset(change.path for change in changes)


def _change_id(store: ObjectStore, change: Change) -> bytes:
    """Hash what a change does to a file: its lines without their numbers for text, ids otherwise."""
    hasher = blake3(change.path + b"\0")
    for entry in (change.old, change.new):
        hasher.update(b"-" if entry is None else bytes([entry.kind]))
    old, new = _text(store, change.old), _text(store, change.new)
    if old is None or new is None:
        for entry in (change.old, change.new):
            hasher.update(b"" if entry is None else entry.id)
        return hasher.digest()
    for hunk in unified(old, new, old_name=change.path, new_name=change.path).hunks:
        for origin, line in hunk.lines:
            hasher.update(origin.encode() + line)
    return hasher.digest()


def _text(store: ObjectStore, entry: Entry | None) -> bytes | None:
    if entry is None:
        return b""
    if entry.kind not in FILE_KINDS or entry.size > _TEXT_LIMIT:
        return None
    content = store.read_file(entry.id)
    return None if is_binary(content) else content
