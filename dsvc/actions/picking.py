"""Apply commits one after another: what cherry-pick, revert and rebase share.

All commits that apply cleanly are made in the store first; the working copy moves once, to the last of them or to the
first that has a conflict, and that is one operation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from dsvc.actions.abort import go_back
from dsvc.actions.checkout import checkout
from dsvc.actions.commit import NothingToCommitError, commit
from dsvc.actions.explained import keep_correction
from dsvc.actions.merging import conflicts_of, under_way
from dsvc.actions.operations import together
from dsvc.actions.picker import Picked, Picker, PickOptions, PickVerb
from dsvc.actions.state import (
    Conflict,
    UnresolvedError,
    WorktreeState,
    after_commit,
    read_state,
    require_state,
    set_state,
)
from dsvc.errors import RequestError
from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId, OperationId
from dsvc.refs.transaction import Transaction
from dsvc.workspace import Workspace


class PickResult(NamedTuple):
    """How it ended: `tip` is HEAD's commit now; `stopped` the commit in conflict, `left` those that wait behind it.

    `operation_id` is the operation that moved the working copy, None where none did.
    """

    tip: CommitId
    done: tuple[tuple[CommitId, CommitId], ...] = ()
    empty: tuple[CommitId, ...] = ()
    stopped: CommitId | None = None
    conflicts: tuple[Conflict, ...] = ()
    left: int = 0
    notes: tuple[str, ...] = ()
    kind: str = "done"
    operation_id: OperationId | None = None


def publish_picked(
    workspace: Workspace,
    picked: Picked,
    *,
    options: PickOptions,
    transaction: Transaction,
    state: WorktreeState,
    description: str,
    metadata: Mapping[str, Value] | None = None,
) -> PickResult:
    """Move the working copy to where applying commits came, with `state` completed where it stopped.

    The caller has set the refs in `transaction`; `metadata` are of the operation.

    Raises:
        InTheWayError: nothing is changed then.
    """
    for correction in picked.corrections:
        keep_correction(transaction, correction)
    base = workspace.head_tree()
    target = picked.merge.tree if picked.merge is not None else workspace.tree_of(picked.tip)
    conflicts = conflicts_of(picked.merge) if picked.merge is not None else ()
    if picked.stopped is not None and picked.merge is not None:
        state = replace(
            state,
            heads=(picked.stopped,),
            message=picked.message,
            todo=picked.rest,
            extra={**state.extra, **_kept(options)},
        )
        set_state(workspace, transaction, under_way(workspace, state, picked.merge))
        description = f"{description}: stopped at {picked.stopped.hex()[:10]}, in conflict: {len(conflicts)}"
    operation_id = checkout(
        workspace,
        base,
        target,
        transaction=transaction,
        verb=options.verb,
        description=description,
        metadata=metadata,
    )
    return PickResult(
        picked.tip,
        tuple(picked.done),
        tuple(picked.empty),
        picked.stopped,
        conflicts,
        len(picked.rest),
        tuple(dict.fromkeys(picked.notes)),
        "conflicts" if picked.stopped is not None else "done",
        operation_id,
    )


def pick(workspace: Workspace, commits: Sequence[CommitId], options: PickOptions, *, what: str) -> PickResult:
    """Apply commits on HEAD's branch, as cherry-pick and revert do; `what` names them for the operation log."""
    head = workspace.head().commit_id
    if head is None:
        raise RequestError("there is no commit yet to apply something to", hint="dsvc commit -m MESSAGE")
    return _go_on(workspace, WorktreeState(options.verb, original=head), commits, options, what=what)


def pick_into_files(workspace: Workspace, commits: Sequence[CommitId], options: PickOptions) -> PickResult:
    """Apply the changes of commits to the working copy without a commit, until the first conflict."""
    head = workspace.head().commit_id
    if head is None:
        raise RequestError("there is no commit yet to apply something to", hint="dsvc commit -m MESSAGE")
    picker = Picker(workspace, options)
    base = workspace.tree_of(head)
    reached, conflicts, stopped, left = base, tuple[Conflict, ...](), None, 0
    transaction = workspace.transaction()
    for number, commit_id in enumerate(commits):
        merge, _, _ = picker.apply(commit_id, reached)
        reached = merge.tree
        if merge.conflicts:
            conflicts, stopped, left = conflicts_of(merge), commit_id, len(commits) - number - 1
            message = picker.message(commit_id, workspace.repo.commit(commit_id))
            state = WorktreeState(options.verb, message=message, original=head)
            set_state(workspace, transaction, under_way(workspace, state, merge))
            break
    description = f"{options.verb} --no-commit: {', '.join(c.hex()[:10] for c in commits[:3])}"
    checkout(workspace, base, reached, transaction=transaction, verb=options.verb, description=description)
    kind = "conflicts" if stopped is not None else "prepared"
    return PickResult(head, (), (), stopped, conflicts, left, (), kind)


