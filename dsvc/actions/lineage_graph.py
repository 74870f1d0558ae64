"""The graph of provenance: files, runs, commits, environments, and what proves the edges between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dsvc.environments import Environment
from dsvc.objects.ids import CommitId, EnvironmentId, ObjectId, RunId
from dsvc.objects.values import Commit
from dsvc.runs.names import RunKey
from dsvc.runs.record import Run
from dsvc.runs.summary import Summary

Mark = Literal["proved", "claimed", "missing"]
What = Literal["wrote", "read", "holds", "contains", "began at", "ran in", "around", "became"]
Direction = Literal["up", "down"]
MARKS: tuple[Mark, ...] = ("proved", "claimed", "missing")  # from the strongest to the weakest


@dataclass(frozen=True, slots=True)
class FileNode:
    """Content at a path; `id` is None for a file that was gone before it could be looked at.

    `size` is in bytes. `stored` says whether the content is in this repository, `is_folder` that it is a whole folder.
    """

    path: bytes
    id: ObjectId | None
    size: int = 0
    stored: bool = False
    is_folder: bool = False

    @property
    def key(self) -> str:
        """What edges name it by."""
        where = self.path.decode("utf-8", "backslashreplace")
        return f"file:{where}@{self.id.hex()}" if self.id is not None else f"file:{where}"


@dataclass(frozen=True, slots=True)
class RunNode:
    """A run; `summary` and `run` are None where its record is not here."""

    run_key: RunKey
    run_id: RunId | None = None
    summary: Summary | None = None
    run: Run | None = None

    @property
    def key(self) -> str:
        """What edges name it by."""
        return f"run:{self.run_key.hex()}"


@dataclass(frozen=True, slots=True)
class CommitNode:
    """A commit; None where it is not here. `refs` are the branches and tags that point to it."""

    id: CommitId
    commit: Commit | None = None
    refs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What edges name it by."""
        return f"commit:{self.id.hex()}"


@dataclass(frozen=True, slots=True)
class EnvironmentNode:
    """An environment; None where it is not here."""

    id: EnvironmentId
    environment: Environment | None = None

    @property
    def key(self) -> str:
        """What edges name it by."""
        return f"environment:{self.id.hex()}"


@dataclass(frozen=True, slots=True)
class ModelNode:
    """A version of a model, the id of its object, and the stages that it has."""

    name: str
    version: int
    id: ObjectId
    stages: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What edges name it by."""
        return f"model:{self.name}@{self.version}"


Node: TypeAlias = FileNode | RunNode | CommitNode | EnvironmentNode | ModelNode


@dataclass(frozen=True, slots=True)
class Edge:
    """That something came of something else, from the cause `source` to the effect `target`.

    `reason` says why it is no more than claimed, or missing. `also` marks an explanation beside the one that was
    followed: another run that wrote the same content.
    """

    source: str
    target: str
    what: What
    mark: Mark
    reason: str = ""
    also: bool = False


@dataclass(slots=True)
class Lineage:
    """What was found: nodes by their keys, edges, and the nodes that were asked for.

    `tips` maps keys of files to the branches and tags at whose tip they stand. `changed` maps keys of runs to how many
    files differed from the commit that was checked out when they began.
    """

    direction: Direction
    roots: list[str] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    tips: dict[str, tuple[str, ...]] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)

    def files(self) -> Iterator[FileNode]:
        """Yield the files."""
        return (node for node in self.nodes.values() if isinstance(node, FileNode))

    def runs(self) -> Iterator[RunNode]:
        """Yield the runs."""
        return (node for node in self.nodes.values() if isinstance(node, RunNode))

    def models_of(self, file: FileNode) -> list[ModelNode]:
        """Return the versions of models that a file is, or is a part of."""
        found = (self.nodes[edge.target] for edge in self.edges if edge.what == "became" and edge.source == file.key)
        return [node for node in found if isinstance(node, ModelNode)]

    def causes(self) -> dict[str, list[Edge]]:
        """Return the edges that lead to each node."""
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.target, []).append(edge)
        return found

    def effects(self) -> dict[str, list[Edge]]:
        """Return the edges that lead away from each node."""
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.source, []).append(edge)
        return found

    def raw_files(self) -> list[FileNode]:
        """Return the files that no run wrote, as far as is known, in order of their paths."""
        written = {edge.target for edge in self.edges if edge.what in ("wrote", "contains")}
        return sorted((file for file in self.files() if file.key not in written), key=lambda file: file.path)


def weakest(marks: Iterator[Mark]) -> Mark:
    """Return the weakest of some marks; of none it is `proved`."""
    return MARKS[max((MARKS.index(mark) for mark in marks), default=0)]
