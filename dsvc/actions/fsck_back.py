"""Where damage took what HEAD stands on and no copy is to be had: stand again on what can be read.

No file of the working copy is touched: what the lost commit had shows as changes, and the next commit takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.values import Operation
from dsvc.refs.names import added_of, head_of
from dsvc.refs.view import Direct, View
from dsvc.repo.mendlog import has_readable_refs, mend_head, readable_operations
from dsvc.repo.repository import Repository
from dsvc.workspace import Workspace


class StandsAgain(NamedTuple):
    """The operation that all refs went back to (None: the newest is whole), and where HEAD stands instead of `lost`.

    `ref` is the full name of the branch that was moved, or of a detached HEAD; None where nothing was, or could be.
    """

    back_to: Operation | None = None
    ref: str | None = None
    lost: CommitId | None = None
    commit_id: CommitId | None = None


def require_refs(repo: Repository) -> None:
    """Refuse to take anything out of a repository of which no refs would be left.

    Raises:
        IntegrityError: when no operation can be read.
    """
    if not has_readable_refs(repo):
        raise IntegrityError(
            "no refs can be read at all, so nothing was taken out",
            hint="put .dsvc/store back from a backup, or clone a remote and copy the files of this folder over",
        )


def stand_again(workspace: Workspace) -> StandsAgain:
    """Go back to the newest operation whose refs can be read, then let HEAD's branch be at a commit that can.

    That is what the branch was at before, or else the next of the first parents. Nothing happens where all is whole.

    Raises:
        IntegrityError: when no operation can be read. BusyError: when somebody published meanwhile.
    """
    repo = workspace.repo
    back_to = mend_head(repo, workspace.act("fsck", "fsck: back to the newest operation that can be read"))
    head = workspace.head()
    lost, ref = head.commit_id, head.branch or head_of(workspace.worktree_id)
    if lost is None or _is_whole(repo, lost):
        return StandsAgain(back_to)
    for commit_id in _earlier(repo, ref, lost):
        if _is_whole(repo, commit_id):
            transaction = repo.transaction()
            transaction.set(ref, Direct(Kind.COMMIT, ObjectId(commit_id)))
            transaction.delete(added_of(workspace.worktree_id))
            workspace.publish(transaction, workspace.act("fsck", f"fsck: back from {lost.hex()}, which is lost"))
            return StandsAgain(back_to, ref, lost, commit_id)
    return StandsAgain(back_to, None, lost)


def _is_whole(repo: Repository, commit_id: CommitId) -> bool:
    """Say whether a commit and all its folders can be read; contents are not looked at."""
    try:
        for _ in trees.walk(repo.store, repo.commit(commit_id).tree):
            pass
    except IntegrityError:
        return False
    return True


def _earlier(repo: Repository, ref: str, commit_id: CommitId) -> Iterator[CommitId]:
    """Yield where a ref was, the newest first, then the first parents of where it is, as far as they can be read."""
    seen = {commit_id}
    for _, operation in readable_operations(repo):
        try:
            found = View(repo.store, operation.view).get(ref)
        except IntegrityError:
            continue
        if isinstance(found, Direct) and found.kind == Kind.COMMIT and found.id not in seen:
            seen.add(CommitId(found.id))
            yield CommitId(found.id)
    try:
        while parents := repo.parents(repo.commit(commit_id)):
            commit_id = parents[0]
            yield commit_id
    except IntegrityError:
        return
