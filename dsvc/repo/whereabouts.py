"""Say in which paths of which commits an object stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.filemap import decode_page
from dsvc.objects.ids import CommitId, Kind, ObjectId, TagId
from dsvc.objects.sortedmap import decode_node
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, EntryKind
from dsvc.objects.trees import TREES
from dsvc.objects.values import Commit, decode_commit, decode_tag
from dsvc.refs.names import short_name
from dsvc.refs.view import Direct, View

_NAMES = 3  # refs that are named for a commit
_PER_TREE = 1000  # paths below one directory


class Hit(NamedTuple):
    """An object stands at `path` in `commit`, which these refs reach; an empty path is the commit's root."""

    path: bytes
    commit: CommitId
    refs: tuple[str, ...]


def commits_of(
    store: ObjectStore, view: View, *, lost: dict[bytes, tuple[str, ...]] | None = None
) -> Iterator[tuple[CommitId, Commit, tuple[str, ...]]]:
    """Yield (id, commit, some refs that reach it) of all commits of a view that can be read, newest first.

    Into `lost` go the refs of those that cannot.
    """
    heap: list[tuple[int, bytes, Commit]] = []
    names: dict[bytes, tuple[str, ...]] = {}
    for name, ref in view.items():
        if isinstance(ref, Direct):
            commit_id = _peel(store, ref.kind, ref.id)
            if commit_id is not None:
                _push(store, heap, names, commit_id, (short_name(name),), lost=lost)
    while heap:
        _, commit_id, commit = heappop(heap)
        reached = names[commit_id]
        yield CommitId(ObjectId(commit_id)), commit, reached
        for parent in commit.parents:
            _push(store, heap, names, parent, reached, lost=lost)


def _push(
    store: ObjectStore,
    heap: list[tuple[int, bytes, Commit]],
    names: dict[bytes, tuple[str, ...]],
    commit_id: bytes,
    reached: tuple[str, ...],
    *,
    lost: dict[bytes, tuple[str, ...]] | None,
) -> None:
    before = names.get(commit_id)
    names[commit_id] = tuple(dict.fromkeys((*(before or ()), *reached)))[:_NAMES]
    if before is None:
        try:
            commit = decode_commit(store.get(commit_id, Kind.COMMIT))
        except IntegrityError:
            if lost is not None:
                lost[commit_id] = reached
            return
        heappush(heap, (-commit.committer.time, commit_id, commit))


def _peel(store: ObjectStore, kind: Kind, object_id: bytes) -> bytes | None:
    try:
        for _ in range(32):
            if kind != Kind.TAG:
                break
            tag = decode_tag(store.get(TagId(ObjectId(object_id)), Kind.TAG))
            kind, object_id = tag.target_kind, tag.target
    except IntegrityError:
        return None
    return object_id if kind == Kind.COMMIT else None


def find_hits(store: ObjectStore, view: View, wanted: Collection[bytes], *, most: int = 3) -> dict[bytes, list[Hit]]:
    """Return for each of these ids (trees, files, chunks, pages) up to `most` paths, those of the newest commits.

    Of a commit that cannot be read come the refs that lead to it. Each directory is read once, so it takes about as
    long as reading all trees.
    """
    search = _Search(store, frozenset(wanted))
    found: dict[bytes, list[Hit]] = {}
    open_ = set(wanted)
    lost: dict[bytes, tuple[str, ...]] = {}
    for commit_id, commit, refs in commits_of(store, view, lost=lost):
        for path, object_id in search.below(commit.tree):
            hits = found.setdefault(object_id, [])
            if len(hits) < most and all(hit.path != path for hit in hits):
                hits.append(Hit(path, commit_id, refs))
                if len(hits) == most:
                    open_.discard(object_id)
        if not open_:
            break
    found.update((i, [Hit(b"", CommitId(ObjectId(i)), refs)]) for i, refs in lost.items() if i in open_)
    return found


class _Search:
    """Looks for objects below trees; remembers per node what it found, mostly nothing."""

    def __init__(self, store: ObjectStore, wanted: frozenset[bytes]) -> None:
        self._store, self._wanted = store, wanted
        self._nodes: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}

    def below(self, tree_id: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """Return (path, id) of what is wanted below a node of a tree."""
        known = self._nodes.get(tree_id)
        if known is None:
            known = self._nodes[tree_id] = tuple(self._look(tree_id))[:_PER_TREE]
        return known

    def _look(self, tree_id: bytes) -> Iterator[tuple[bytes, bytes]]:
        if tree_id in self._wanted:
            yield b"", tree_id
        try:
            node = decode_node(TREES, self._store.get(tree_id, Kind.TREE))
        except IntegrityError:
            return
        for name, value in node.items:
            if node.level:
                yield from self.below(value.id)
            elif value[0] == EntryKind.TREE:
                for path, object_id in self.below(value[1]):
                    yield (name + b"/" + path if path else name), object_id
            elif value[0] in CONTENT_KINDS:
                yield from ((name, object_id) for object_id in self._of_file(value[1]))

    def _of_file(self, file_id: bytes) -> set[bytes]:
        found = {file_id} & self._wanted
        stack = [(Kind.FILE_MAP, file_id)]
        while stack:
            kind, wanted = stack.pop()
            try:
                if kind == Kind.FILE_MAP and not self._store.has(wanted, kind):
                    continue
                page = decode_page(self._store.get(wanted, kind))
            except IntegrityError:
                continue
            found |= {part.id for part in page.parts} & self._wanted
            if page.level:
                stack += [(Kind.MAP_PAGE, part.id) for part in page.parts]
        return found