def pick_continue(workspace: Workspace, verb: PickVerb, *, message: str | None = None) -> PickResult:
    """Commit what a conflict was settled to, and apply the commits that wait.

    Raises:
        NothingUnderWayError: when there is none. UnresolvedError: while paths are in conflict.
    """
    step = commit_step(workspace, verb, message=message)
    if step.state is None:
        return PickResult(_tip(workspace), step.done, step.empty)
    result = _go_on_after(workspace, step, what="--continue")
    return result._replace(done=(*step.done, *result.done), empty=(*step.empty, *result.empty))


class Step(NamedTuple):
    """What is under way after a step was committed or skipped (None: nothing), and the operation that did it, if any.

    `done` has the commit that was made, `empty` the one of which nothing was left.
    """

    state: WorktreeState | None
    operation_id: OperationId | None = None
    done: tuple[tuple[CommitId, CommitId], ...] = ()
    empty: tuple[CommitId, ...] = ()


def commit_step(workspace: Workspace, verb: PickVerb, *, message: str | None = None) -> Step:
    """Commit the settled step of what is under way."""
    state = require_state(workspace, verb)
    if state.conflicts:
        raise UnresolvedError(state)
    if state.merged is None:
        return Step(state)
    source = state.heads[0] if state.heads else None
    try:
        made = commit(workspace, message or state.message, confirmed=True, run_hooks=False)
    except NothingToCommitError:
        workspace.repo.refresh()
        step = _leave(workspace, state, f"{verb}: nothing left of {source.hex()[:10] if source else 'it'}")
        return step._replace(empty=(source,) if source is not None else ())
    done = ((source, made.commit_id),) if source is not None else ()
    return Step(read_state(workspace), made.operation_id, done)


def skip_step(workspace: Workspace, verb: PickVerb) -> Step:
    """Take back the step in conflict."""
    state = require_state(workspace, verb)
    after = after_commit(state)
    transaction = workspace.transaction()
    set_state(workspace, transaction, after)
    here = replace(state, original=workspace.head().commit_id)
    skipped = state.heads[0].hex()[:10] if state.heads else "the step"
    made = go_back(workspace, here, transaction=transaction, description=f"{verb}: skipped {skipped}")
    return Step(after, made)


def pick_skip(workspace: Workspace, verb: PickVerb) -> PickResult:
    """Leave out the commit in conflict and apply those that wait; raises NothingUnderWayError."""
    step = skip_step(workspace, verb)
    if step.state is None:
        return PickResult(_tip(workspace))
    return _go_on_after(workspace, step, what="--skip")


def pick_abort(workspace: Workspace, verb: PickVerb) -> CommitId | None:
    """Go back to where the branch and the files were before; raises NothingUnderWayError."""
    state = require_state(workspace, verb)
    transaction = workspace.transaction()
    if state.original is not None:
        workspace.move_head(transaction, state.original)
    set_state(workspace, transaction, None)
    go_back(workspace, state, transaction=transaction, description=f"{verb}: aborted")
    return state.original


def options_of(state: WorktreeState) -> PickOptions:
    """Return the options that a state keeps."""
    extra = state.extra
    mainline, favor, sign = extra.get("mainline"), extra.get("favor"), extra.get("sign")
    return PickOptions(
        state.verb,  # type: ignore[arg-type]
        mainline=mainline if isinstance(mainline, int) else None,
        mark_origin=bool(extra.get("mark_origin")),
        keep_empty=bool(extra.get("keep_empty")),
        favor=favor if favor in ("ours", "theirs", "union") else None,  # type: ignore[arg-type]
        sign=sign if isinstance(sign, bool | str) else None,
    )


def _kept(options: PickOptions) -> dict[str, int | bool | str | None]:
    return {
        "mainline": options.mainline,
        "mark_origin": options.mark_origin,
        "keep_empty": options.keep_empty,
        "favor": options.favor,
        "sign": options.sign,
    }


def _go_on_after(workspace: Workspace, step: Step, *, what: str) -> PickResult:
    state = step.state
    assert state is not None, "commits wait"
    return _go_on(workspace, state, state.todo, options_of(state), what=what, since=step.operation_id)


def _go_on(
    workspace: Workspace,
    state: WorktreeState,
    commits: Sequence[CommitId],
    options: PickOptions,
    *,
    what: str,
    since: OperationId | None = None,
) -> PickResult:
    workspace.person()
    tip = _tip(workspace)
    transaction = workspace.transaction()
    picked = Picker(workspace, options).run(tip, commits)
    workspace.move_head(transaction, picked.tip)
    set_state(workspace, transaction, None)
    description = f"{options.verb}: {what}"
    return publish_picked(
        workspace,
        picked,
        options=options,
        transaction=transaction,
        state=state,
        description=description,
        metadata=together(since),
    )


def _leave(workspace: Workspace, state: WorktreeState, description: str) -> Step:
    after = after_commit(state)
    transaction = workspace.transaction()
    set_state(workspace, transaction, after)
    return Step(after, workspace.publish(transaction, workspace.act(state.verb, description)))


def _tip(workspace: Workspace) -> CommitId:
    commit_id = workspace.head().commit_id
    assert commit_id is not None, "commits are only applied where there is one"
    return commit_id
