"""Where a file, a run or a commit came from, and what came of it: a join of runs and commits by the ids of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from dsvc.actions.decorations import decorations
from dsvc.actions.deployments import served_files
from dsvc.actions.lineage_commits import find_commits, find_tips
from dsvc.actions.lineage_graph import (
    CommitNode,
    Direction,
    Edge,
    EnvironmentNode,
    FileNode,
    Lineage,
    Mark,
    Node,
    RunNode,
    What,
)
from dsvc.actions.lineage_models import find_models
from dsvc.actions.lineage_target import CommitTarget, FileTarget, RunTarget, Target, find_targets
from dsvc.actions.run_standing import Standing
from dsvc.actions.runs import open_runs
from dsvc.environments import decode_environment
from dsvc.errors import DsvcError
from dsvc.history.treediff import diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, EnvironmentId, Kind, ObjectId
from dsvc.objects.tree import CONTENT_KINDS, EntryKind
from dsvc.refs.names import DEPLOYMENTS
from dsvc.refs.view import Direct
from dsvc.runs.index import Meeting, RunIndex
from dsvc.runs.names import RunKey, run_ref
from dsvc.runs.pins import Pin, PinState, Seen, read_pins
from dsvc.runs.record import Run, decode_run
from dsvc.workspace import Workspace

_COUNTED = 1000  # files by which the source of a run differs from its commit
_NOBODY = "no run explains it"
_NodeT = TypeVar("_NodeT", bound=Node)


def lineage(
    workspace: Workspace, names: Sequence[str], *, direction: Direction = "up", paths: Sequence[bytes] = ()
) -> Lineage:
    """Return the graph above or below what is named: `PATH@ID`, `REV:PATH`, a model, a run, a revision; and `paths`.

    Upwards a file leads to the runs that wrote it, a run to what it read, to the commit that was checked out and to its
    environment. Of several runs that wrote the same content the newest before its use is followed, one that wrote it at
    this path before others. Downwards a file leads to the runs that read it, and these to what they wrote. All
    recorded runs count, whatever branch or fork they were made on, and commits of all branches, tags and remotes.

    Raises:
        UnknownTargetError: for what names nothing. UnknownRunError, UnknownRevisionError: as they say.
    """
    with open_runs(workspace) as index:
        targets = find_targets(workspace, index, names, paths=paths)
        walk = _Walk(workspace, index, direction)
        for target in targets:
            walk.begin(target)
        walk.go()
        walk.finish()
        return walk.graph


class _Walk:
    def __init__(self, workspace: Workspace, index: RunIndex, direction: Direction) -> None:
        self.graph = Lineage(direction)
        self._workspace, self._index = workspace, index
        self._store, self._view = workspace.repo.store, workspace.view()
        self._up = direction == "up"
        self._runs: list[RunKey] = []  # that are still to be followed
        self._done: set[RunKey] = set()
        self._standing: Standing | None = None  # in the version that was asked for
        self._edges: set[tuple[str, str, What]] = set()
        self._files: dict[str, RunKey | None] = {}  # file -> the youngest run that it may come of
        self._refs = {
            commit: tuple(f"{DEPLOYMENTS}{ref.name}" if ref.kind == "deployment" else ref.name for ref in refs)
            for commit, refs in decorations(workspace).items()
        }

    # What was asked for.

    def begin(self, target: Target) -> None:
        if isinstance(target, RunTarget):
            self.graph.roots.append(self._run_node(target.key).key)
            self._runs.append(target.key)
        elif isinstance(target, FileTarget):
            node = self._file_node(target.path, target.kind, target.id, target.size)
            self.graph.roots.append(node.key)
            self._standing = Standing(self._store, self._index, self._workspace.head_tree())
            self._follow_file(node, None, frozenset())
        else:
            self._begin_commit(target)

    def _begin_commit(self, target: CommitTarget) -> None:
        node = self._commit_node(target.id)
        self.graph.roots.append(node.key)
        commit = node.commit
        if commit is None:
            return
        self._standing = Standing(self._store, self._index, commit.tree)
        parents = [self._workspace.tree_of(parent) for parent in self._workspace.repo.parents(commit)]
        if self._up:
            found = [
                (path, entry)
                for path, file in self._index.written_files()
                if (entry := trees.lookup(self._store, commit.tree, path)) is not None and entry.id == file
            ]
        else:
            changes = diff_trees(self._store, parents[0] if parents else None, commit.tree)
            found = [(c.path, c.new) for c in changes if c.new is not None and c.new.kind in CONTENT_KINDS]
        for path, entry in found:
            file = self._file_node(path, EntryKind(entry.kind), ObjectId(entry.id), entry.size)
            if self._up:
                self._edge(file.key, node.key, "holds", "proved")
                self._follow_file(file, None, frozenset())
            elif self._follow_file(file, None, frozenset()):
                self._edge(node.key, file.key, "holds", "proved")
        if not self._up:
            for key in self._index.began_at(target.id):
                self._edge(node.key, self._run_node(key).key, "began at", "proved")
                self._runs.append(key)

    # The walk.

    def go(self) -> None:
        while self._runs:
            key = self._runs.pop()
            if key not in self._done:
                self._done.add(key)
                node = self.graph.nodes[run_key(key)]
                if isinstance(node, RunNode) and node.run is not None:
                    (self._above if self._up else self._below)(node, node.run)

    def _above(self, node: RunNode, run: Run) -> None:
        around = self._around(run)
        for pin in self._pins(run, outputs=False):
            file = self._pin_node(pin)
            mark, reason = _mark(pin.state, pin.seen)
            if run.authority == "correction":
                reason = "what stood there before"
            self._edge(file.key, node.key, "read", mark, reason)
            self._follow_file(file, run.key, around)
        if run.parent is not None:
            parent = self._run_node(run.parent)
            self._edge(parent.key, node.key, "around", *(("proved", "") if parent.run else _gone("its record")))
        if run.base is not None:
            commit = self._commit_node(run.base)
            here = commit.commit is not None
            self._edge(commit.key, node.key, "began at", *(("proved", "") if here else _gone("it")))
            if commit.commit is not None and run.source is not None:
                with suppress(DsvcError):
                    changes = diff_trees(self._store, commit.commit.tree, run.source)
                    self.graph.changed[node.key] = sum(1 for _ in zip(range(_COUNTED), changes, strict=False))
        if run.environment is not None:
            environment = self._environment_node(run.environment)
            here = environment.environment is not None
            self._edge(environment.key, node.key, "ran in", *(("proved", "") if here else _gone("it")))

    def _below(self, node: RunNode, run: Run) -> None:
        for pin in self._pins(run, outputs=True):
            file = self._pin_node(pin)
            self._edge(node.key, file.key, "wrote", *_written(pin.state, pin.seen, run.authority))
            self._follow_file(file, run.key, self._around(run))

    def _follow_file(self, node: FileNode, run: RunKey | None, around: frozenset[RunKey]) -> bool:
        """Go on from a file that `run` met, and say whether that led anywhere."""
        if node.is_folder:
            return self._follow_folder(node, run, around)
        met = self._meetings(node)
        return self._writers(node, met, run, around) if self._up else self._readers(node, met, run)

    def _meetings(self, node: FileNode) -> list[Meeting]:
        if node.id is None:
            return []
        met = self._index.meetings([node.id], outputs=self._up).get(node.id, [])
        return met if node.size else [meeting for meeting in met if meeting.path == node.path]

    def _writers(
        self, node: FileNode, met: Sequence[Meeting], run: RunKey | None, around: frozenset[RunKey]
    ) -> bool:
        before = [m for m in met if run is None or (m.key < run and m.key not in around)]
        # Equal content elsewhere is a coincidence where somebody wrote it here, and a copy where nobody did.
        before = [m for m in before if m.path == node.path and m.state == PinState.PINNED] or before
        strangers: set[RunKey] = set()
        if run is None and self._standing is not None:  # what a run read was there before what stands now
            strangers = self._standing.strangers({meeting.key for meeting in before})
        best = self._index.origin(before, node.path, strangers)
        if best is None:
            return False
        seen: set[RunKey] = set()
        for meeting in sorted(before, key=lambda m: m is not best):
            if meeting.key in seen:
                continue
            seen.add(meeting.key)
            writer = self._run_node(meeting.key)
            authority = writer.run.authority if writer.run is not None else "workload"
            mark = _written(meeting.state, meeting.seen, authority)
            self._edge(writer.key, node.key, "wrote", *mark, also=meeting is not best)
        self._runs.append(best.key)
        return True

    def _readers(self, node: FileNode, met: Sequence[Meeting], run: RunKey | None) -> bool:
        after = [meeting for meeting in met if run is None or meeting.key > run]
        if any(meeting.path != node.path for meeting in after):
            assert node.id is not None
            written = {m.path for m in self._index.meetings([node.id], outputs=True).get(node.id, ())}
            after = [m for m in after if m.path == node.path or m.path not in written]
        for meeting in after:
            reader = self._run_node(meeting.key)
            self._edge(node.key, reader.key, "read", *_mark(meeting.state, meeting.seen))
            self._runs.append(meeting.key)
        return bool(after)

    def _follow_folder(self, node: FileNode, run: RunKey | None, around: frozenset[RunKey]) -> bool:
        """Go on from the files in a folder that lead anywhere."""
        led = False
        with suppress(DsvcError):
            assert node.id is not None
            prefix = node.path + b"/" if node.path else b""
            for path, entry in trees.walk(self._store, node.id, prefix):
                if entry.kind not in CONTENT_KINDS:
                    continue
                file = FileNode(path, ObjectId(entry.id), entry.size, self._store.has_file(entry.id))
                known = file.key in self.graph.nodes
                if self._follow_file(file, run, around):
                    self.graph.nodes[file.key] = file
                    ends = (file.key, node.key) if self._up else (node.key, file.key)
                    self._edge(*ends, "contains", "proved")
                    led = True
                elif not known:
                    self.graph.nodes.pop(file.key, None)
        return led

    def _around(self, run: Run) -> frozenset[RunKey]:
        """Return the runs around a run, which cannot have written what it read."""
        found: set[RunKey] = set()
        parent = run.parent
        while parent is not None and parent not in found:
            found.add(parent)
            node = self._run_node(parent, keep=False)
            parent = node.run.parent if node.run is not None else None
        return frozenset(found)

    # Nodes and edges.

    def _pins(self, run: Run, *, outputs: bool) -> Iterable[Pin]:
        found: list[Pin] = []
        with suppress(DsvcError):  # its table was not fetched
            found.extend(read_pins(self._store, run.outputs if outputs else run.inputs))
        return found

    def _pin_node(self, pin: Pin) -> FileNode:
        if pin.id is None:
            return self._keep(FileNode(pin.path, None))
        return self._file_node(pin.path, pin.kind or EntryKind.FILE, pin.id, pin.size)

    def _file_node(self, path: bytes, kind: EntryKind, object_id: ObjectId, size: int) -> FileNode:
        folder = kind == EntryKind.TREE
        stored = self._store.has(object_id, Kind.TREE) if folder else self._store.has_file(object_id)
        return self._keep(FileNode(path, object_id, size, stored, folder))

    def _run_node(self, key: RunKey, *, keep: bool = True) -> RunNode:
        known = self.graph.nodes.get(run_key(key))
        if isinstance(known, RunNode):
            return known
        summary, node = self._index.summary(key), RunNode(key)
        ref = self._view.get(run_ref(key))
        if summary is not None and isinstance(ref, Direct):
            with suppress(DsvcError):
                node = RunNode(key, summary.run_id, summary, decode_run(self._store.get(ref.id, Kind.RUN)))
        return self._keep(node) if keep else node

    def _commit_node(self, commit_id: CommitId) -> CommitNode:
        commit = None
        with suppress(DsvcError):
            commit = self._workspace.repo.commit(commit_id)
        return self._keep(CommitNode(commit_id, commit, self._refs.get(commit_id, ())))

    def _environment_node(self, environment_id: EnvironmentId) -> EnvironmentNode:
        environment = None
        with suppress(DsvcError):
            environment = decode_environment(self._store.get(environment_id, Kind.ENVIRONMENT))
        return self._keep(EnvironmentNode(environment_id, environment))

    def _keep(self, node: _NodeT) -> _NodeT:
        self.graph.nodes.setdefault(node.key, node)
        return node

    def _edge(
        self, source: str, target: str, what: What, mark: Mark, reason: str = "", *, also: bool = False
    ) -> None:
        if (source, target, what) not in self._edges:
            self._edges.add((source, target, what))
            self.graph.edges.append(Edge(source, target, what, mark, reason, also))

    def finish(self) -> None:
        """Add the commits that brought the files, the branches at whose tips they stand, the models that they are."""
        for file, model in find_models(self._workspace, list(self.graph.files())):
            self._edge(file.key, self._keep(model).key, "became", "proved")
        files = [file for file in self.graph.files() if file.id is not None and not file.path.startswith(b"/")]
        for file, commit_id in find_commits(self._workspace, files):
            self._edge(self._commit_node(commit_id).key, file.key, "holds", "proved")
        for file, names in find_tips(self._workspace, files):
            self.graph.tips[file.key] = names
        served = served_files(self._workspace)
        for file in files:
            names = served.get((file.path, bytes(file.id or b"")), ())
            if names:
                self.graph.tips[file.key] = (*self.graph.tips.get(file.key, ()), *names)


def run_key(key: RunKey) -> str:
    """Return the key of a run's node."""
    return f"run:{key.hex()}"


def _mark(state: PinState, seen: Seen) -> tuple[Mark, str]:
    if state == PinState.MISSING:
        return "missing", "it was gone before it could be looked at"
    if state == PinState.CHANGED:
        return "claimed", "it was changed while the run went on"
    return ("claimed", "declared, and not observed") if seen == Seen.DECLARED else ("proved", "")


def _written(state: PinState, seen: Seen, authority: str) -> tuple[Mark, str]:
    if authority == "correction":
        return "missing", _NOBODY
    return _mark(state, seen)


def _gone(what: str) -> tuple[Mark, str]:
    return "missing", f"{what} is not in this repository"
