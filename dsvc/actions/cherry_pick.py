"""Apply the changes of commits here."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.actions.picker import PickOptions
from dsvc.actions.picking import PickResult, pick, pick_into_files
from dsvc.actions.revision import revision_context
from dsvc.actions.signing import Sign
from dsvc.actions.state import require_no_state
from dsvc.contents.text_merge import Favor
from dsvc.errors import RequestError
from dsvc.history.mergebase import merge_bases, only_in
from dsvc.history.ranges import split_range
from dsvc.history.revisions import resolve_commit
from dsvc.objects.ids import CommitId
from dsvc.workspace import Workspace


def cherry_pick(
    workspace: Workspace,
    revisions: Sequence[str],
    *,
    make_commits: bool = True,
    mainline: int | None = None,
    mark_origin: bool = False,
    keep_empty: bool = False,
    favor: Favor | None = None,
    sign: Sign = None,
) -> PickResult:
    """Apply the changes of commits, given one by one or as ranges (oldest first), on HEAD's branch.

    Each becomes a commit with the author and message of the original; one that changes nothing here any more is left
    out, unless `keep_empty`. With `make_commits` off only the files change. It stops at the first conflict.

    Raises:
        OperationUnderWayError: in the middle of something. IsMergeError: for a merge without `mainline`.
        InTheWayError: naming changed files that would be overwritten; nothing is changed then.
    """
    require_no_state(workspace)
    commits = commits_named(workspace, revisions)
    options = PickOptions(
        "cherry-pick", mainline=mainline, mark_origin=mark_origin, keep_empty=keep_empty, favor=favor, sign=sign
    )
    if not make_commits:
        return pick_into_files(workspace, commits, options)
    return pick(workspace, commits, options, what=" ".join(revisions[:3]))


def commits_named(workspace: Workspace, revisions: Sequence[str]) -> list[CommitId]:
    """Return the commits that words name, in their order; those of a range parents first.

    Raises:
        UnknownRevisionError: for a word that names none. RequestError: when all of them together are none.
    """
    context = revision_context(workspace)
    ancestry = context.ancestry()
    found: dict[CommitId, None] = {}
    for word in revisions:
        sides = split_range(word)
        if sides is None:
            found[resolve_commit(context, word)] = None
            continue
        left, right = resolve_commit(context, sides.left), resolve_commit(context, sides.right)
        hidden = merge_bases(ancestry, left, right) if sides.symmetric else (left,)
        for tip in (left, right) if sides.symmetric else (right,):
            found |= dict.fromkeys(only_in(ancestry, tip, hidden))
    if not found:
        raise RequestError(f"{' '.join(revisions)} names no commits", hint="A..B are the commits of B that A has not")
    return list(found)
