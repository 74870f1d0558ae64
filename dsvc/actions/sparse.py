"""Choose which part of the tree is checked out."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dsvc.errors import RequestError
from dsvc.objects import trees
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.values import Operation
from dsvc.workspace import Workspace
from dsvc.worktree import journal
from dsvc.worktree.checkout import Writer
from dsvc.worktree.drafts import Claims
from dsvc.worktree.index import ABSENT, DIRECTORY, UNKNOWN, Index
from dsvc.worktree.journal import Journal
from dsvc.worktree.known import blocks_of_tree
from dsvc.worktree.names import tells_names_apart
from dsvc.worktree.plan import LeavesOut, Plan, Planner
from dsvc.worktree.sparse import Includes, Sparse, read_patterns, write_patterns

SPARSE = "sparse"  # the key of an operation's metadata with the patterns before it and after it


@dataclass(frozen=True, slots=True)
class SparseResult:
    """The patterns now in force, how many files came and went, and those that were left because they hold changes."""

    patterns: tuple[bytes, ...]
    written: int = 0
    removed: int = 0
    kept: tuple[bytes, ...] = ()


def sparse_patterns(workspace: Workspace) -> tuple[bytes, ...]:
    """Return the patterns of this working copy; none for a full one."""
    return workspace.index().sparse or read_patterns(workspace.sparse_path)


def add_sparse(workspace: Workspace, patterns: Sequence[bytes]) -> SparseResult:
    """Check out what these patterns take in too; see `set_sparse`."""
    before = sparse_patterns(workspace)
    if not before:
        raise RequestError("the whole tree is checked out already", hint="dsvc sparse set FOLDER...")
    return set_sparse(workspace, tuple(dict.fromkeys((*before, *patterns))))


def set_sparse(workspace: Workspace, patterns: Sequence[bytes]) -> SparseResult:
    """Check out what the patterns take in (see dsvc.worktree.sparse), or everything where there are none.

    Other files leave the working copy, unless they hold changes; commits keep them as they are. A kill in the middle
    leaves more files than wanted and loses none: calling it again goes on. An operation of its own keeps the patterns
    before, so that it can be taken back.

    Raises:
        BadPatternError: before anything is changed. CheckoutRunningError: when another process writes here.
    """
    before = sparse_patterns(workspace)
    result = bring_in_line(workspace, patterns)
    if before != result.patterns:
        shown = " ".join(os.fsdecode(pattern) for pattern in patterns) or "everything"
        act = workspace.act("sparse", f"sparse: {shown}", metadata={SPARSE: (before, result.patterns)})
        workspace.publish(workspace.transaction(), act)
    return result


def bring_in_line(workspace: Workspace, patterns: Sequence[bytes]) -> SparseResult:
    """Do what `set_sparse` does, without an operation that says so."""
    return check_out_where(workspace, Sparse(patterns) if patterns else None, tuple(patterns))


def sparse_change(operation: Operation) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
    """Return the patterns before an operation and after it, None where it left them alone."""
    match operation.metadata.get(SPARSE):
        case (tuple() as before, tuple() as after):
            return tuple(p for p in before if isinstance(p, bytes)), tuple(p for p in after if isinstance(p, bytes))
    return None


def check_out_where(
    workspace: Workspace,
    wanted: Includes | None,
    patterns: tuple[bytes, ...] | None = None,
    *,
    drafts: Claims | None = None,
) -> SparseResult:
    """Check out the files that `wanted` takes in and no others; `patterns` are kept (None: those so far).

    Where `wanted` is None that is all, in a partial clone all that it wants or has.

    `drafts` have large files of them that were written already.

    Raises what `set_sparse` raises.
    """
    store, root = workspace.repo.store, workspace.root_bytes
    workspace.local.mkdir(parents=True, exist_ok=True)
    token = os.urandom(12)
    index = workspace.index()
    journal.begin(
        workspace.journal_path, Journal(index.tree, index.tree, token, os.getpid(), socket.gethostname())
    )
    try:
        index = workspace.index()
        folds = not tells_names_apart(workspace.local)
        leaves_out = workspace.leaves_out() if wanted is None else None
        plan = Planner(store, root, index, fold_names=folds, leaves_out=leaves_out).plan_sparse(wanted)
        workspace.keep_names(index.names)
        kept = {obstacle.path for obstacle in plan.obstacles}
        writes = [write for write in plan.writes if write[0] not in kept]
        comes = Plan(plan.base, plan.target, writes, settled=plan.settled, seen=plan.seen)
        goes = Plan(
            plan.base,
            trees.empty_tree(store),
            removals=[path for path in plan.removals if path not in kept],
            folders=plan.folders,
            seen=plan.seen,
        )
        names = index.names
        # First what comes, then the index, then what goes: at no moment does a file that is wanted look deleted.
        writer = Writer(store, root, workspace.scratch, names=names, progress=workspace.progress, drafts=drafts)
        written = writer.apply(comes)
        if patterns is not None:
            write_patterns(workspace.sparse_path, patterns)
        kept_patterns = index.sparse if patterns is None else patterns
        workspace.write_index(
            _index(workspace, index, kept_patterns, wanted, written=written, kept=kept, leaves_out=leaves_out)
        )
        Writer(store, root, workspace.scratch, names=names).apply(goes)
    finally:
        journal.end(workspace.journal_path)
    return SparseResult(kept_patterns, len(comes.writes), len(goes.removals), tuple(sorted(kept)))


def _index(
    workspace: Workspace,
    index: Index,
    patterns: tuple[bytes, ...],
    wanted: Includes | None,
    *,
    written: dict[bytes, bytes | None],
    kept: set[bytes],
    leaves_out: LeavesOut | None = None,
) -> Index:
    """Return the index of the partial working copy."""

    def sign(path: bytes, entry: Entry) -> bytes:
        before = index.get(path)
        if entry.kind == EntryKind.REFERENCE and before in (None, ABSENT) and path not in written:
            return ABSENT
        if path in kept:
            return before if before not in (None, ABSENT) else UNKNOWN
        if wanted is not None and not wanted.includes(path):
            return ABSENT
        if leaves_out is not None and before in (None, ABSENT) and path not in written and leaves_out(path, entry):
            return ABSENT
        now = written.get(path)
        if now is not None:
            return now
        return before if before is not None else DIRECTORY if entry.kind == EntryKind.TREE else UNKNOWN

    blocks = blocks_of_tree(workspace.repo.store, index.tree, sign)
    stamp = workspace.clock() if written else index.stamp
    return replace(index, stamp=stamp, blocks=blocks, sparse=patterns)
