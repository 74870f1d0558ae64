"""What of a lineage is shown: many raw files of one folder become one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.lineage_graph import CommitNode, Edge, FileNode, Lineage, ModelNode, Node, RunNode

_TOGETHER = 5  # raw files of a folder that are still shown one by one


@dataclass(frozen=True, slots=True)
class Branch:
    """A line below another: the node, the edge to it, and for many files that share a line all of both."""

    node: Node
    edge: Edge
    files: Sequence[FileNode] = ()
    commit: CommitNode | None = None  # that brought a raw file

    @property
    def folder(self) -> bytes:
        """The folder in which the files of the line lie."""
        return self.files[0].path.rpartition(b"/")[0] if self.files else b""


class Shape:
    """Tells what stands below each node, in the order in which it is shown."""

    def __init__(self, graph: Lineage) -> None:
        self._graph = graph
        self._up = graph.direction == "up"
        self._edges = graph.causes() if self._up else graph.effects()
        self._holders = {
            edge.target: node
            for edge in graph.edges
            if edge.what == "holds" and isinstance(node := graph.nodes[edge.source], CommitNode)
        }

    def commit_of(self, file: FileNode) -> CommitNode | None:
        """The commit that brought a file."""
        return self._holders.get(file.key)

    def below(self, node: Node) -> list[Branch]:
        """The lines below a node: commit and environment, files that lead nowhere, then those that do."""
        found: list[Branch] = []
        for edge in self._edges.get(node.key, []):
            other = self._graph.nodes[edge.source if self._up else edge.target]
            if isinstance(node, FileNode) and isinstance(other, CommitNode):
                continue  # it stands on the line of the file
            commit = self._holders.get(other.key) if isinstance(other, FileNode) else None
            found.append(Branch(other, edge, commit=commit))
        found.sort(key=self._rank)
        if isinstance(node, CommitNode) and self._up:  # what was written last first, so that chains are seen as such
            found.sort(key=lambda branch: self._written(branch.node), reverse=True)
        return self._together(found)

    def _written(self, node: Node) -> str:
        return max((edge.source for edge in self._edges.get(node.key, []) if edge.what == "wrote"), default="")

    def leads_on(self, node: Node) -> bool:
        """Whether anything stands below a node."""
        return any(
            not isinstance(self._graph.nodes[edge.source if self._up else edge.target], CommitNode)
            for edge in self._edges.get(node.key, [])
        )

    def _rank(self, branch: Branch) -> tuple[int, bytes]:
        node = branch.node
        if isinstance(node, FileNode):
            return (3 if self.leads_on(node) else 2), node.path
        if isinstance(node, RunNode):
            return (5 if branch.edge.also else 4), bytes(node.run_key)
        if isinstance(node, ModelNode):
            return 1, node.key.encode()
        return (0 if isinstance(node, CommitNode) else 1), b""

    def _together(self, branches: list[Branch]) -> list[Branch]:
        groups: dict[tuple[bytes, str | None, str, str], list[Branch]] = {}
        for branch in branches:
            node = branch.node
            if isinstance(node, FileNode) and not self.leads_on(node) and not node.is_folder:
                commit = branch.commit.key if branch.commit is not None else None
                folder = node.path.rpartition(b"/")[0]
                groups.setdefault((folder, commit, branch.edge.mark, branch.edge.reason), []).append(branch)
        grouped: dict[str, Branch | None] = {}
        for group in groups.values():
            if len(group) > _TOGETHER:
                files = [branch.node for branch in group if isinstance(branch.node, FileNode)]
                for branch in group:
                    grouped[branch.node.key] = None
                first = group[0]
                grouped[first.node.key] = Branch(first.node, first.edge, files, first.commit)
        shown = (grouped.get(branch.node.key, branch) for branch in branches)
        return [branch for branch in shown if branch is not None]


def overall(graph: Lineage) -> dict[str, int]:
    """How many edges are proved, claimed and missing."""
    counts = dict.fromkeys(("proved", "claimed", "missing"), 0)
    for edge in graph.edges:
        counts[edge.mark] += 1
    return counts
