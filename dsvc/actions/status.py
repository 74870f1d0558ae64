"""What a commit would take, and what the worktree is in the middle of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from dsvc.actions.changes import WorkingChanges, changes_against, working_changes
from dsvc.actions.state import WorktreeState, read_state
from dsvc.errors import DsvcError
from dsvc.history.treediff import Change
from dsvc.objects.ids import CommitId
from dsvc.refs.names import RUNS, bisect_of
from dsvc.workspace import Workspace
from dsvc.worktree.absent import absent_paths
from dsvc.worktree.index import Index
from dsvc.worktree.scan import Skipped

if TYPE_CHECKING:
    from dsvc.actions.distance import Distance
    from dsvc.actions.filediff import FileDiff


class StatusResult(NamedTuple):
    """Where the worktree stands and what differs there from its commit.

    `changes` are files of the commit that were modified or deleted; `added` those that `dsvc add` stored; `renamed` are
    deleted files that live on, alike at least, as added ones, and count among neither. `new` are paths that the commit
    has not, folders with a slash at the end when they are shown as one.
    """

    branch: str | None
    commit_id: CommitId | None
    changes: tuple[Change, ...]
    added: tuple[Change, ...]
    renamed: tuple[FileDiff, ...]
    new: tuple[bytes, ...]
    skipped: tuple[Skipped, ...]
    state: WorktreeState | None
    bisecting: bool = False
    distance: Distance | None = None  # from what the branch follows
    unclaimed: tuple[bytes, ...] = ()  # changed or new files that a run should explain, and none does
    absent: tuple[bytes, ...] = ()  # files, and folders as one, whose content is not here; a commit keeps them

    def is_clean(self) -> bool:
        """Say whether a commit would take nothing."""
        return not (self.changes or self.added or self.renamed or self.new or self.state)


def status(
    workspace: Workspace, *, paths: Sequence[bytes] = (), all_files: bool = False, ids: bool = False
) -> StatusResult:
    """Compare the working copy with HEAD's commit.

    Only the stat of a file is looked at where that tells whether it changed, unless `ids` asks for the ids of new
    contents; the others are `UNREAD`. What was found out is kept in the index.

    Raises:
        UnreadableError: naming a file or folder that may not be read.
    """
    head = workspace.head()
    stamp = _clock(workspace)
    found = working_changes(workspace, paths=paths, collapse=not all_files, ids=ids)
    head_tree = workspace.head_tree()
    changes, added = [], []
    for change in changes_against(workspace, head_tree, paths=paths, found=found):
        if change.old is not None:
            changes.append(change)
        elif change.path not in found.new:
            added.append(change)
    listed = {change.path for change in changes}  # a file in place of an empty folder is new and no new path
    new = sorted([*(found.new - listed), *(path + b"/" for path in found.new_folders)])
    if found.refreshed and not paths and stamp is not None:
        _refresh(workspace, found, stamp)
    state = read_state(workspace)
    unclaimed = _unclaimed(workspace, [*changes, *added], new)
    changes, added, renamed = _renamed(workspace, found.index, state, changes, added)
    return StatusResult(
        head.branch,
        head.commit_id,
        tuple(changes),
        tuple(added),
        tuple(renamed),
        tuple(new),
        tuple(found.skipped),
        state,
        workspace.view().get(bisect_of(workspace.worktree_id)) is not None,
        _distance(workspace, head.branch) if head.commit_id is not None else None,
        tuple(unclaimed),
        tuple(_absent(workspace, found, paths)),
    )


def _absent(workspace: Workspace, found: WorkingChanges, paths: Sequence[bytes]) -> Iterator[bytes]:
    """Yield what is absent on purpose, at or below `paths`; what somebody has put in its place is not."""
    changed = found.entries.keys()
    for path in absent_paths(found.index, workspace.repo.store):
        asked = not paths or any(path == p or path.startswith(p + b"/") or p.startswith(path + b"/") for p in paths)
        if asked and path not in changed:
            yield path


def _unclaimed(workspace: Workspace, changes: Sequence[Change], new: Sequence[bytes]) -> list[bytes]:
    """Return the files that a run should explain and none does; none where runs cannot be looked up."""
    if not (changes or new):
        return []
    if next(workspace.view().items(RUNS), None) is None and not workspace.config.get_list("provenance.outputs"):
        return []
    from dsvc.actions.corrections import unclaimed_now

    with suppress(DsvcError, OSError):
        return unclaimed_now(workspace, changes, new=new)
    return []


def _distance(workspace: Workspace, branch: str | None) -> Distance | None:
    if branch is None or not workspace.config.section("branch"):
        return None
    from dsvc.actions.distance import distance

    return distance(workspace, branch)


def _renamed(
    workspace: Workspace, index: Index, state: WorktreeState | None, changes: list[Change], added: list[Change]
) -> tuple[list[Change], list[Change], list[FileDiff]]:
    """Take deleted files out of `changes` that live on as added ones, and these out of `added`."""
    conflicts = {conflict.path for conflict in state.conflicts} if state is not None else set()
    gone = [change for change in changes if change.new is None and change.path not in conflicts]
    fresh = [change for change in added if change.path not in conflicts]
    if not gone or not fresh:
        return changes, added, []
    from dsvc.actions.filediff import Sides, paired

    files, _ = paired([*gone, *fresh], Sides.on_disk(workspace, index))
    renamed = [file for file in files if file.status == "R"]
    old, new = {file.old_path for file in renamed}, {file.path for file in renamed}
    return [c for c in changes if c.path not in old], [c for c in added if c.path not in new], renamed


def _clock(workspace: Workspace) -> int | None:
    try:
        return workspace.clock()
    except OSError:
        return None  # a full or read-only disk: status still tells the truth


def _refresh(workspace: Workspace, found: WorkingChanges, stamp: int) -> None:
    """Keep the signatures of files that were read and found unchanged, so that they are not read again.

    `stamp` is a time before the first of them was looked at: whatever was written since then stays racy. Nothing is
    kept when another process replaced the index meanwhile.
    """
    if workspace.journal_path.exists():
        return
    index = workspace.index()
    if (index.tree, index.stamp) != (found.index.tree, found.index.stamp):
        return
    index.update({**found.refreshed, **found.doubtful})
    index.stamp = stamp
    with suppress(OSError):
        workspace.write_index(index)
