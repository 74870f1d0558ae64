"""Find what another store lacks of what some refs reach: the difference decides the work, not the size of either store.

Commits that the other side's refs reach are complete there. The trees of newer ones are compared with those of their
parents, node by node, so only what changed is looked at; content is asked for by the ids of chunks. What is missing
is marked by its position in the packs it lies in, a bit an object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from dsvc.errors import IntegrityError
from dsvc.history.ancestry import Ancestry
from dsvc.history.walk import walk
from dsvc.objects.chunker import SMALL_LIMIT
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.sortedmap import Node
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.tree import CONTENT_KINDS, Entry, EntryKind
from dsvc.objects.trees import TREES
from dsvc.repo.reachable import Marks, Target, references

_ALIKE = 16  # trees with which one without a commit is compared

Has = Callable[[bytes, Kind], bool]
Absent = Callable[[Target], None]


class Taker(Protocol):
    """Decides what becomes of objects that the walk meets."""

    def take(self, kind: Kind, wanted: bytes) -> None:
        """Mark an object that is no file content, where the other side lacks it."""

    def take_file(self, wanted: bytes, *, small: bool) -> None:
        """Mark a file's content: its one chunk or its map, pages and chunks; comes once for each file."""

    def take_small_files(self, wanted: Sequence[bytes]) -> None:
        """Mark the content of several small files, one by one unless a taker knows better."""
        for each in wanted:
            self.take_file(each, small=True)


class Walk:
    """Goes through commits and trees of `store`, where all of them are, and hands on what is new to the other side."""

    def __init__(self, store: ObjectStore, taker: Taker) -> None:
        self._store = store
        self._taker = taker
        self._seen: set[bytes] = set()  # trees and files that were gone through

    def add(self, ancestry: Ancestry, tips: Iterable[Target], *, known: Collection[CommitId]) -> None:
        """Mark what `tips` reach and the commits in `known` do not.

        Raises:
            ObjectMissingError: for what no store has. IntegrityError: for what cannot be read here.
        """
        commits: list[CommitId] = []
        loose: list[Target] = []
        for kind, wanted in tips:
            target = self._peel(kind, wanted)
            if target[0] == Kind.COMMIT:
                commits.append(CommitId(ObjectId(target[1])))
            else:
                loose.append(target)
        steps = [step.id for step in walk(ancestry, commits, hidden=sorted(known), order="topo")] if commits else []
        for commit_id in reversed(steps):  # parents first: a tree is compared with one that is there by then
            self._commit(ancestry, commit_id)
        if loose:  # of a run, say, whose source is most likely much like one of these commits
            alike = sorted({*commits, *known}, key=lambda i: ancestry.time(ancestry.node(i)))[-_ALIKE:]
            self._below(loose, olds=[ancestry.tree(ancestry.node(i)) for i in alike])

    def _peel(self, kind: Kind, wanted: bytes) -> Target:
        target: Target = (kind, wanted)
        while target[0] == Kind.TAG:
            self._taker.take(*target)
            target = next(iter(references(Kind.TAG, self._store.get(target[1], Kind.TAG))))
        return target

    def _commit(self, ancestry: Ancestry, commit_id: CommitId) -> None:
        self._taker.take(Kind.COMMIT, commit_id)
        node = ancestry.node(commit_id)
        commit = ancestry.commit(node)
        self._tree(commit.tree, [ancestry.tree(parent) for parent in ancestry.parents(node)])
        further = [t for t in references(Kind.COMMIT, self._store.get(commit_id, Kind.COMMIT)) if t[0] not in _WALKED]
        self._below(further)

    def _below(self, targets: Iterable[Target], *, olds: Sequence[bytes] = ()) -> None:
        """Mark objects of any kind and all that they refer to; `olds` are trees to compare directories with."""
        stack = list(targets)
        while stack:
            kind, wanted = stack.pop()
            if kind == Kind.TREE:
                self._tree(wanted, olds)
            elif kind in (Kind.CHUNK, Kind.FILE_MAP):
                self._file(wanted, small=kind == Kind.CHUNK)
            elif wanted not in self._seen:
                self._seen.add(wanted)
                self._taker.take(kind, wanted)
                stack += references(kind, self._store.get(wanted, kind))

    def _tree(self, root: bytes, olds: Sequence[bytes]) -> None:
        """Mark the nodes of a directory that differ from all of `olds`, and what is new below them."""
        stack: list[tuple[bytes, list[bytes]]] = [(root, list(olds))]
        while stack:
            new, old = stack.pop()
            if new not in old and new not in self._seen:
                stack += self._directory(new, old)

    def _directory(self, root: bytes, olds: list[bytes]) -> list[tuple[bytes, list[bytes]]]:
        """Mark one directory's map; return its subdirectories that differ, each with the older ones of that name."""
        new, old = [root], set(olds)
        while True:
            new = [node_id for node_id in new if node_id not in old and node_id not in self._seen]
            self._seen.update(new)
            nodes = [self._node(node_id) for node_id in new]
            if not nodes:
                return []
            level = nodes[0].level
            before = self._down_to(level, old, skip=set(new))
            if level == 0:
                return self._entries(nodes, before)
            new = [child.id for node in nodes for _, child in node.items]
            old = {child.id for node in before for _, child in node.items}

    def _down_to(self, level: int, ids: Collection[bytes], *, skip: Collection[bytes]) -> list[Node]:
        """Return the nodes of one level at or below `ids`."""
        found: list[Node] = []
        stack = [node_id for node_id in ids if node_id not in skip]
        while stack:
            node = self._store.node(TREES, ObjectId(stack.pop()))
            if node.level == level:
                found.append(node)
            elif node.level > level:
                stack += [child.id for _, child in node.items]
        return found

    def _entries(self, nodes: list[Node], before: list[Node]) -> list[tuple[bytes, list[bytes]]]:
        older: dict[bytes, list[Entry]] = {}
        for node in before:
            for name, value in node.items:
                older.setdefault(name, []).append(Entry(*value))
        below: list[tuple[bytes, list[bytes]]] = []
        small: list[bytes] = []
        for node in nodes:
            for name, (kind, wanted, size) in node.items:  # may be 100,000: little is done for each
                others = older.get(name, ())
                if others and any(wanted == other.id and kind == other.kind for other in others):
                    continue
                if kind == EntryKind.TREE:
                    below.append((wanted, [o.id for o in others if o.kind == EntryKind.TREE]))
                elif kind in CONTENT_KINDS:
                    if size <= SMALL_LIMIT:
                        small.append(wanted)
                    else:
                        self._file(wanted, small=False)
                elif kind == EntryKind.SNAPSHOT:
                    self._below([(Kind.SNAPSHOT, wanted)])
        fresh = [wanted for wanted in dict.fromkeys(small) if wanted not in self._seen]
        self._seen.update(fresh)
        self._taker.take_small_files(fresh)
        return below

    def _node(self, node_id: bytes) -> Node:
        self._taker.take(Kind.TREE, node_id)
        return self._store.node(TREES, ObjectId(node_id))

    def _file(self, wanted: bytes, *, small: bool) -> None:
        if wanted not in self._seen:
            self._seen.add(wanted)
            self._taker.take_file(wanted, small=small)


