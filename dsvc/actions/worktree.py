"""Several working copies of one repository: each with its own HEAD, index and folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dsvc.actions.changes import working_changes
from dsvc.actions.checkout import checkout
from dsvc.actions.operations import FROM
from dsvc.actions.overwrite import record_working_copy
from dsvc.actions.revision import commit_of
from dsvc.actions.state import read_state
from dsvc.actions.switch import branch_of_remotes, follow, refuse_branch_of_other
from dsvc.atomic import write_file
from dsvc.errors import NotARepositoryError, RequestError
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, Kind, ObjectId, TreeId
from dsvc.refs.names import HEADS, WORKTREES, added_of, check_short_name, head_of, saved_of, short_name
from dsvc.refs.view import Direct, Symbolic
from dsvc.workspace import MAIN, PRIVATE, Workspace
from dsvc.worktree.datasets import seed_datasets
from dsvc.worktree.index import Index
from dsvc.worktree.name_map import seed_names
from dsvc.worktree.places import common_folder, make_private, make_root, worktree_id, worktree_paths
from dsvc.zfs.provider import open_zfs


@dataclass(frozen=True, slots=True)
class Worktree:
    """A working copy: its id, where it lies (None: nobody knows), where it stands, and whether its folder is there."""

    id: str
    path: Path | None
    branch: str | None
    commit_id: CommitId | None
    present: bool


@dataclass(frozen=True, slots=True)
class WorktreeAddResult:
    """The new worktree, and whether its branch was made for it."""

    worktree: Worktree
    created_branch: bool


@dataclass(frozen=True, slots=True)
class WorktreeRemoveResult:
    """The worktrees that were removed, and the tree of all files as they were where some of that was in no commit."""

    removed: tuple[Worktree, ...]
    stored: TreeId | None = None


def add_worktree(
    workspace: Workspace,
    path: Path,
    target: str | None = None,
    *,
    new_branch: str | None = None,
    detach: bool = False,
) -> WorktreeAddResult:
    """Make a working copy of this repository in the folder `path`, which must be empty or not there.

    It stands on the branch `target`, or on one of that name that is made and follows a remote's, or on `new_branch`,
    which is made at the commit `target` (HEAD where none is given), or with `detach` at a commit. With neither it gets
    a branch named as the folder. A kill leaves a folder that can be removed, and no branch.

    Raises:
        RequestError: when the folder is not empty, or another worktree stands on the branch.
    """
    path = Path(os.path.abspath(path))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RequestError(f"{path} exists and is not an empty folder", hint="choose another folder")
    if path == workspace.common or workspace.common in path.parents:
        raise RequestError(f"{path} lies in the folder of the repository itself", hint="choose another folder")
    view = workspace.view()
    name = free_id(workspace, path.name)
    if target is None and new_branch is None and not detach:
        if view.get(HEADS + path.name) is not None:
            target = path.name
        else:
            new_branch = path.name
    if target is not None and new_branch is None and not detach and view.get(HEADS + target) is None:
        followed = branch_of_remotes(workspace, target)
        new_branch, target = (target, followed) if followed is not None else (None, target)
    transaction = workspace.repo.transaction()
    branch: str | None = None
    commit_id: CommitId | None
    if new_branch is not None:
        branch = check_short_name(new_branch, HEADS)
        if view.get(branch) is not None:
            raise RequestError(f"there is already a branch {new_branch}", hint=f"dsvc worktree add PATH {new_branch}")
        commit_id = commit_of(workspace, target or "HEAD")
        transaction.set(branch, Direct(Kind.COMMIT, ObjectId(commit_id)))
    elif not detach and target is not None and view.get(HEADS + target) is not None:
        branch = HEADS + target
        commit_id = view.commit(branch)
    else:
        commit_id = commit_of(workspace, target or "HEAD")
        if not detach:
            raise RequestError(
                f"{target!r} is no branch",
                hint=f"dsvc worktree add --detach PATH {target}, or -b NAME to make a branch there",
            )
    if branch is not None:
        refuse_branch_of_other(workspace, branch, everywhere=True)
        transaction.set(head_of(name), Symbolic(branch))
    elif commit_id is not None:
        transaction.set(head_of(name), Direct(Kind.COMMIT, ObjectId(commit_id)))
    made_folder = not path.exists()
    make_root(path)
    try:
        made = make_folder(workspace, path, name)
        seed_datasets(workspace.local / "datasets", made.local / "datasets")
        store = workspace.repo.store
        empty = trees.empty_tree(store)
        goal = workspace.tree_of(commit_id) if commit_id is not None else empty
        where = short_name(branch) if branch else commit_id.hex()[:12] if commit_id else "nothing"
        checkout(
            made,
            empty,
            goal,
            transaction=transaction,
            verb="worktree",
            description=f"worktree add: {name} at {where}",
            index=Index(empty, 0, names=seed_names(workspace.names_path, made.names_path)),
            metadata={FROM: workspace.worktree_id},
        )
    except BaseException:
        open_zfs(workspace.surroundings.environment, workspace.config).unmount_below(path)
        forget_folder(workspace, path, name, whole=made_folder)
        raise
    workspace.published = True
    if new_branch is not None and branch is not None and target is not None:
        follow(workspace, branch, target)
    return WorktreeAddResult(Worktree(name, path, branch, commit_id, present=True), new_branch is not None)


def free_id(workspace: Workspace, wanted: str) -> str:
    """Return an id that no worktree has, made from the name of its folder."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-") or "worktree"
    taken = {worktree.id for worktree in list_worktrees(workspace)} | {MAIN} | set(worktree_paths(workspace.common))
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def make_folder(workspace: Workspace, path: Path, name: str) -> Workspace:
    """Make the folder of a linked worktree, and return its workspace."""
    private = path / PRIVATE
    make_private(private, "worktree")
    (workspace.common / "worktrees").mkdir(exist_ok=True)
    write_file(workspace.common / "worktrees" / name, os.fsencode(_link(workspace.common, path)) + b"\n")
    write_file(private / "worktree" / "id", name.encode() + b"\n")
    write_file(private / "common", os.fsencode(_link(private, workspace.common)) + b"\n")
    return Workspace(
        path,
        private,
        workspace.common,
        workspace.repo,
        worktree_id=name,
        config=workspace.config,
        surroundings=workspace.surroundings,
        progress=workspace.progress,
    )


