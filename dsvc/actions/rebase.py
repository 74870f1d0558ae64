"""Put commits on top of another commit."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.actions.abort import go_back
from dsvc.actions.operations import together
from dsvc.actions.patches import PatchFinder
from dsvc.actions.picker import Picker, PickOptions
from dsvc.actions.picking import PickResult, Step, commit_step, options_of, publish_picked, skip_step
from dsvc.actions.revision import revision_context
from dsvc.actions.signing import Sign
from dsvc.actions.stash import Stash, apply_stash, stash_list, stash_push
from dsvc.actions.state import WorktreeState, require_no_state, require_state, set_state
from dsvc.contents.text_merge import Favor
from dsvc.errors import RequestError
from dsvc.history.mergebase import only_in
from dsvc.history.revisions import resolve_commit
from dsvc.objects.ids import CommitId, Kind, ObjectId, OperationId
from dsvc.refs.names import HEADS, head_of, short_name
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, Symbolic
from dsvc.workspace import Workspace


class RebaseResult(NamedTuple):
    """What a rebase came to: `picks` says how far it went, `branch` (None: detached) moved from `old_commit`.

    `upstream_has` are commits that were left out because the other side has the same change. `stash` says what became
    of changes put aside: "applied", or "kept" where they met conflicts.
    """

    picks: PickResult
    branch: str | None
    old_commit: CommitId
    upstream_has: tuple[CommitId, ...] = ()
    stash: str | None = None


def rebase(
    workspace: Workspace,
    upstream: str,
    *,
    onto: str | None = None,
    autostash: bool = False,
    favor: Favor | None = None,
    sign: Sign = None,
) -> RebaseResult:
    """Make the commits of HEAD's branch that `upstream` has not anew, on top of `onto` (`upstream` if none is given).

    Merges are left out, as are commits whose change is there already. The branch moves when all are made; until then,
    at a conflict, HEAD stands alone on what is done. Changes that are not committed may stay where no commit touches
    their files; with `autostash` they are stashed before and applied afterwards. With `sign` commits that have no
    signature are made anew even where they would stay.

    Raises:
        OperationUnderWayError: in the middle of something. InTheWayError: for changed files; nothing is changed then.
    """
    require_no_state(workspace)
    workspace.person()
    head = workspace.head()
    if head.commit_id is None:
        raise RequestError("there is no commit yet to put on top of something", hint="dsvc commit -m MESSAGE")
    context = revision_context(workspace)
    upstream_id = resolve_commit(context, upstream)
    onto_id = resolve_commit(context, onto) if onto is not None else upstream_id
    ancestry = context.ancestry()
    own = only_in(ancestry, head.commit_id, [upstream_id])
    if _is_line(workspace, own, onto_id, head.commit_id) and (not sign or _are_signed(workspace, own)):
        return RebaseResult(PickResult(head.commit_id, kind="up to date"), head.branch, head.commit_id)
    own = [commit_id for commit_id in own if len(workspace.repo.commit(commit_id).parents) < 2]
    theirs = only_in(ancestry, upstream_id, [head.commit_id])
    there = PatchFinder(workspace, theirs).known(own)
    commits = [c for c in own if c not in there]
    stash = stash_push(workspace, message="autostash") if autostash else None
    state = WorktreeState(
        "rebase",
        original=head.commit_id,
        stash=stash.commit_id if stash is not None else None,
        extra={"branch": head.branch or "", "onto": onto or upstream},
    )
    options = PickOptions("rebase", favor=favor, sign=sign)
    what = f"onto {onto or upstream}"
    first = stash.operation_id if stash is not None else None
    try:
        result = _go_on(workspace, state, onto_id, commits, options, what=what, since=first)
    except BaseException:
        if stash is not None:
            _apply(workspace, stash.commit_id, what=f"rebase: {what} failed", since=first)
        raise
    return result._replace(upstream_has=tuple(there))


def rebase_continue(workspace: Workspace, *, message: str | None = None) -> RebaseResult:
    """Commit what a conflict was settled to, and go on.

    Raises:
        NothingUnderWayError: when there is no rebase. UnresolvedError: while paths are in conflict.
    """
    step = commit_step(workspace, "rebase", message=message)
    result = _go_on_after(workspace, step, what="--continue")
    picks = result.picks
    return result._replace(picks=picks._replace(done=(*step.done, *picks.done), empty=(*step.empty, *picks.empty)))


def rebase_skip(workspace: Workspace) -> RebaseResult:
    """Leave out the commit in conflict and go on; raises NothingUnderWayError."""
    return _go_on_after(workspace, skip_step(workspace, "rebase"), what="--skip")


def rebase_abort(workspace: Workspace) -> RebaseResult:
    """Go back to the branch as it was before, files included; raises NothingUnderWayError."""
    state = require_state(workspace, "rebase")
    assert state.original is not None, "a rebase begins at a commit"
    transaction = workspace.transaction()
    branch = _branch(state)
    _stand_on(workspace, transaction, branch, state.original)
    set_state(workspace, transaction, None)
    made = go_back(workspace, state, transaction=transaction, description="rebase: aborted")
    stash = _apply(workspace, state.stash, what="rebase: aborted", since=made) if state.stash is not None else None
    return RebaseResult(PickResult(state.original, kind="aborted"), branch, state.original, stash=stash)


def _go_on_after(workspace: Workspace, step: Step, *, what: str) -> RebaseResult:
    state = step.state
    assert state is not None, "a rebase is under way until its branch moves"
    todo, options = list(state.todo), options_of(state)
    return _go_on(workspace, state, _tip(workspace), todo, options, what=what, since=step.operation_id)


def _go_on(
    workspace: Workspace,
    state: WorktreeState,
    tip: CommitId,
    commits: list[CommitId],
    options: PickOptions,
    *,
    what: str,
    since: OperationId | None = None,
) -> RebaseResult:
    """Apply the commits and publish that; `since` is the operation that began this command, if not this one."""
    assert state.original is not None
    branch = _branch(state)
    transaction = workspace.transaction()
    if branch is not None and transaction.view.commit(branch) != state.original:
        raise RequestError(
            f"{short_name(branch)} was moved since the rebase began, so it cannot be moved to the result",
            hint="dsvc rebase --abort stands on it again; the commits made so far are at HEAD",
        )
    picked = Picker(workspace, options).run(tip, commits)
    set_state(workspace, transaction, None)
    if picked.stopped is not None:
        transaction.set(head_of(workspace.worktree_id), Direct(Kind.COMMIT, ObjectId(picked.tip)))
    else:
        _stand_on(workspace, transaction, branch, picked.tip)
    name = short_name(branch) if branch else "HEAD"
    description = f"rebase: {name} {what}"
    picks = publish_picked(
        workspace,
        picked,
        options=options,
        transaction=transaction,
        state=state,
        description=description,
        metadata=together(since),
    )
    stash = None
    if picked.stopped is None and state.stash is not None:
        stash = _apply(workspace, state.stash, what=description, since=since or picks.operation_id)
    return RebaseResult(picks, branch, state.original, stash=stash)


def _stand_on(workspace: Workspace, transaction: Transaction, branch: str | None, commit_id: CommitId) -> None:
    """Let HEAD stand for the branch (or alone), at this commit."""
    head = head_of(workspace.worktree_id)
    if branch is None:
        transaction.set(head, Direct(Kind.COMMIT, ObjectId(commit_id)))
        return
    transaction.set(branch, Direct(Kind.COMMIT, ObjectId(commit_id)))
    transaction.set(head, Symbolic(branch))


def _apply(workspace: Workspace, commit_id: CommitId, *, what: str, since: OperationId | None) -> str:
    """Apply the changes that were put aside; the stash stays where they meet conflicts.

    One undo takes that back together with what the operation `since` and those after it did.
    """
    stash: Stash | None = next((s for s in stash_list(workspace) if s.commit_id == commit_id), None)
    if stash is None:
        return "kept"
    try:
        result = apply_stash(
            workspace, stash, drop=True, description=f"{what}, with changes put aside", metadata=together(since)
        )
    except RequestError:
        return "kept"
    return "applied" if result.dropped else "conflicts"


def _is_line(workspace: Workspace, own: list[CommitId], onto: CommitId, tip: CommitId) -> bool:
    """Say whether the commits stand on `onto` already, one after the other."""
    at = onto
    for commit_id in own:
        if workspace.repo.commit(commit_id).parents != (at,):
            return False
        at = commit_id
    return at == tip


def _are_signed(workspace: Workspace, commits: list[CommitId]) -> bool:
    return all(workspace.repo.commit(commit_id).signature is not None for commit_id in commits)


def _branch(state: WorktreeState) -> str | None:
    name = state.extra.get("branch")
    return name if isinstance(name, str) and name.startswith(HEADS) else None


def _tip(workspace: Workspace) -> CommitId:
    commit_id = workspace.head().commit_id
    assert commit_id is not None, "a rebase stands on a commit"
    return commit_id


