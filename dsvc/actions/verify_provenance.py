"""Walk a file, a run or a commit back to the raw data, and say what of all that is proved, claimed and missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsvc.actions.lineage import lineage
from dsvc.actions.lineage_graph import FileNode, Lineage, Mark, Node, RunNode
from dsvc.actions.lineage_target import present_entry
from dsvc.errors import DsvcError
from dsvc.objects import trees
from dsvc.objects.files import hash_content
from dsvc.objects.tree import CONTENT_KINDS, EntryKind
from dsvc.runs.record import Run
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not proved: a node, how bad it is, and a sentence about it."""

    node: Node
    mark: Mark
    text: str


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What was walked through, and what is not proved; `files` and `size` (bytes) count the content looked for."""

    graph: Lineage
    findings: tuple[Finding, ...]
    files: int
    size: int

    @property
    def mark(self) -> Mark:
        """The worst that was found."""
        marks = {finding.mark for finding in self.findings}
        return "missing" if "missing" in marks else "claimed" if "claimed" in marks else "proved"


def verify_provenance(
    workspace: Workspace, names: Sequence[str], *, paths: Sequence[bytes] = (), content: bool = False
) -> VerifyResult:
    """Walk back from what is named and check that everything is there; with `content` read and hash all files too.

    Looked for are the records, the whole source tree of each run, environments, commits, and the content of all files:
    in the store, or where they lie now with the same hash.

    Raises what `lineage` raises.
    """
    graph = lineage(workspace, names, paths=paths)
    checker = _Checker(workspace, graph, content=content)
    findings = tuple(checker.findings())
    return VerifyResult(graph, findings, len(checker.looked), sum(checker.looked.values()))


class _Checker:
    def __init__(self, workspace: Workspace, graph: Lineage, *, content: bool) -> None:
        self._workspace, self._graph, self._content = workspace, graph, content
        self._store = workspace.repo.store
        self._partial = workspace.content_filter() is not None
        self.looked: dict[bytes, int] = {}  # ids of files -> bytes
        self._bad: dict[bytes, str] = {}

    def findings(self) -> Iterator[Finding]:
        for root in self._graph.roots:
            node = self._graph.nodes[root]
            written = any(edge.target == root and edge.what in ("wrote", "contains") for edge in self._graph.edges)
            if isinstance(node, FileNode) and not written:
                yield Finding(node, "missing", "no run wrote it, as far as is known")
        for edge in self._graph.edges:
            if edge.mark != "proved" and not edge.also:
                node = self._graph.nodes[edge.source if edge.what in ("read", "began at", "ran in") else edge.target]
                yield Finding(node, edge.mark, edge.reason)
        for node in self._graph.nodes.values():
            yield from self._node(node)

    def _node(self, node: Node) -> Iterator[Finding]:
        if isinstance(node, RunNode):
            if node.run is None:
                yield Finding(node, "missing", "its record is not in this repository")
            elif node.run.authority == "workload":
                yield from self._source(node, node.run)
        elif isinstance(node, FileNode):
            yield from self._file(node)

    def _file(self, node: FileNode) -> Iterator[Finding]:
        if node.id is None:
            return  # the edge says so
        if node.is_folder:
            try:
                for path, entry in trees.walk(self._store, node.id, node.path + b"/"):
                    if entry.kind in CONTENT_KINDS and (text := self._lacks(path, entry.id, entry.size)):
                        yield Finding(node, "missing", f"{path.decode('utf-8', 'backslashreplace')} in it: {text}")
            except DsvcError:
                yield Finding(node, "missing", "what is in it is not stored")
        elif text := self._lacks(node.path, node.id, node.size):
            yield Finding(node, "missing", text)

    def _source(self, node: RunNode, run: Run) -> Iterator[Finding]:
        if run.source is None:
            yield Finding(node, "missing", "the source from which it began is not known")
            return
        lacking = 0
        try:
            for path, entry in trees.walk(self._store, run.source):
                if entry.kind in CONTENT_KINDS and self._lacks(path, entry.id, entry.size, stored=True):
                    lacking += 1
        except DsvcError:
            yield Finding(node, "missing", "the source from which it began is not in this repository")
            return
        if lacking:
            what = "were not fetched: this is a partial clone" if self._partial else "are not stored"
            yield Finding(node, "missing", f"{lacking:,} files of the source from which it began {what}")

    def _lacks(self, path: bytes, file: bytes, size: int, *, stored: bool = False) -> str:
        """Say what is wrong with content; empty where nothing is."""
        if file not in self.looked:
            self.looked[file] = size
            self._bad[file] = self._stored_badly(file)
        if not self._bad[file] or stored:
            return self._bad[file]
        return "" if self._lies_there(path, file) else self._bad[file]

    def _stored_badly(self, file: bytes) -> str:
        if not self._store.has_file(file):
            if self._partial:
                return "its content was not fetched: this is a partial clone"
            return "its content is neither stored nor where it was"
        if self._content:
            try:
                for _ in self._store.file_chunks(file):
                    pass
            except DsvcError as error:
                return f"its content is damaged: {error.message}"
        return ""

    def _lies_there(self, path: bytes, file: bytes) -> bool:
        """Say whether a file lies where it was, with the same content."""
        try:
            if path.startswith(b"/"):
                with open(path, "rb", buffering=0) as stream:
                    return bytes(hash_content(stream.read)) == file
            here = present_entry(self._workspace, path)
            return here is not None and here.kind != EntryKind.TREE and here.id == file
        except (DsvcError, OSError):
            return False
