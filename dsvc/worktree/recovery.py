"""Move a working copy from one tree to another, so that a kill at any moment leaves it recoverable."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dsvc.history.treediff import directory_of
from dsvc.objects.ids import OperationId, TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import FILE_KINDS
from dsvc.objects.trees import lookup
from dsvc.progress import Progress
from dsvc.refs.log import OperationLog
from dsvc.worktree import journal
from dsvc.worktree.checkout import Writer
from dsvc.worktree.drafts import Claims
from dsvc.worktree.index import DATASET, Index, parents
from dsvc.worktree.journal import CheckoutRunningError, Journal
from dsvc.worktree.known import unread
from dsvc.worktree.names import tells_names_apart
from dsvc.worktree.plan import LeavesOut, Plan, Planner

if TYPE_CHECKING:
    from dsvc.worktree.delegation import Delegation

JOURNAL = "journal"  # the key of an operation's metadata that names its journal
_LOOK_BACK = 100_000


class Place(Protocol):
    """What a checkout needs of a workspace."""

    progress: Progress

    @property
    def journal_path(self) -> Path: ...
    @property
    def scratch(self) -> Path: ...
    @property
    def root_bytes(self) -> bytes: ...
    def index(self) -> Index: ...
    def write_index(self, index: Index) -> None: ...
    def clock(self) -> int: ...
    def leaves_out(self) -> LeavesOut | None: ...
    def says_erased(self) -> LeavesOut | None: ...
    def datasets(self) -> Delegation | None: ...


def move_files(
    place: Place,
    store: ObjectStore,
    index: Index,
    plan: Plan,
    *,
    new_tree: TreeId,
    publish: Callable[[bytes], OperationId | None],
    drafts: Claims | None = None,
) -> None:
    """Carry out `plan`, then `publish(token)`, then write the index, which stands for `new_tree` afterwards.

    `drafts` have large files of the plan that were written already. `publish` must record the token under `JOURNAL` in
    its operation's metadata. When it fails, the files go back.

    Raises:
        InTheWayError: before anything was written. CheckoutRunningError: when another process is at it.
    """
    if plan.obstacles:
        Writer(store, place.root_bytes, place.scratch, names=index.names).apply(plan)  # raises, naming them
    token = os.urandom(12)
    record = Journal(index.tree, new_tree, token, os.getpid(), socket.gethostname())
    place.journal_path.parent.mkdir(parents=True, exist_ok=True)
    journal.begin(place.journal_path, record)
    writer = Writer(
        store,
        place.root_bytes,
        place.scratch,
        names=index.names,
        progress=place.progress,
        drafts=drafts,
        datasets=place.datasets(),
    )
    before = index.tree
    try:
        changed = _carry_out(place, writer, plan)
        stamp = place.clock()
        publish(token)
    except Exception:
        # An interrupt may come when the head has moved already: the journal stays, and the next command sees which.
        _go_to(place, store, place.index(), before, new_tree)
        journal.end(place.journal_path)
        raise
    # A folder of which the target has nothing may hold what was carried along.
    carried = {f for f in plan.folders if changed.get(f, b"") is None and _has_folder(store, new_tree, f)}
    index.restamp(stamp)
    index.update({path: sig for path, sig in changed.items() if path not in carried})
    index.tree = new_tree
    place.write_index(index)
    journal.end(place.journal_path)


def _carry_out(place: Place, writer: Writer, plan: Plan) -> dict[bytes, bytes | None]:
    files = [entry.size for _, entry in plan.writes if entry.kind in FILE_KINDS]
    place.progress.start("Writing files", total_bytes=sum(files), total_items=len(files))
    try:
        return writer.apply(plan)
    finally:
        place.progress.finish()


def recover(place: Place, store: ObjectStore, log: OperationLog, head: OperationId) -> str | None:
    """Finish or take back a checkout whose process died; return what was done in words, None where none was.

    It is finished when its operation was published, taken back otherwise. Files that somebody changed since are left.

    Raises:
        CheckoutRunningError: when its process still runs.
    """
    record = journal.read(place.journal_path)
    if record is None:
        return None
    if journal.is_alive(place.journal_path, record):
        raise CheckoutRunningError(record.pid, record.host)
    record = journal.take_over(place.journal_path, record)
    if record is None:
        return None
    shutil.rmtree(place.scratch, ignore_errors=True)
    recent = (operation for (_, operation), _ in zip(log.walk(head), range(_LOOK_BACK), strict=False))
    published = any(operation.metadata.get(JOURNAL) == record.token for operation in recent)
    if published:
        _go_to(place, store, place.index(), record.after, record.before)
    else:
        _go_to(place, store, place.index(), record.before, record.after)
    journal.end(place.journal_path)
    return "finished" if published else "taken back"


def _go_to(place: Place, store: ObjectStore, index: Index, goal: TreeId, other: TreeId) -> None:
    """Bring the files that differ between two trees to `goal`; those with any other content stay as they are."""
    datasets = place.datasets()
    erased = place.says_erased()
    planner = Planner(
        store,
        place.root_bytes,
        index,
        fold_names=not tells_names_apart(place.journal_path.parent),
        leaves_out=place.leaves_out(),
        datasets=datasets,
        erased=erased,
    )
    plan = planner.plan(other, goal)
    blocked = {o.path for o in plan.obstacles}
    around = parents(blocked)
    left: dict[bytes, bytes | None] = {}

    def stays(path: bytes) -> bool:
        """Say whether something else stands at a path, above it or below it."""
        return path in blocked or path in around or not blocked.isdisjoint(parents([path]))

    for path, entry in plan.writes:
        if stays(path):
            left[path] = unread(entry)
    left |= dict.fromkeys([path for path in plan.removals if stays(path)])
    plan.writes = [(p, e) for p, e in plan.writes if p not in left]
    plan.removals = [p for p in plan.removals if p not in left]
    plan.leaving = [p for p in plan.leaving if not stays(p)]
    left |= {p: DATASET for p, _ in plan.datasets if stays(p)}
    plan.datasets = [(p, e) for p, e in plan.datasets if not stays(p)]
    plan.folders -= around
    plan.obstacles = []
    scratch, names = place.scratch, index.names
    writer = Writer(store, place.root_bytes, scratch, names=names, progress=place.progress, datasets=datasets)
    changed = _carry_out(place, writer, plan)
    index.restamp(place.clock())
    index.update({**left, **_without_kept_folders(store, plan, changed, goal)})
    index.tree = goal
    place.write_index(index)


def _without_kept_folders(
    store: ObjectStore, plan: Plan, changed: Mapping[bytes, bytes | None], tree: TreeId
) -> dict[bytes, bytes | None]:
    """Return the changes of an index without folders that the plan's target has not, but the index's tree has."""
    if tree == plan.target:
        return dict(changed)

    return {path: sig for path, sig in changed.items() if sig is not None or not _has_folder(store, tree, path)}


def _has_folder(store: ObjectStore, tree: TreeId, path: bytes) -> bool:
    return directory_of(lookup(store, tree, path)) is not None
