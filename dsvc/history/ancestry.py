"""Commits and their parents as numbers, from the commit graph where it covers them and from the commits elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from dsvc.history.changedpaths import NO
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.values import Commit

GetCommit: TypeAlias = Callable[[CommitId], Commit]

_NOT_COVERED = 1 << 80  # above every number of a covered commit, whatever the commit's time


class Graph(Protocol):
    """A derived index of commits, closed under parents: see `dsvc.history.graph`."""

    def __len__(self) -> int:
        """Return how many commits it covers; they are numbered from 0, parents before children."""

    def find(self, commit_id: bytes) -> int | None:
        """Return a commit's number, None where it is not covered."""

    def commit_id(self, number: int) -> bytes:
        """Return the id of a commit."""

    def parents(self, number: int) -> Sequence[int]:
        """Return the numbers of a commit's parents, in order; each is lower than `number`."""

    def time(self, number: int) -> int:
        """Return when a commit was committed, in microseconds."""

    def tree_id(self, number: int) -> bytes:
        """Return a commit's tree."""

    def skip(self, number: int, flags: bytearray) -> tuple[int, list[int]]:
        """Go to first parents while the flag of the commit is 0.

        Return the first one with another flag, or without parents, and a few of the commits that were passed.
        """

    def touching(self, paths: Sequence[bytes]) -> bytearray:
        """Say of each commit whether it differs from its first parent in one of these paths (NO, YES, LOOK)."""


class Ancestry:
    """The commits that one computation looks at, each as a number ("node") that holds as long as this object.

    Commits that the graph covers have their number in it, others get the numbers above as they are met. A parent's
    node is lower than its child's only among covered commits: for order use `rank`.
    """

    def __init__(self, get_commit: GetCommit, graph: Graph | None = None) -> None:
        self._get_commit = get_commit
        self._graph = graph
        self.covered = len(graph) if graph is not None else 0
        self._ids: list[CommitId] = []
        self._nodes: dict[bytes, int] = {}
        self._commits: dict[int, Commit] = {}

    def node(self, commit_id: CommitId) -> int:
        """Return the node of a commit; the commit itself is not read."""
        node = self._nodes.get(commit_id)
        if node is None:
            node = self._graph.find(commit_id) if self._graph is not None else None
            if node is None:
                node = self.covered + len(self._ids)
                self._ids.append(commit_id)
            self._nodes[commit_id] = node
        return node

    def id(self, node: int) -> CommitId:
        """Return the commit id of a node."""
        if node >= self.covered:
            return self._ids[node - self.covered]
        assert self._graph is not None
        return CommitId(self._graph.commit_id(node))  # type: ignore[arg-type]

    def commit(self, node: int) -> Commit:
        """Return the commit of a node."""
        if node < self.covered:
            return self._get_commit(self.id(node))
        commit = self._commits.get(node)
        if commit is None:
            commit = self._commits[node] = self._get_commit(self.id(node))
        return commit

    def parents(self, node: int) -> Sequence[int]:
        """Return the nodes of the parents, in order."""
        if node < self.covered:
            assert self._graph is not None
            return self._graph.parents(node)
        return [self.node(parent) for parent in self.commit(node).parents]

    def time(self, node: int) -> int:
        """Return when the commit was committed, in microseconds."""
        if node < self.covered:
            assert self._graph is not None
            return self._graph.time(node)
        return self.commit(node).committer.time

    def tree(self, node: int) -> TreeId:
        """Return the commit's tree."""
        if node < self.covered:
            assert self._graph is not None
            return TreeId(self._graph.tree_id(node))  # type: ignore[arg-type]
        return self.commit(node).tree

    def rank(self, node: int) -> int:
        """Return a number by which children come before parents in ascending order.

        This is certain where at least the parent is covered by the graph; between two others it goes by their times
        and is a hint.
        """
        return -node if node < self.covered else -_NOT_COVERED - self.time(node)

    def may_touch(self, node: int, paths: Sequence[bytes]) -> bool:
        """Say whether the commit may differ from its first parent in one of these paths; False is certain."""
        return node >= self.covered or self._graph is None or self._graph.touching(paths)[node] != NO

    def touching(self, paths: Sequence[bytes]) -> bytearray:
        """Say of each covered commit whether it differs from its first parent in one of these paths (NO, YES, LOOK).

        The result is shared: callers copy what they change.
        """
        return self._graph.touching(paths) if self._graph is not None else bytearray()

    def skip(self, node: int, flags: bytearray) -> tuple[int, list[int]]:
        """Go from a covered node to first parents while its flag is 0: see `Graph.skip`."""
        assert self._graph is not None
        return self._graph.skip(node, flags)
