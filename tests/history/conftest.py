"""Small repositories in memory for the tests of history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dsvc.contents import text_merge
from dsvc.contents.kinds import is_binary
from dsvc.contents.similarity import best_matches, fingerprint
from dsvc.history.mergeentry import MergedContent
from dsvc.history.renames import base_name
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Commit, Person, decode_commit, encode_commit
from dsvc.storage.memory import MemoryBackend

Files = Mapping[str, "str | bytes | tuple[EntryKind, str | bytes] | None"]


class Project:
    """Builds trees and commits in a store in memory; `None` as content makes an empty directory."""

    def __init__(self, folder: Path) -> None:
        self.store = ObjectStore(MemoryBackend(), lambda: folder)
        self.clock = 1_700_000_000

    def entry(self, content: str | bytes | tuple[EntryKind, str | bytes] | None) -> Entry:
        kind = EntryKind.FILE
        if content is None:
            return Entry(EntryKind.TREE, trees.empty_tree(self.store), 0)
        if isinstance(content, tuple):
            kind, content = content
        data = content.encode() if isinstance(content, str) else content
        return Entry(kind, self.store.put_content(data), len(data))

    def tree(self, files: Files) -> TreeId:
        changes = {path.encode(): self.entry(content) for path, content in files.items()}
        return TreeId(trees.edit_tree(self.store, trees.empty_tree(self.store), changes).id)

    def read(self, tree: TreeId) -> dict[str, bytes | None]:
        """Return the leaves of a tree by path: contents of files, None for empty directories."""
        found: dict[str, bytes | None] = {}
        for path, entry in trees.walk(self.store, tree):
            if entry.kind != EntryKind.TREE:
                found[path.decode()] = self.store.read_file(entry.id)
            elif not any(True for _ in trees.entries(self.store, entry.id)):
                found[path.decode()] = None
        return found

    def commit(
        self,
        *parents: CommitId,
        files: Files | None = None,
        tree: TreeId | None = None,
        message: str = "",
        time: int | None = None,
        author: str = "A",
    ) -> CommitId:
        self.clock += 1
        person = Person(author, "a@example.org", (self.clock if time is None else time) * 1_000_000)
        if tree is None:
            tree = self.tree(files or {})
        commit = Commit(tree, parents, person, person, message)
        return CommitId(self.store.put(Kind.COMMIT, encode_commit(commit)))

    def similar(self, old, new, minimum):
        """The comparison of texts that the commands use."""
        return best_matches(
            {path: fingerprint(self.store.read_file(entry.id)) for path, entry in old.items()},
            {path: fingerprint(self.store.read_file(entry.id)) for path, entry in new.items()},
            minimum=minimum,
            prefer=lambda a, b: base_name(a) == base_name(b),
        )

    def merge_content(self, request):
        """The merge of texts that the commands use."""
        sides = [self.store.read_file(e.id) if e else b"" for e in (request.base, request.ours, request.theirs)]
        if any(is_binary(side) for side in sides):
            return None
        merged = text_merge.merge(
            *sides, base_label=request.base_label, ours_label=request.ours_label, theirs_label=request.theirs_label
        )
        return MergedContent(self.store.put_content(merged.content), len(merged.content), merged.conflicts)

    def get(self, commit_id: CommitId) -> Commit:
        return decode_commit(self.store.get(commit_id, Kind.COMMIT))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
