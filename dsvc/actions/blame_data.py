"""Which run wrote a file, and which raw files it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.lineage import lineage
from dsvc.actions.lineage_graph import MARKS, CommitNode, Edge, FileNode, Lineage, Mark, RunNode
from dsvc.workspace import Workspace

_CODE = (
    b".py", b".pyx", b".pyi", b".ipynb", b".sh", b".bash", b".r", b".rmd", b".jl", b".sql", b".scala", b".java", b".c",
    b".h", b".cc", b".cpp", b".cu", b".rs", b".go", b".js", b".ts", b".m",
)  # fmt: skip


def is_code(path: bytes) -> bool:
    """Say whether a file is a program, by its name."""
    return path.lower().endswith(_CODE)


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file that no run wrote, the commit that brought it, and how surely the other one rests on it.

    `mark` is that of the best chain of steps between the two, and of a chain that of its weakest step.
    """

    file: FileNode
    commit: CommitNode | None
    mark: Mark
    reason: str = ""

    @property
    def is_code(self) -> bool:
        """Whether it is a program, by its name."""
        return is_code(self.file.path)


@dataclass(frozen=True, slots=True)
class BlamedFile:
    """A file, the run that wrote it (None: nobody knows) with how surely, those before it, and what all rests on."""

    file: FileNode
    run: RunNode | None
    mark: Mark
    reason: str
    through: tuple[RunNode, ...]
    raw: tuple[RawFile, ...]
    tips: tuple[str, ...] = ()
    commit: CommitNode | None = None


def blame_data(workspace: Workspace, names: Sequence[str], *, paths: Sequence[bytes] = ()) -> list[BlamedFile]:
    """Return for each file that is named which run wrote it and which raw files it rests on.

    Runs and commits that are named stand for the files that they wrote, and that runs wrote in them.

    Raises what `lineage` raises.
    """
    graph = lineage(workspace, names, paths=paths)
    return [_blamed(graph, file) for file in _asked(graph)]


def _asked(graph: Lineage) -> list[FileNode]:
    found: list[FileNode] = []
    causes = graph.causes()
    for root in graph.roots:
        node = graph.nodes[root]
        if isinstance(node, FileNode):
            found.append(node)
            continue
        for edge in causes.get(root, []):
            cause = graph.nodes[edge.source]
            if isinstance(cause, FileNode):
                found.append(cause)
    return found


def _blamed(graph: Lineage, file: FileNode) -> BlamedFile:
    causes = graph.causes()
    commits = {
        edge.target: node
        for edge in graph.edges
        if edge.what == "holds" and isinstance(node := graph.nodes[edge.source], CommitNode)
    }
    written = next((edge for edge in causes.get(file.key, []) if edge.what == "wrote" and not edge.also), None)
    run = graph.nodes[written.source] if written is not None else None
    reached = _reached(causes, file.key)
    through = [
        node for key in reached if isinstance(node := graph.nodes[key], RunNode) and (run is None or key != run.key)
    ]
    raw = [
        RawFile(node, commits.get(key), *reached[key])
        for key in reached
        if key != file.key
        and isinstance(node := graph.nodes[key], FileNode)
        and not any(edge.what in ("wrote", "contains") for edge in causes.get(key, []))
    ]
    return BlamedFile(
        file,
        run if isinstance(run, RunNode) else None,
        written.mark if written is not None else "missing",
        written.reason if written is not None else "",
        tuple(sorted(through, key=lambda node: node.run_key, reverse=True)),
        tuple(sorted(raw, key=lambda one: (one.is_code, one.file.path))),
        graph.tips.get(file.key, ()),
        commits.get(file.key),
    )


def _reached(causes: dict[str, list[Edge]], start: str) -> dict[str, tuple[Mark, str]]:
    """Return all that leads to a node, with the weakest step of the best way there and its reason."""
    found: dict[str, tuple[Mark, str]] = {}
    waiting: list[list[tuple[str, str]]] = [[(start, "")], [], []]  # by the strength of the way
    for strength, level in enumerate(waiting):
        while level:
            key, reason = level.pop()
            if key in found:
                continue
            found[key] = (MARKS[strength], reason)
            for edge in causes.get(key, []):
                if edge.also or edge.what in ("holds", "began at", "ran in", "around"):
                    continue
                weaker = max(strength, MARKS.index(edge.mark))
                waiting[weaker].append((edge.source, edge.reason or reason))
    return found
