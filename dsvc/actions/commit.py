"""Record the working copy as a commit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dsvc.actions.add import IgnoredPathError
from dsvc.actions.changes import new_files
from dsvc.actions.checkout import keep_index_tree
from dsvc.actions.explained import explained, keep_correction
from dsvc.actions.hooks import run_hook
from dsvc.actions.signing import Sign, find_signer
from dsvc.actions.state import KEEPS_AUTHOR, UnresolvedError, WorktreeState, after_commit, read_state, set_state
from dsvc.errors import RequestError
from dsvc.history.treediff import Change, diff_trees
from dsvc.objects.codec import Value
from dsvc.objects.ids import CommitId, EnvironmentId, Kind, ObjectId, OperationId, TreeId
from dsvc.objects.tree import Entry
from dsvc.objects.trees import edit_tree, lookup
from dsvc.objects.values import Commit, Person
from dsvc.refs.names import environment_of
from dsvc.refs.view import Direct
from dsvc.workspace import HeadState, Workspace
from dsvc.worktree import journal
from dsvc.worktree.behind_links import refuse_behind_link
from dsvc.worktree.guard import Guard, NeedsConfirmationError, secret_in
from dsvc.worktree.index import Index
from dsvc.worktree.journal import CheckoutRunningError
from dsvc.worktree.record import Recorded, Recorder
from dsvc.worktree.scan import Scanner, Skipped

if TYPE_CHECKING:
    from dsvc.actions.corrections import Correction


class NothingToCommitError(RequestError):
    """The working copy, or what was named of it, is as the last commit has it."""

    def __init__(self, paths: Sequence[bytes] = ()) -> None:
        if any(paths):
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            what = f" in {', '.join(os.fsdecode(path) for path in paths[:3])}{more}: all"
            hint = "dsvc status shows what changed elsewhere"
        else:
            what, hint = ": the working copy", "dsvc commit --allow-empty -m MESSAGE makes a commit all the same"
        super().__init__(f"nothing to commit{what} is as the last commit has it", hint=hint)


class CommitResult(NamedTuple):
    """The new commit, the branch it is on (None: detached), what it follows, and what could not be taken.

    `environment_problem` says why it names no environment although it should; `correction` is of changed files that
    a run should explain and none does.
    """

    commit_id: CommitId
    commit: Commit
    branch: str | None
    parent: CommitId | None
    skipped: tuple[Skipped, ...]
    files: int
    size: int
    environment_problem: str | None = None
    correction: Correction | None = None
    operation_id: OperationId | None = None


def commit(
    workspace: Workspace,
    message: str,
    *,
    paths: Sequence[bytes] = (),
    author: Person | None = None,
    amend: bool = False,
    allow_empty: bool = False,
    confirmed: bool = False,
    run_hooks: bool = True,
    metadata: dict[str, Value] | None = None,
    sign: Sign = None,
) -> CommitResult:
    """Commit the working copy, or of it only `paths`, on the branch where HEAD is; return the new commit.

    New files that are not ignored are taken too. Everything is stored and durable before the branch moves. An empty
    message with `amend` keeps the old one. In the middle of a merge the commit ends it, with its parents, and what was
    changed before the merge began stays out of it. It names the present environment where `commit.environment` says so,
    and is signed where `sign` or `commit.sign` says so, also with
    `amend`: the signature of the commit that is replaced is never taken along.

    Raises:
        RequestError: for a path that is nowhere. IgnoredPathError, BehindLinkError: for one that is ignored, or goes
            through a symbolic link.
        NothingToCommitError: when nothing changed. UnresolvedError: while paths are in conflict.
        NeedsConfirmationError: when new files are very large or look like private keys and `confirmed` is not set.
        RefMovedError: when another process moved the branch meanwhile; the files are as they were.
        CheckoutRunningError: while another process moves the files.
        UnreadableError, UnstableFileError: naming a file that could not be taken.
        NoSigningKeyError, SigningFailedError: when it should be signed and cannot be; nothing is committed then.
    """
    head = workspace.head()
    state = read_state(workspace)
    if state is not None and state.conflicts:
        raise UnresolvedError(state)
    if state is not None and state.heads and amend:
        raise RequestError(
            f"a {state.verb} is under way, and to amend would end it",
            hint=f"dsvc commit finishes it, dsvc {state.verb} --abort takes it back",
        )
    if state is not None and paths:
        raise RequestError(
            f"a {state.verb} is committed as a whole, not by paths", hint=f"dsvc commit, or dsvc {state.verb} --abort"
        )
    if amend and head.commit_id is None:
        raise RequestError("there is no commit yet to amend", hint="dsvc commit -m MESSAGE")
    signer = find_signer(workspace, _sign_of(state) if sign is None else sign)
    if run_hooks:
        run_hook(workspace, "pre-commit")
    committer = workspace.person()
    index = workspace.index()
    _check_paths(workspace, index, paths)
    recorded = _record(workspace, index, paths, confirmed=confirmed)
    tree = _tree(workspace, index, recorded, paths)
    if state is not None and state.files_aside:
        tree = _without(workspace, tree, state.files_aside)
        _stay_new(workspace, index.tree, recorded.index, state.files_aside)
    parents = _parents(workspace, head, state, amend=amend)
    amended = workspace.repo.commit(head.commit_id) if amend and head.commit_id is not None else None
    unchanged = tree == workspace.head_tree()
    if unchanged and not (allow_empty or amend or (state is not None and state.verb == "merge" and state.heads)):
        workspace.repo.store.abandon()
        if recorded.index.tree == index.tree:  # another one was not stored
            workspace.write_index(recorded.index)
        raise NothingToCommitError(paths)
    environment, problem = _environment(workspace)
    text = run_message_hook(workspace, message or (amended.message if amended else ""), run_hooks=run_hooks)
    runs, correction = explained(workspace, tree, parents, text)
    made = Commit(
        tree=_with_references(workspace, tree, head),
        parents=parents,
        author=author or _author(workspace, state, amended) or committer,
        committer=committer,
        message=text,
        environment=environment,
        runs=runs,
        metadata={**git_metadata(workspace), **_snapshot_metadata(workspace), **(metadata or {})},
    )
    if signer is not None:
        try:
            made = signer.commit(made)
        except BaseException:
            workspace.repo.store.abandon()
            raise
    commit_id, operation_id = _publish(
        workspace, made, head, state, amend=amend, index_tree=recorded.index.tree, correction=correction
    )
    workspace.write_index(recorded.index)
    return CommitResult(
        commit_id,
        made,
        head.branch,
        head.commit_id,
        tuple(recorded.skipped),
        recorded.files,
        recorded.size,
        problem,
        correction,
        operation_id,
    )


def _environment(workspace: Workspace) -> tuple[EnvironmentId | None, str | None]:
    """Return the environment that a commit names, or why there is none although there should be."""
    wanted = workspace.config.get_str("commit.environment")
    if wanted == "never" or (wanted == "auto" and workspace.view().get(environment_of(workspace.worktree_id)) is None):
        return None, None
    from dsvc.actions.env_lock import lock_now

    try:
        return lock_now(workspace).environment_id, None
    except RequestError as error:
        return None, error.message


def _check_paths(workspace: Workspace, index: Index, paths: Sequence[bytes]) -> None:
    store = workspace.repo.store
    ignored: list[bytes] = []
    for path in filter(None, paths):
        if any(lookup(store, tree, path) is not None for tree in (index.tree, workspace.head_tree())):
            continue
        refuse_behind_link(path, workspace.place)
        place = workspace.place(path)
        if not os.path.lexists(place):
            raise RequestError(
                f"there is no file or folder {os.fsdecode(path)}, and none was committed",
                hint="dsvc status shows what a commit would take",
            )
        is_directory = os.path.isdir(place) and not os.path.islink(place)
        if workspace.ignore_rules().ignored(path, is_directory=is_directory):
            ignored.append(path)
    if ignored:
        raise IgnoredPathError(ignored)


def _record(workspace: Workspace, index: Index, paths: Sequence[bytes], *, confirmed: bool) -> Recorded:
    stamp = workspace.clock()
    guard = None if confirmed else Guard(workspace.config.get_size("commit.confirm"))
    workspace.progress.start("Storing files")
    recorder = Recorder(
        workspace.repo.store,
        workspace.root_bytes,
        index,
        workspace.ignore_rules(),
        stamp=stamp,
        paths=paths,
        datasets=workspace.datasets(),
        progress=workspace.progress,
        guard=guard,
    )
    try:
        return recorder.run()
    except NeedsConfirmationError as error:
        workspace.repo.store.abandon()
        raise _full_list(workspace, index, paths, error) from None
    except BaseException:
        workspace.repo.store.abandon()
        raise
    finally:
        workspace.progress.finish()


def _full_list(
    workspace: Workspace, index: Index, paths: Sequence[bytes], error: NeedsConfirmationError
) -> NeedsConfirmationError:
    """Return the error with all new files by size, or with all of those that look like secrets."""
    scanner = Scanner(workspace.root_bytes, index, workspace.ignore_rules(), paths)
    sizes: list[tuple[bytes, int]] = []
    for delta in scanner.walk():
        prefix = delta.path + b"/" if delta.path else b""
        sizes += [(prefix + n, os.lstat(scanner.place(prefix + n)).st_size) for n in delta.new]
        for name in delta.new_directories:
            sizes += [(p, st.st_size) for p, st in new_files(scanner, prefix + name) if st is not None]
    reasons = {path: reason for path, _ in sizes if (reason := secret_in(scanner.place(path))) is not None}
    if not error.reasons:
        return NeedsConfirmationError(sizes, limit=error.limit, reasons=reasons)
    found = [(path, size) for path, size in sizes if path in reasons]
    return NeedsConfirmationError(found, reasons=reasons) if found else error


def _tree(workspace: Workspace, index: Index, recorded: Recorded, paths: Sequence[bytes]) -> TreeId:
    head_tree = workspace.head_tree()
    if not paths or index.tree == head_tree:
        return recorded.tree
    changes: dict[bytes, Entry | None] = dict(recorded.changes)
    # What `dsvc add` stored below the paths and did not change since is not among the recorded changes.
    store = workspace.repo.store
    for change in diff_trees(store, head_tree, recorded.tree, paths=paths):
        changes.setdefault(change.path, change.new)
    return TreeId(edit_tree(store, head_tree, changes).id)  # type: ignore[arg-type]


def _with_references(workspace: Workspace, tree: TreeId, head: HeadState) -> TreeId:
    """Return a tree with references for datasets that are checked out as plain files and did not change."""
    datasets = workspace.datasets()
    if datasets is None or head.commit_id is None:
        return tree
    from dsvc.worktree.plain_datasets import with_references

    before = workspace.repo.commit(head.commit_id).tree
    return with_references(workspace.repo.store, tree, before, datasets.places)


def _without(workspace: Workspace, tree: TreeId, aside: Sequence[bytes]) -> TreeId:
    """Return a tree in which these paths are as HEAD's commit has them."""
    store, head_tree = workspace.repo.store, workspace.head_tree()
    before = {path: lookup(store, head_tree, path) for path in aside}
    return TreeId(edit_tree(store, tree, before).id)  # type: ignore[arg-type]