def _link(place: Path, other: Path) -> str:
    """Return how `place` names another folder: relative where both lie in one project, so that they move together."""
    shared = os.path.commonpath([place, other])
    near = Path(shared) in (place.parent, place.parent.parent, other.parent.parent)
    return os.path.relpath(other, place) if near and shared != "/" else os.fspath(other)


def forget_folder(workspace: Workspace, path: Path, name: str, *, whole: bool) -> None:
    shutil.rmtree(path if whole else path / PRIVATE, ignore_errors=True)
    if not whole:
        for left in path.iterdir() if path.is_dir() else ():
            with contextlib.suppress(OSError):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    with contextlib.suppress(OSError):
        (workspace.common / "worktrees" / name).unlink()


def list_worktrees(workspace: Workspace) -> list[Worktree]:
    """Return all worktrees of the repository, the one in which it was made first."""
    view = workspace.view()
    paths = worktree_paths(workspace.common)
    found: list[Worktree] = []
    for name, ref in view.items(WORKTREES):
        parts = name.split("/")
        if len(parts) != 3 or parts[2] != "HEAD":
            continue
        path = workspace.common.parent if parts[1] == MAIN else paths.get(parts[1])
        branch = ref.target if isinstance(ref, Symbolic) else None
        present = path is not None and (parts[1] == MAIN or _is_worktree(path, parts[1]))
        found.append(Worktree(parts[1], path, branch, view.commit(name), present))
    return sorted(found, key=lambda w: (w.id != MAIN, w.id))


def _is_worktree(path: Path, name: str) -> bool:
    return (path / PRIVATE / "common").is_file() and worktree_id(path / PRIVATE) == name


