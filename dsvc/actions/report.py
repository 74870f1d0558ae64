"""Compare two versions of a project: metrics, parameters, data, code, runs, and whether gates hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dsvc.actions.report_values import Recorded, recorded_of
from dsvc.actions.revision import ancestry_below, revision_context
from dsvc.actions.runs import runs_if_any
from dsvc.actions.runs_diff import ValueChange
from dsvc.delivery.gates import Gate, Numbers, Verdict
from dsvc.errors import DsvcError
from dsvc.history.mergebase import merge_bases, only_in
from dsvc.history.ranges import split_range
from dsvc.history.revisions import RevisionContext, resolve_commit
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId
from dsvc.objects.tree import CONTENT_KINDS
from dsvc.refs.names import HEADS, REMOTES
from dsvc.refs.view import Symbolic
from dsvc.runs.index import RunIndex
from dsvc.runs.summary import Summary
from dsvc.workspace import Workspace

_DATA = 1 << 20  # bytes from which a file that no run met counts as data


class Side(NamedTuple):
    """A version: as it was named, its commit, and its numbers."""

    name: str
    commit: CommitId
    numbers: Numbers


class DataChange(NamedTuple):
    """A file that runs read or wrote, or a large one, and the run that wrote what stands there now."""

    path: bytes
    change: Change
    run: Summary | None


class Report(NamedTuple):
    """How `new` differs from `base`, which is None for a first commit.

    `metrics` and `params` have all names of both sides, those without a difference too. `runs` wrote what stands in the
    new version and did not stand in the base, `replaced` are runs of the base of which nothing stands any more.
    """

    base: Side | None
    new: Side
    commits: int
    metrics: tuple[ValueChange, ...]
    params: tuple[ValueChange, ...]
    data: tuple[DataChange, ...]
    code: tuple[Change, ...]
    runs: tuple[Summary, ...]
    replaced: tuple[Summary, ...]
    gates: tuple[Verdict, ...]

    def passed(self) -> bool:
        """Say whether no gate failed."""
        return all(verdict.passed is not False for verdict in self.gates)


def report(workspace: Workspace, text: str | None = None, *, gates: Sequence[str] = ()) -> Report:
    """Compare what a range names: `A..B`, `A...B` (B with where it left A), or `A`, which is A..HEAD.

    Without a range HEAD is compared with where it left the remote's main branch or the local one, and on that branch
    itself with the commit before.

    Raises:
        BadGateError: for a gate that is none. UnknownRevisionError, AmbiguousRevisionError: as they say.
    """
    understood = [Gate(gate) for gate in gates]
    context = revision_context(workspace)
    old, (name, new) = _sides(workspace, context, text)
    with runs_if_any(workspace) as index:
        now = recorded_of(workspace, workspace.tree_of(new), index)
        before = recorded_of(workspace, workspace.tree_of(old[1]), index) if old is not None else None
        data, code = _files(workspace, old[1] if old is not None else None, new, now, index)
    base = Side(old[0], old[1], before.numbers) if old is not None and before is not None else None
    numbers = before.numbers if before is not None else Numbers({}, {})
    there = {run.key for run in before.runs()} if before is not None else set()
    stays = {run.key for run in now.runs()}
    hidden = [old[1]] if old is not None else []
    own = only_in(ancestry_below(workspace, [new, *hidden]), new, hidden)
    return Report(
        base,
        Side(name, new, now.numbers),
        len(own),
        tuple(_changes(numbers.metrics, now.numbers.metrics)),
        tuple(_changes(numbers.params, now.numbers.params)),
        tuple(data),
        tuple(code),
        tuple(run for run in now.runs() if run.key not in there),
        tuple(run for run in (before.runs() if before is not None else ()) if run.key not in stays),
        tuple(gate.judge(now.numbers, base.numbers if base is not None else None) for gate in understood),
    )


def _sides(
    workspace: Workspace, context: RevisionContext, text: str | None
) -> tuple[tuple[str, CommitId] | None, tuple[str, CommitId]]:
    if text is None:
        return _usual(workspace, context)
    sides = split_range(text)
    left, right = (sides.left, sides.right) if sides is not None else (text, "HEAD")
    old, new = resolve_commit(context, left), resolve_commit(context, right)
    if sides is not None and sides.symmetric:
        found = merge_bases(context.ancestry(), old, new)
        return ((left, found[0]) if found else None), (right, new)
    return (left, old), (right, new)


def _usual(
    workspace: Workspace, context: RevisionContext
) -> tuple[tuple[str, CommitId] | None, tuple[str, CommitId]]:
    head = workspace.head()
    new = resolve_commit(context, "HEAD")
    shown = head.branch.removeprefix(HEADS) if head.branch else "HEAD"
    for name in _main_branches(workspace):
        try:
            old = resolve_commit(context, name)
        except DsvcError:
            continue
        found = merge_bases(context.ancestry(), old, new)
        if found and found[0] != new:
            return (name, found[0]), (shown, new)
    parents = workspace.repo.parents(workspace.repo.commit(new))
    return ((f"{shown}~1", parents[0]) if parents else None), (shown, new)


def _main_branches(workspace: Workspace) -> Iterator[str]:
    view = workspace.view()
    for name, ref in view.items(REMOTES):
        if name.endswith("/HEAD") and isinstance(ref, Symbolic):
            yield ref.target.removeprefix(REMOTES)
    yield workspace.config.get_str("init.defaultBranch") or "main"


def _files(
    workspace: Workspace, old: CommitId | None, new: CommitId, now: Recorded, index: RunIndex | None
) -> tuple[list[DataChange], list[Change]]:
    """Return the changed files: those that are data, and the others."""
    before = workspace.tree_of(old) if old is not None else None
    changes = [
        change
        for change in diff_trees(workspace.repo.store, before, workspace.tree_of(new))
        if any(entry is not None and entry.kind in CONTENT_KINDS for entry in (change.old, change.new))
    ]
    met: set[bytes] = set()
    if changes and index is not None:
        met = {c.path for c in changes if index.written(c.path)}
        ids = {entry.id for c in changes for entry in (c.old, c.new) if entry is not None}
        for file in index.meetings(ids, outputs=False).values():
            met |= {meeting.path for meeting in file if not _is_source(meeting.path)}
    data, code = [], []
    for change in changes:
        size = max(entry.size for entry in (change.old, change.new) if entry is not None)
        if change.path in met or size >= _DATA:
            data.append(DataChange(change.path, change, now.written.get(change.path)))
        else:
            code.append(change)
    return data, code


def _is_source(path: bytes) -> bool:
    """Say whether what a run read is a program or a file of settings, and so part of the code."""
    return path.rpartition(b".")[2].lower() in _SOURCES


_SOURCES = frozenset(b"py pyi ipynb r jl sh sql c h cpp cu js ts toml yaml yml cfg ini md txt lock".split())


def _changes(old: Mapping[str, Value], new: Mapping[str, Value]) -> Iterator[ValueChange]:
    for name in sorted(old.keys() | new.keys()):
        yield ValueChange(name, old.get(name), new.get(name))
