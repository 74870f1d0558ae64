"""Which runs explain the changes of a commit, and what none explains: a join by the ids of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from dsvc.actions.runs import has_runs, open_runs
from dsvc.contents.path_rules import matcher, parse
from dsvc.errors import DsvcError
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, RunId, TreeId
from dsvc.objects.tree import FILE_KINDS
from dsvc.objects.values import Commit
from dsvc.runs.index import Meeting, RunIndex
from dsvc.runs.names import RunKey
from dsvc.runs.pins import PinState
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Claims:
    """The runs that wrote what changed, in order of their begin, and changed files that are not explained.

    A run should explain a file that some run once wrote, or that matches `provenance.outputs`.
    """

    runs: tuple[RunId, ...] = ()
    unclaimed: tuple[Change, ...] = ()


def claims(workspace: Workspace, tree: TreeId, parents: Sequence[CommitId]) -> Claims:
    """Return what explains the files in which a tree differs from each of these commits.

    Of several runs that wrote the same content the newest counts, but one that wrote it at this path before others, and
    a run before what repeated it.
    An empty file is explained only at its path.
    """
    is_output = output_test(workspace)
    if is_output is None and not has_runs(workspace):
        return Claims()
    changes = _changes(workspace, tree, parents)
    if not changes:
        return Claims()
    with open_runs(workspace) as index:
        met = index.meetings({change.new.id for change in changes if change.new is not None}, outputs=True)
        keys: set[RunKey] = set()
        unclaimed: list[Change] = []
        for change in changes:
            assert change.new is not None
            best = _best(index, met.get(change.new.id, ()), change)
            if best is not None:
                keys.add(best)
            elif should_be_claimed(index, change.path, is_output):
                unclaimed.append(change)
        rows = [index.summary(key) for key in sorted(keys)]
    return Claims(tuple(row.run_id for row in rows if row is not None), tuple(unclaimed))


@contextmanager
def late_runs(workspace: Workspace) -> Iterator[Callable[[Commit], tuple[RunId, ...]]]:
    """Give what finds the runs of a commit that names none, because their records came only after it was made.

    Runs that began after the commit are none of them: they wrote the same again.
    """
    if not has_runs(workspace):
        yield lambda _commit: ()
        return
    with open_runs(workspace) as index:

        def find(commit: Commit) -> tuple[RunId, ...]:
            with suppress(DsvcError):  # a parent that is cut off, or trees that were not fetched
                changes = _changes(workspace, commit.tree, workspace.repo.parents(commit))
                met = index.meetings({c.new.id for c in changes if c.new is not None}, outputs=True)
                found: set[RunKey] = set()
                for change in changes:
                    assert change.new is not None
                    best = _best(index, met.get(change.new.id, ()), change)
                    if best is not None:
                        found.add(best)
                rows = [index.summary(key) for key in sorted(found)]
                return tuple(row.run_id for row in rows if row is not None and row.start <= commit.author.time)
            return ()

        yield find


def find_unclaimed(workspace: Workspace, index: RunIndex, changes: Iterable[Change]) -> list[Change]:
    """Return those of some changed files, with their new ids, that no run explains though one should."""
    is_output = output_test(workspace)
    found = []
    for change in changes:
        assert change.new is not None
        if should_be_claimed(index, change.path, is_output):
            met = index.meetings([change.new.id], outputs=True).get(change.new.id, ())
            if _best(index, met, change) is None:
                found.append(change)
    return found


def should_be_claimed(index: RunIndex, path: bytes, is_output: Callable[[bytes], bool] | None) -> bool:
    """Say whether a run should explain what stands at a path."""
    return (is_output is not None and is_output(path)) or bool(index.written(path))


def output_test(workspace: Workspace) -> Callable[[bytes], bool] | None:
    """Return what says whether a path matches `provenance.outputs`, None where nothing is set there."""
    patterns = workspace.config.get_list("provenance.outputs")
    if not patterns:
        return None
    lines = [pattern.encode("utf-8", "surrogateescape") + b"\n" for pattern in patterns]
    rules = [(rule, matcher(rule)) for rule in parse(lines, b"provenance.outputs", base=b"")]

    def test(path: bytes) -> bool:
        above = [path]
        while b"/" in above[-1]:
            above.append(above[-1].rpartition(b"/")[0])
        wanted = False
        for rule, match in rules:  # the last one that matches decides, as in .dsvcignore
            for place in above[1:] if rule.directory_only else above:
                if match(place if rule.anchored else place.rpartition(b"/")[2]):
                    wanted = not rule.negated
                    break
        return wanted

    return test


def _changes(workspace: Workspace, tree: TreeId, parents: Sequence[CommitId]) -> list[Change]:
    store = workspace.repo.store
    before = [workspace.tree_of(parent) for parent in parents]
    changes = diff_trees(store, before[0] if before else None, tree)
    return [
        change
        for change in changes
        if change.new is not None
        and change.new.kind in FILE_KINDS
        and all(trees.lookup(store, other, change.path) != change.new for other in before[1:])
    ]


def _best(index: RunIndex, meetings: Sequence[Meeting], change: Change) -> RunKey | None:
    pinned = [meeting for meeting in meetings if meeting.state == PinState.PINNED]
    if change.new is None or not change.new.size:
        pinned = [meeting for meeting in pinned if meeting.path == change.path]
    best = index.origin(pinned, change.path)
    return best.key if best is not None else None