def remove_worktree(workspace: Workspace, target: str, *, directory: Path, force: bool = False) -> WorktreeRemoveResult:
    """Remove a linked worktree, given by its folder or id, with everything in its folder.

    Ignored files in it go without a word. With `force` it goes with changes too; what it holds that no commit has is
    stored first, for as long as gc keeps old operations.

    Raises:
        RequestError: for the main worktree, the one we are in, or one with changes without `force`.
    """
    worktree = _find(workspace, target, directory)
    if worktree.id == MAIN:
        raise RequestError("the worktree in which the repository lies cannot be removed", hint="dsvc worktree list")
    if worktree.path is None or not worktree.present:
        return drop_worktrees(workspace, [worktree])
    if worktree.id == workspace.worktree_id:
        raise RequestError("this is the worktree we are in", hint=f"run it elsewhere: cd {workspace.common.parent}")
    linked = Workspace.open(
        worktree.path, config=workspace.config, surroundings=workspace.surroundings, progress=workspace.progress
    )
    try:
        if common_folder(linked.private) != workspace.common:
            raise NotARepositoryError(f"{worktree.path} belongs to another repository")
        changes = working_changes(linked)
        unfinished = read_state(linked) is not None
        dirty = bool(changes.entries) or changes.index.tree != linked.head_tree() or unfinished
        if dirty and not force:
            raise RequestError(
                f"the worktree {worktree.path} has changes that are not committed",
                hint="commit them there, or 'dsvc worktree remove --force' stores and removes them",
            )
        stored = None
        if dirty:
            recorded = record_working_copy(linked, known_only=False)
            transaction = linked.transaction()
            transaction.set(saved_of(worktree.id), Direct(Kind.TREE, ObjectId(recorded.tree)))
            linked.publish(transaction, linked.act("worktree", f"worktree remove: files of {worktree.id}"))
            stored = recorded.tree
    finally:
        linked.close()
    workspace.repo.refresh()
    result = drop_worktrees(workspace, [worktree])
    # What is in a dataset would go with the folder.
    open_zfs(workspace.surroundings.environment, workspace.config).unmount_below(worktree.path)
    shutil.rmtree(worktree.path)
    return replace(result, stored=stored)


def _find(workspace: Workspace, target: str, directory: Path) -> Worktree:
    worktrees = list_worktrees(workspace)
    path = os.path.realpath(directory / target)
    for worktree in worktrees:
        if worktree.path is not None and os.path.realpath(worktree.path) == path:
            return worktree
    for worktree in worktrees:
        if worktree.id == target:
            return worktree
    raise RequestError(f"{target!r} is no worktree of this repository", hint="dsvc worktree list")


def drop_worktrees(workspace: Workspace, worktrees: Sequence[Worktree]) -> WorktreeRemoveResult:
    """Remove what the repository knows of these worktrees."""
    view = workspace.view()
    for worktree in worktrees:
        transaction = workspace.repo.transaction()
        for name, _ in view.items(f"{WORKTREES}{worktree.id}/"):
            transaction.delete(name)
        transaction.delete(added_of(worktree.id))
        # Recorded as the removed one's own operation, so that it does not stand in the way of an undo here.
        act = replace(workspace.act("worktree", f"worktree remove: {worktree.id}"), worktree=worktree.id)
        workspace.publish(transaction, act)
        with contextlib.suppress(FileNotFoundError):
            (workspace.common / "worktrees" / worktree.id).unlink()
    return WorktreeRemoveResult(tuple(worktrees))


def prune_worktrees(workspace: Workspace, *, dry_run: bool = False) -> WorktreeRemoveResult:
    """Forget linked worktrees whose folders are gone; commits on their branches stay."""
    gone = [w for w in list_worktrees(workspace) if w.id != MAIN and not w.present]
    if dry_run:
        return WorktreeRemoveResult(tuple(gone))
    result = drop_worktrees(workspace, gone)
    known = {worktree.id for worktree in list_worktrees(workspace)}
    for name in worktree_paths(workspace.common):
        if name not in known:
            (workspace.common / "worktrees" / name).unlink(missing_ok=True)
    return result