def _stay_new(workspace: Workspace, known: TreeId, index: Index, aside: Sequence[bytes]) -> None:
    """Take those of these paths out of an index that were new to it when it stood for the tree `known`."""
    store = workspace.repo.store
    new = {path: None for path in aside if lookup(store, known, path) is None and lookup(store, index.tree, path)}
    index.tree = TreeId(edit_tree(store, index.tree, new).id)  # type: ignore[arg-type]
    index.update(new)


def _parents(
    workspace: Workspace, head: HeadState, state: WorktreeState | None, *, amend: bool
) -> tuple[CommitId, ...]:
    if amend and head.commit_id is not None:
        return workspace.repo.commit(head.commit_id).parents
    own = (head.commit_id,) if head.commit_id is not None else ()
    return own + (state.heads if state is not None and state.verb == "merge" else ())


def _author(workspace: Workspace, state: WorktreeState | None, amended: Commit | None) -> Person | None:
    if amended is not None:
        return amended.author
    if state is not None and state.verb in KEEPS_AUTHOR and state.heads:
        return workspace.repo.commit(state.heads[0]).author
    return None


def _sign_of(state: WorktreeState | None) -> Sign:
    """Return what was said of signing when that which is under way began."""
    said = state.extra.get("sign") if state is not None else None
    return said if isinstance(said, bool | str) else None