class Stored:
    """Marks what lies in this side's packs and not on the other side: what a push sends.

    `has` says what the other side has, None that it has nothing. `absent` hears of an object that neither side has: it
    raises, or notes what has to come from elsewhere.
    """

    def __init__(self, store: ObjectStore, marks: Marks, has: Has | None, *, absent: Absent | None = None) -> None:
        self._store = store
        self._marks = marks
        self._has = has
        self._absent = absent or _refuse
        self._pages: set[bytes] = set()

    def take(self, kind: Kind, wanted: bytes) -> None:
        """See `Taker.take`."""
        if not self._there(wanted, kind) and self._marks.mark((kind, wanted)) is None:
            self._absent((kind, wanted))

    def take_file(self, wanted: bytes, *, small: bool) -> None:
        """See `Taker.take_file`. Whether a file is there is decided by its chunks: a map is a claim."""
        if small and (self._there(wanted, Kind.CHUNK) or self._marks.mark((Kind.CHUNK, wanted)) is not None):
            return  # by far the most files
        if self._store.has(wanted, Kind.CHUNK) or (small and not self._store.has(wanted, Kind.FILE_MAP)):
            self.take(Kind.CHUNK, wanted)
            return
        self.take(Kind.FILE_MAP, wanted)
        if self._store.has(wanted, Kind.FILE_MAP):
            for payload in self._store.file_maps(wanted):
                self._below(payload)

    def take_small_files(self, wanted: Sequence[bytes]) -> None:
        """See `Taker.take_small_files`."""
        rest = wanted if self._has is None else [each for each in wanted if not self._has(each, Kind.CHUNK)]
        for each in self._marks.mark_chunks(rest):
            self.take_file(each, small=True)

    def _there(self, wanted: bytes, kind: Kind) -> bool:
        return self._has is not None and self._has(wanted, kind)

    def _below(self, payload: bytes) -> None:
        stack = list(references(Kind.FILE_MAP, payload))
        while stack:
            kind, wanted = stack.pop()
            if kind == Kind.MAP_PAGE:
                if wanted in self._pages:
                    continue
                self._pages.add(wanted)
                stack += references(kind, self._store.get(wanted, kind))
            self.take(kind, wanted)


class Noting(Taker):
    """A taker that goes on where no side has the content of a file; `lacking` are those files."""

    def __init__(self, inner: Taker) -> None:
        self._inner = inner
        self.lacking: list[bytes] = []

    def take(self, kind: Kind, wanted: bytes) -> None:
        """See `Taker.take`."""
        self._inner.take(kind, wanted)

    def take_file(self, wanted: bytes, *, small: bool) -> None:
        """See `Taker.take_file`."""
        try:
            self._inner.take_file(wanted, small=small)
        except ObjectMissingError:
            self.lacking.append(wanted)


_WALKED = frozenset({Kind.TREE, Kind.COMMIT})


def _refuse(target: Target) -> None:
    raise ObjectMissingError(target[1], target[0])


def present_tips(store: ObjectStore, ids: Iterable[bytes]) -> list[CommitId]:
    """Return those commits that this store has."""
    return [CommitId(ObjectId(i)) for i in dict.fromkeys(ids) if _has_commit(store, i)]


def _has_commit(store: ObjectStore, wanted: bytes) -> bool:
    try:
        return store.has(wanted, Kind.COMMIT)
    except IntegrityError:
        return False
