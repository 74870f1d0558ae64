"""Make commits that take others back."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.actions.cherry_pick import commits_named
from dsvc.actions.picker import PickOptions
from dsvc.actions.picking import PickResult, pick, pick_into_files
from dsvc.actions.signing import Sign
from dsvc.actions.state import require_no_state
from dsvc.contents.text_merge import Favor
from dsvc.history.ranges import split_range
from dsvc.workspace import Workspace


def revert(
    workspace: Workspace,
    revisions: Sequence[str],
    *,
    make_commits: bool = True,
    mainline: int | None = None,
    favor: Favor | None = None,
    sign: Sign = None,
) -> PickResult:
    """Take back the changes of commits, given one by one or as ranges (newest first), on HEAD's branch.

    Each makes a commit. With `make_commits` off only the files change. It stops at the first conflict.

    Raises:
        OperationUnderWayError: in the middle of something. IsMergeError: for a merge without `mainline`.
        InTheWayError: naming changed files that would be overwritten; nothing is changed then.
    """
    require_no_state(workspace)
    commits = [
        commit_id
        for word in revisions
        for commit_id in (reversed(commits_named(workspace, [word])) if split_range(word) else
                          commits_named(workspace, [word]))
    ]  # fmt: skip
    options = PickOptions("revert", mainline=mainline, favor=favor, sign=sign)
    if not make_commits:
        return pick_into_files(workspace, commits, options)
    return pick(workspace, commits, options, what=" ".join(revisions[:3]))