def git_metadata(workspace: Workspace) -> dict[str, Value]:
    """Return what a commit says of the git repository in the same folder."""
    from dsvc.gitbridge.state import git_state

    state = git_state(workspace.root)
    if state is None:
        return {}
    return {"git_head": {"commit": state.head, "branch": state.branch, "clean": state.clean}}


def _snapshot_metadata(workspace: Workspace) -> dict[str, Value]:
    """Say it where the snapshots of several datasets were not taken at one moment."""
    datasets = workspace.datasets()
    return {"snapshots": "in turn"} if datasets is not None and datasets.provider.in_turn else {}


def _publish(
    workspace: Workspace,
    made: Commit,
    head: HeadState,
    state: WorktreeState | None,
    *,
    amend: bool,
    index_tree: TreeId,
    correction: Correction | None = None,
) -> tuple[CommitId, OperationId]:
    commit_id = workspace.repo.put_commit(made)
    transaction = workspace.transaction()
    workspace.move_head(transaction, commit_id)
    keep_correction(transaction, correction)
    if state is not None and not amend:
        set_state(workspace, transaction, after_commit(state))
    keep_index_tree(workspace, transaction, index_tree)
    if made.environment is not None:
        environment = Direct(Kind.ENVIRONMENT, ObjectId(made.environment))
        if workspace.view().get(environment_of(workspace.worktree_id)) != environment:
            transaction.set(environment_of(workspace.worktree_id), environment)
    subject = made.message.partition("\n")[0]
    what = "commit (amend)" if amend else "commit (merge)" if len(made.parents) > 1 else "commit"
    if head.commit_id is None:
        what = "commit (initial)"
    _refuse_moving_files(workspace)
    return commit_id, workspace.publish(transaction, workspace.act("commit", f"{what}: {subject}"))


def _refuse_moving_files(workspace: Workspace) -> None:
    """Refuse to commit what was read while another process moved the files; once it is done, HEAD has moved too."""
    record = journal.read(workspace.journal_path)
    if record is not None:
        workspace.repo.store.abandon()
        raise CheckoutRunningError(record.pid, record.host)


def run_message_hook(workspace: Workspace, message: str, *, run_hooks: bool) -> str:
    """Return the message after the `commit-msg` hook, which may change it through the file it is given."""
    if not run_hooks:
        return message
    file = workspace.local / "COMMIT_MSG"
    if not run_hook(workspace, "commit-msg", arguments=(os.fspath(file),), before=lambda: _write(file, message)):
        return message
    return file.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")


def _write(file: os.PathLike[str], message: str) -> None:
    with open(file, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(message + "\n")


def changed_by(workspace: Workspace, made: Commit) -> list[Change]:
    """Return what a commit changes against its first parent."""
    parent = workspace.tree_of(made.parents[0]) if made.parents else None
    return list(diff_trees(workspace.repo.store, parent, made.tree))
