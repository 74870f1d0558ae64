"""Move the branch to another commit, and the files too if that is wanted."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dsvc.actions.checkout import checkout, keep_index_tree
from dsvc.actions.overwrite import overwrite_working_copy
from dsvc.actions.revision import commit_of
from dsvc.actions.state import read_state, require_no_state, set_state
from dsvc.objects.ids import CommitId
from dsvc.workspace import Workspace

ResetMode = Literal["soft", "mixed", "hard", "keep"]


class ResetResult(NamedTuple):
    """The branch (None: detached) that was moved, from which commit (None: it had none) to which."""

    branch: str | None
    old_commit: CommitId | None
    commit_id: CommitId
    mode: ResetMode
    ended: str | None


def reset(workspace: Workspace, target: str = "HEAD", *, mode: ResetMode = "mixed") -> ResetResult:
    """Let the branch, or a detached HEAD, point to `target`.

    `soft` and `mixed` leave all files alone; they differ in what is under way: `soft` refuses then, `mixed` ends it.
    `hard` makes every known file as the commit has it, after storing what they hold for `undo`; files that nobody
    committed or added stay. `keep` moves the files and refuses where that would touch a changed one.

    Raises:
        UnknownRevisionError: when there is no such commit. InTheWayError: with `keep`, or for a folder in the way.
        OperationUnderWayError: with `soft` and `keep` in the middle of a merge.
    """
    commit_id = commit_of(workspace, target)
    head = workspace.head()
    state = read_state(workspace)
    if mode in ("soft", "keep"):
        require_no_state(workspace)
    transaction = workspace.transaction()
    workspace.move_head(transaction, commit_id)
    if state is not None:
        set_state(workspace, transaction, None)
    description = f"reset: moving to {target}"
    goal = workspace.tree_of(commit_id)
    if mode == "hard":
        overwrite_working_copy(workspace, goal, transaction=transaction, verb="reset", description=description)
    elif mode == "keep":
        base = workspace.head_tree()
        checkout(workspace, base, goal, transaction=transaction, verb="reset", description=description)
    else:
        index = workspace.index()
        keep_index_tree(workspace, transaction, index.tree)
        workspace.publish(transaction, workspace.act("reset", description))
        workspace.write_index(index)  # one that was made anew from the old HEAD fits the files only now
    return ResetResult(head.branch, head.commit_id, commit_id, mode, state.verb if state is not None else None)
