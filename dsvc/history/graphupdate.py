"""Bring the commit graph up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import NamedTuple, TypeAlias

from dsvc.atomic import write_file
from dsvc.history.ancestry import GetCommit
from dsvc.history.changedpaths import UNKNOWN
from dsvc.history.graph import CommitGraph, GraphColumns, open_graph
from dsvc.history.treediff import diff_trees
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.sortedmap import NodeStore

ChangedPaths: TypeAlias = Callable[[TreeId | None, TreeId], Iterable[bytes]]
"""The paths that differ between the trees of a first parent (None: there is none) and of a commit."""


class _New(NamedTuple):
    """What the graph keeps of a commit; a whole one takes many times the memory."""

    parents: tuple[CommitId, ...]
    time: int
    tree: TreeId


class GraphUpdate(NamedTuple):
    """How many commits were added, of how many the changed paths were listed, and how many the graph covers now."""

    added: int
    listed: int
    covered: int


def update_graph(
    path: Path,
    get_commit: GetCommit,
    tips: Iterable[CommitId],
    *,
    changed_paths: ChangedPaths | None = None,
    max_listed: int | None = None,
) -> GraphUpdate:
    """Let the graph at `path` cover `tips` and all their ancestors; a damaged one is made anew.

    Reads the commits that are not covered, and the trees that differ. The changed paths of at most `max_listed`
    commits are listed, the newest that are not; the others are left to a later call. The file is replaced only
    when something was added. Safe to call twice and by several processes: the last one wins, and each is complete.
    """
    old = open_graph(path)
    columns = GraphColumns(old)
    added = _add(columns, old, _uncovered(old, get_commit, tips))
    made = _fill(columns, changed_paths, max_listed) if changed_paths is not None else 0
    if added or made:
        write_file(path, b"".join(columns.encode()), durable=False)  # a torn one is seen by its checksum
    return GraphUpdate(added, made, columns.count)


def _add(columns: GraphColumns, old: CommitGraph | None, waiting: dict[CommitId, _New]) -> int:
    """Add commits to the columns of `old`; return how many."""
    numbers: dict[bytes, int] = {}

    def number_of(commit_id: bytes) -> int:
        known = numbers.get(commit_id)
        if known is None and old is not None:
            known = old.find(commit_id)
        assert known is not None, "parents come before children"
        return known

    for commit_id, commit in _parents_first(waiting):
        numbers[commit_id] = columns.append(
            commit_id,
            [number_of(parent) for parent in commit.parents],
            time=commit.time,
            tree=commit.tree,
        )
    return len(waiting)


def uncovered(graph: CommitGraph | None, get_commit: GetCommit, tips: Iterable[CommitId], *, limit: int) -> int:
    """Return how many commits the graph does not cover, counted up to `limit`."""
    return len(_uncovered(graph, get_commit, tips, limit))


def paths_changed_in(store: NodeStore) -> ChangedPaths:
    """Return the `ChangedPaths` of trees in this store."""

    def changed(old: TreeId | None, new: TreeId) -> Iterable[bytes]:
        return (change.path for change in diff_trees(store, old, new))

    return changed


def _uncovered(
    graph: CommitGraph | None, get_commit: GetCommit, tips: Iterable[CommitId], limit: int | None = None
) -> dict[CommitId, _New]:
    found: dict[CommitId, _New] = {}
    todo = list(tips)
    while todo and (limit is None or len(found) < limit):
        commit_id = todo.pop()
        if commit_id not in found and (graph is None or graph.find(commit_id) is None):
            commit = get_commit(commit_id)
            found[commit_id] = _New(commit.parents, commit.committer.time, commit.tree)
            todo += commit.parents
    return found


def _parents_first(commits: dict[CommitId, _New]) -> Iterable[tuple[CommitId, _New]]:
    """Yield commits in an order in which parents come first, and older ones where there is a choice."""
    children: dict[CommitId, list[CommitId]] = {}
    missing: dict[CommitId, int] = {}
    for commit_id, commit in commits.items():
        inner = [parent for parent in set(commit.parents) if parent in commits]
        missing[commit_id] = len(inner)
        for parent in inner:
            children.setdefault(parent, []).append(commit_id)
    ready = [(commits[c].time, c) for c, count in missing.items() if not count]
    heapify(ready)
    while ready:
        _, commit_id = heappop(ready)
        yield commit_id, commits[commit_id]
        for child in children.get(commit_id, ()):
            missing[child] -= 1
            if not missing[child]:
                heappush(ready, (commits[child].time, child))


def _fill(columns: GraphColumns, changed_paths: ChangedPaths, most: int | None) -> int:
    made, number = 0, columns.count
    while most is None or made < most:
        number = columns.states.rfind(UNKNOWN, 0, number)
        if number < 0:
            break
        columns.list_paths(number, changed_paths(*columns.trees_around(number)))
        made += 1
    return made
