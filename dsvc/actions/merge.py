"""Join another line of history into this one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from dsvc.actions.abort import go_back
from dsvc.actions.checkout import checkout
from dsvc.actions.commit import CommitResult, commit, git_metadata, run_message_hook
from dsvc.actions.explained import correction_note, explained, keep_correction
from dsvc.actions.merging import commit_merger, conflicts_of, merge_notes, under_way
from dsvc.actions.revision import revision_context
from dsvc.actions.signing import Sign, Signer, find_signer
from dsvc.actions.state import (
    Conflict,
    UnresolvedError,
    WorktreeState,
    require_no_state,
    require_state,
    set_state,
)
from dsvc.contents.text_merge import Favor
from dsvc.errors import DivergedError, RequestError, UsageError
from dsvc.history.mergebase import is_ancestor, only_in
from dsvc.history.revisions import resolve, resolve_commit
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.values import Commit
from dsvc.refs.names import HEADS, REMOTES, TAGS, short_name
from dsvc.repo.cuts import DEEPEN
from dsvc.workspace import HeadState, Workspace

if TYPE_CHECKING:
    from dsvc.actions.corrections import Correction

MergeKind = Literal["up to date", "fast-forward", "merged", "squashed", "prepared", "conflicts"]
FastForward = Literal["allow", "only", "never"]
_UNNAMED = ("main", "master")


class CannotFastForwardError(DivergedError):
    """Both sides have commits that the other one does not have."""


class MergeResult(NamedTuple):
    """What a merge came to.

    `commit_id` is where HEAD stands now. `conflicts` must be settled before a commit; `notes` are things to know.
    """

    kind: MergeKind
    old_commit: CommitId | None
    commit_id: CommitId | None
    theirs: CommitId
    message: str = ""
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[str, ...] = ()


def merge(
    workspace: Workspace,
    revisions: Sequence[str],
    *,
    message: str | None = None,
    fast_forward: FastForward = "allow",
    squash: bool = False,
    make_commit: bool = True,
    favor: Favor | None = None,
    unrelated: bool = False,
    map_names: bool = False,
    run_hooks: bool = True,
    sign: Sign = None,
    verify: bool | None = None,
) -> MergeResult:
    """Merge a commit into HEAD's branch.

    Changes that are not committed may be there as long as the merge does not touch their files. A clean merge is
    committed, unless `squash` (the changes without the history) or `make_commit` says otherwise. With conflicts the
    working copy holds the merged files, text with markers, and the worktree is in the middle of a merge. `map_names`
    is as in `switch`, `sign` as in `commit`, also for the commit that ends a merge with conflicts. `verify` takes only
    a commit with a good signature; None: as `merge.verifySignatures` says.

    Raises:
        CannotFastForwardError: with `fast_forward="only"`. OperationUnderWayError: in the middle of something.
        InTheWayError: naming changed or new files that the merge would overwrite; nothing is changed then.
        UntrustedCommitError: with `verify`, before anything is changed.
        MissingIdentityError: before anything else, where a commit may have to be made.
    """
    require_no_state(workspace)
    if len(revisions) != 1:
        raise UsageError("merge takes one branch or commit", hint="merge them one after another")
    if map_names:
        workspace.map_names()
    context = revision_context(workspace)
    theirs = resolve_commit(context, revisions[0])
    head = workspace.head()
    ancestry = context.ancestry()
    ours = head.commit_id
    if ours is not None and is_ancestor(ancestry, theirs, ours):
        return MergeResult("up to date", ours, ours, theirs)
    if verify or (verify is None and workspace.config.get_bool("merge.verifySignatures")):
        from dsvc.actions.verify import require_signature

        require_signature(workspace, theirs)
    forward = ours is None or is_ancestor(ancestry, ours, theirs)
    if forward and fast_forward != "never" and not squash and make_commit:
        return _fast_forward(workspace, head, theirs, revisions[0])
    if fast_forward == "only" and not forward:
        raise CannotFastForwardError(
            f"{_here(head)} and {revisions[0]} have diverged, so it cannot be fast-forwarded",
            hint=f"dsvc merge {revisions[0]} joins them, dsvc rebase {revisions[0]} puts yours on top",
        )
    if ours is None:
        raise RequestError("there is no commit yet to merge into", hint=f"dsvc merge {revisions[0]}")
    workspace.person()
    signer = find_signer(workspace, sign)
    merger = commit_merger(workspace, favor=favor)
    found = merger.merge(ours, theirs, ours_label=b"HEAD", theirs_label=revisions[0].encode("utf-8", "surrogateescape"))
    if not found.bases and not unrelated:
        raise RequestError(
            f"{revisions[0]} and {_here(head)} have no commit in common",
            hint=DEEPEN if workspace.repo.cut else "dsvc merge --allow-unrelated-histories joins them all the same",
        )
    text = message or (_squash_message(workspace, ours, theirs) if squash else merge_message(workspace, revisions[0]))
    conflicts, notes = conflicts_of(found.merge), merge_notes(found.merge)
    transaction = workspace.transaction()
    ours_tree, target = workspace.tree_of(ours), found.merge.tree
    if conflicts or squash or not make_commit:
        kept = {} if sign is None else {"sign": sign}
        state = WorktreeState("merge", heads=() if squash else (theirs,), message=text, original=ours, extra=kept)
        set_state(workspace, transaction, under_way(workspace, state, found.merge))
        description = f"merge {revisions[0]}"
        if conflicts:
            description += f": {len(conflicts)} conflict{'s' if len(conflicts) > 1 else ''}"
        checkout(workspace, ours_tree, target, transaction=transaction, verb="merge", description=description)
        kind: MergeKind = "conflicts" if conflicts else "squashed" if squash else "prepared"
        return MergeResult(kind, ours, ours, theirs, text, conflicts, notes)
    commit_id, correction = _put_merge(workspace, (ours, theirs), target, text, run_hooks=run_hooks, signer=signer)
    workspace.move_head(transaction, commit_id)
    keep_correction(transaction, correction)
    if correction is not None:
        notes = (*notes, correction_note(correction))
    description = f"merge {revisions[0]}: merge made"
    checkout(workspace, ours_tree, target, transaction=transaction, verb="merge", description=description)
    return MergeResult("merged", ours, commit_id, theirs, text, (), notes)


def merge_continue(
    workspace: Workspace, *, message: str | None = None, run_hooks: bool = True, sign: Sign = None
) -> CommitResult:
    """Commit a merge whose conflicts are settled; `sign` None: as was said when it began.

    Raises:
        NothingUnderWayError: when there is no merge. UnresolvedError: while paths are in conflict.
    """
    state = require_state(workspace, "merge")
    if state.conflicts:
        raise UnresolvedError(state)
    return commit(workspace, message or state.message, confirmed=True, run_hooks=run_hooks, sign=sign)


def merge_abort(workspace: Workspace) -> CommitId | None:
    """Take back a merge that is not committed: every file that it touched is as before, others are left alone.

    What those files hold now is stored for `undo`. Returns the commit where HEAD stands.

    Raises:
        NothingUnderWayError: when there is no merge.
    """
    state = require_state(workspace, "merge")
    transaction = workspace.transaction()
    set_state(workspace, transaction, None)
    go_back(workspace, state, transaction=transaction, description="merge: aborted")
    return state.original


def merge_message(workspace: Workspace, text: str) -> str:
    """Return git's message for a merge of what `text` names into HEAD's branch."""
    ref = resolve(revision_context(workspace), text).ref
    what = f"commit '{text}'"
    for prefix, word in ((HEADS, "branch"), (TAGS, "tag"), (REMOTES, "remote-tracking branch")):
        if ref is not None and ref.startswith(prefix):
            what = f"{word} '{short_name(ref)}'"
    branch = workspace.head().branch
    into = f" into {short_name(branch)}" if branch and short_name(branch) not in _UNNAMED else ""
    return f"Merge {what}{into}"


def _put_merge(
    workspace: Workspace,
    parents: tuple[CommitId, ...],
    tree: TreeId,
    text: str,
    *,
    run_hooks: bool,
    signer: Signer | None,
) -> tuple[CommitId, Correction | None]:
    person = workspace.person()
    message = run_message_hook(workspace, text, run_hooks=run_hooks)
    runs, correction = explained(workspace, tree, parents, message)
    made = Commit(tree, parents, person, person, message, runs=runs, metadata=git_metadata(workspace))
    return workspace.repo.put_commit(made if signer is None else signer.commit(made)), correction


def _fast_forward(workspace: Workspace, head: HeadState, theirs: CommitId, text: str) -> MergeResult:
    transaction = workspace.transaction()
    workspace.move_head(transaction, theirs)
    store = workspace.repo.store
    base = workspace.tree_of(head.commit_id) if head.commit_id is not None else trees.empty_tree(store)
    checkout(
        workspace,
        base,
        workspace.tree_of(theirs),
        transaction=transaction,
        verb="merge",
        description=f"merge {text}: fast-forward",
    )
    return MergeResult("fast-forward", head.commit_id, theirs, theirs)


def _squash_message(workspace: Workspace, ours: CommitId, theirs: CommitId) -> str:
    """Return the subjects of the commits that a squash brings in, oldest first."""
    subjects = [
        workspace.repo.commit(c).message.partition("\n")[0]
        for c in only_in(revision_context(workspace).ancestry(), theirs, [ours])
    ]
    return "Squashed commit of the following:\n\n" + "\n".join(f"* {subject}" for subject in subjects)


def _here(head: HeadState) -> str:
    return short_name(head.branch) if head.branch else "HEAD"
