"""Put changes aside and take them up again.

A stash is a commit whose tree is the working copy, new files included, and whose parent is HEAD's commit. Its ref is
`stash/NUMBER`, counting up, so that the newest comes last and a stash keeps its ref when others go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsvc.actions.abort import go_back
from dsvc.actions.checkout import carried, checkout
from dsvc.actions.merging import conflicts_of, merge_change, merge_notes, under_way
from dsvc.actions.overwrite import record_working_copy
from dsvc.actions.state import Conflict, WorktreeState, require_no_state, require_state, set_state
from dsvc.errors import RequestError, UsageError
from dsvc.history.mergeentry import Labels
from dsvc.history.revisions import stashes
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId, Kind, ObjectId, OperationId, TreeId
from dsvc.objects.trees import edit_tree, lookup
from dsvc.objects.values import Commit
from dsvc.refs.names import STASH, short_name
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace

ADDED = "added"  # the key of a stash's metadata with the files that `dsvc add` had stored
_NAME = re.compile(r"(?:stash@\{)?(\d+)\}?")


class NoStashError(RequestError):
    """There is no such stash."""


class Stash(NamedTuple):
    """A stash: its number (0 is the newest), its ref, its commit; where it was made just now, the operation of that."""

    number: int
    ref: str
    commit_id: CommitId
    commit: Commit
    operation_id: OperationId | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return f"stash@{{{self.number}}}"


class StashApplyResult(NamedTuple):
    """The stash, whether it was dropped, and what is in conflict now."""

    stash: Stash
    dropped: bool
    conflicts: tuple[Conflict, ...]
    notes: tuple[str, ...]


def stash_push(workspace: Workspace, *, message: str | None = None, paths: Sequence[bytes] = ()) -> Stash | None:
    """Store all changes, new files included, or those of `paths`, as a stash and make the files as HEAD has them.

    Returns None where nothing is changed.

    Raises:
        OperationUnderWayError: in the middle of a merge. RequestError: when there is no commit yet.
        UnreadableError, UnstableFileError: naming a file that could not be taken; nothing is changed then.
    """
    require_no_state(workspace)
    head = workspace.head()
    if head.commit_id is None:
        raise RequestError("there is no commit yet to go back to", hint="dsvc commit -m MESSAGE")
    person = workspace.person()
    store, head_tree = workspace.repo.store, workspace.tree_of(head.commit_id)
    before = workspace.index()
    recorded = record_working_copy(workspace, paths=paths, known_only=False)
    tree = recorded.tree
    goal = head_tree
    if paths:
        changes = {c.path: c.new for c in diff_trees(store, head_tree, recorded.tree, paths=paths)}
        tree = TreeId(edit_tree(store, head_tree, changes).id)  # type: ignore[arg-type]
        goal = carried(workspace, recorded.tree, tree, head_tree)
    if tree == head_tree:
        store.abandon()
        return None
    subject = workspace.repo.commit(head.commit_id).message.partition("\n")[0]
    branch = short_name(head.branch) if head.branch else "(no branch)"
    text = f"On {branch}: {message}" if message else f"WIP on {branch}: {head.commit_id.hex()[:10]} {subject}"
    added = [c.path for c in diff_trees(store, head_tree, before.tree) if c.old is None]
    made = Commit(tree, (head.commit_id,), person, person, text, metadata={ADDED: tuple(added)})
    commit_id = workspace.repo.put_commit(made)
    transaction = workspace.transaction()
    names = stashes(transaction.view)
    ref = f"{STASH}{int(names[0].removeprefix(STASH)) + 1 if names else 1:08}"
    transaction.set(ref, Direct(Kind.COMMIT, ObjectId(commit_id)))
    operation_id = checkout(
        workspace,
        recorded.tree,
        goal,
        transaction=transaction,
        verb="stash",
        description=f"stash: {text}",
        index=recorded.index,
    )
    return Stash(0, ref, commit_id, made, operation_id)


def stash_list(workspace: Workspace) -> list[Stash]:
    """Return all stashes, the newest first."""
    view = workspace.view()
    found = []
    for number, name in enumerate(stashes(view)):
        commit_id = view.commit(name)
        if commit_id is not None:
            found.append(Stash(number, name, commit_id, workspace.repo.commit(commit_id)))
    return found


def find_stash(workspace: Workspace, name: str | None = None) -> Stash:
    """Return a stash by its name, `stash@{1}` or `1`; the newest where none is given.

    Raises:
        NoStashError: when there is none.
    """
    number = _NAME.fullmatch(name or "0")
    if number is None:
        raise UsageError(f"{name!r} is no name of a stash", hint="such as stash@{0}")
    found = stash_list(workspace)
    if int(number[1]) >= len(found):
        what = f"there is no {name}" if name else "there is no stash"
        raise NoStashError(what, hint="dsvc stash list" if found else "dsvc stash puts changes aside")
    return found[int(number[1])]


def stash_show(workspace: Workspace, name: str | None = None) -> tuple[Stash, list[Change]]:
    """Return a stash and the changes in it."""
    stash = find_stash(workspace, name)
    before = workspace.tree_of(stash.commit.parents[0])
    return stash, list(diff_trees(workspace.repo.store, before, stash.commit.tree))


def stash_apply(workspace: Workspace, name: str | None = None, *, drop: bool = False) -> StashApplyResult:
    """Bring the changes of a stash into the working copy; with `drop` it goes, unless there are conflicts.

    Raises:
        InTheWayError: naming changed files that the stash would overwrite; nothing is changed then.
        NoStashError: when there is none. OperationUnderWayError: in the middle of a merge.
    """
    require_no_state(workspace)
    return apply_stash(workspace, find_stash(workspace, name), drop=drop)


def apply_stash(
    workspace: Workspace,
    stash: Stash,
    *,
    drop: bool,
    description: str | None = None,
    metadata: Mapping[str, Value] | None = None,
) -> StashApplyResult:
    """Do what `stash_apply` does, for a stash in hand; the operation may be described as that of another command."""
    labels = Labels(b"Stash base", b"Updated upstream", b"Stashed changes")
    ours = workspace.head_tree()
    base = workspace.tree_of(stash.commit.parents[0])
    merge = merge_change(workspace, base, ours, stash.commit.tree, labels=labels)
    conflicts = conflicts_of(merge)
    dropped = drop and not conflicts
    transaction = workspace.transaction()
    if dropped:
        transaction.delete(stash.ref)
    if conflicts:
        state = WorktreeState(
            "stash",
            heads=(stash.commit_id,),
            message=stash.commit.message,
            original=workspace.head().commit_id,
        )
        set_state(workspace, transaction, under_way(workspace, state, merge))
    fresh = _new_files(workspace, stash, ours) if not conflicts else []
    verb = "pop" if drop else "apply"
    checkout(
        workspace,
        ours,
        merge.tree,
        transaction=transaction,
        verb="stash",
        description=description or f"stash {verb}: {stash.commit.message.partition(chr(10))[0]}",
        untracked=fresh,
        metadata=metadata,
    )
    return StashApplyResult(stash, dropped, conflicts, merge_notes(merge))


def _new_files(workspace: Workspace, stash: Stash, ours: TreeId) -> list[bytes]:
    """Return the files of a stash that were new when it was made, are so here, and that nobody had added."""
    added = stash.commit.metadata.get(ADDED)
    if not isinstance(added, tuple):
        return []
    store = workspace.repo.store
    base = workspace.tree_of(stash.commit.parents[0])
    fresh = {c.path for c in diff_trees(store, base, stash.commit.tree) if c.old is None}
    return sorted(path for path in fresh.difference(added) if lookup(store, ours, path) is None)


def stash_abort(workspace: Workspace) -> None:
    """Take back a stash that was applied with conflicts; the stash itself is still there.

    Raises:
        NothingUnderWayError: when there is none.
    """
    state = require_state(workspace, "stash")
    transaction = workspace.transaction()
    set_state(workspace, transaction, None)
    go_back(workspace, state, transaction=transaction, description="stash: aborted")


def stash_drop(workspace: Workspace, name: str | None = None) -> Stash:
    """Remove a stash; `undo` brings it back.

    Raises:
        NoStashError: when there is none.
    """
    stash = find_stash(workspace, name)
    transaction = workspace.repo.transaction()
    transaction.delete(stash.ref)
    workspace.publish(transaction, workspace.act("stash", f"stash drop: {stash.commit.message}"))
    return stash


def stash_clear(workspace: Workspace) -> int:
    """Remove all stashes and return how many there were; `undo` brings them back."""
    transaction = workspace.repo.transaction()
    names = stashes(transaction.view)
    for name in names:
        transaction.delete(name)
    if names:
        what = f"stash clear: {len(names)} stash{'es' if len(names) != 1 else ''}"
        workspace.publish(transaction, workspace.act("stash", what))
    return len(names)
