"""Move or rename versioned files and folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.checkout import FILES, keep_index_tree
from dsvc.actions.overwrite import record_working_copy
from dsvc.errors import RequestError
from dsvc.objects import trees
from dsvc.objects.ids import Kind, ObjectId, TreeId
from dsvc.objects.tree import Entry, EntryKind, is_valid_name
from dsvc.refs.names import saved_of
from dsvc.refs.view import Direct
from dsvc.workspace import Workspace
from dsvc.worktree.ignore import IgnoreRules
from dsvc.worktree.index import ABSENT, DIRECTORY, Block, Index, join, signature
from dsvc.worktree.record import Recorded, Recorder


class CannotMoveError(RequestError):
    """A file or folder cannot be moved to where it should go."""


@dataclass(frozen=True, slots=True)
class MvResult:
    """The moves that were made, or would be, as (from, to); and those that were left out, with the reason."""

    moved: tuple[tuple[bytes, bytes], ...]
    left_out: tuple[tuple[bytes, str], ...]


def mv(
    workspace: Workspace,
    sources: Sequence[bytes],
    target: bytes,
    *,
    force: bool = False,
    skip_errors: bool = False,
    dry_run: bool = False,
) -> MvResult:
    """Move versioned files and folders to a new name, or into the folder `target`.

    What is not checked out, such as a reference that nobody fetched, moves in the next commit alone. Content is stored
    first where it changed; nothing is read again for the move. `force` replaces a file that
    is there, after storing what it holds. `undo` moves them back. Everything is checked before the first move.

    Raises:
        CannotMoveError: saying which path cannot be moved and why; with `skip_errors` those are left out.
    """
    moves, left_out = _plan(workspace, sources, target, force=force, skip_errors=skip_errors)
    _refuse_datasets(workspace, moves)
    if dry_run or not moves:
        return MvResult(tuple(moves), tuple(left_out))
    recorded = _record(workspace, moves)
    store = workspace.repo.store
    tree = recorded.tree
    for source, goal in moves:
        entry = trees.lookup(store, tree, source)
        if entry is None:
            raise CannotMoveError(f"{os.fsdecode(source)} is gone", hint="dsvc status")
        tree = TreeId(ObjectId(trees.edit_tree(store, tree, {source: None}).id))
        tree = TreeId(ObjectId(trees.edit_tree(store, tree, {goal: entry}).id))
    transaction = workspace.transaction()
    keep_index_tree(workspace, transaction, tree)
    transaction.set(saved_of(workspace.worktree_id), Direct(Kind.TREE, ObjectId(recorded.tree)))
    # Published first: a kill between the moves leaves files that are stored, at one of their two names.
    shown = ", ".join(f"{_text(a)} -> {_text(b)}" for a, b in moves[:2]) + (" …" if len(moves) > 2 else "")
    act = workspace.act("mv", f"mv: {shown}", metadata={FILES: (recorded.tree, tree)})
    workspace.publish(transaction, act)
    _rename(workspace, moves)
    index = recorded.index
    for source, goal in moves:
        _move_in_index(workspace, index, source, goal)
        index.names = index.names.moved(source, goal)
    index.tree = tree
    workspace.write_index(index)
    return MvResult(tuple(moves), tuple(left_out))


def _refuse_datasets(workspace: Workspace, moves: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse to move a folder that is mounted, or holds such a folder, and to move anything into one."""
    datasets = workspace.datasets()
    for path in datasets.paths() if datasets is not None else ():
        dataset, shown = (datasets.places[path].dataset, os.fsdecode(path)) if datasets is not None else ("", "")
        for source, goal in moves:
            if path == source or path.startswith(source + b"/") or (goal + b"/").startswith(path + b"/"):
                raise CannotMoveError(
                    f"{os.fsdecode(source)} cannot be moved to {os.fsdecode(goal)}: {shown} is the dataset {dataset}",
                    hint=f"to give it another folder: dsvc rm {shown}, then dsvc data add FOLDER --zfs {dataset}",
                )


def _text(path: bytes) -> str:
    return path.decode("utf-8", "replace")


def _rename(workspace: Workspace, moves: Sequence[tuple[bytes, bytes]]) -> None:
    """Rename all of them on disk, or none."""
    done: list[tuple[bytes, bytes]] = []
    for source, goal in moves:
        if not os.path.lexists(workspace.place(source)):
            continue  # it is not checked out
        try:
            os.rename(workspace.place(source), workspace.place(goal))
        except OSError as error:
            for before, now in reversed(done):
                os.rename(workspace.place(now), workspace.place(before))
            raise CannotMoveError(
                f"{os.fsdecode(source)} cannot be moved to {os.fsdecode(goal)}: {error.strerror}"
            ) from error
        done.append((source, goal))


def _plan(
    workspace: Workspace, sources: Sequence[bytes], target: bytes, *, force: bool, skip_errors: bool
) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, str]]]:
    index = workspace.index()
    into = _is_folder(workspace, index, target)
    if into and len(sources) == 1 and target and _same(workspace.place(sources[0]), workspace.place(target)):
        into = False  # a change of case on a disk that does not tell the two names apart
    if len(sources) > 1 and not into:
        raise CannotMoveError(f"{os.fsdecode(target)} is no folder, and several files are to go there")
    moves: list[tuple[bytes, bytes]] = []
    left_out: list[tuple[bytes, str]] = []
    taken: set[bytes] = set()
    for source in sources:
        goal = join(target, source.rpartition(b"/")[2]) if into else target
        reason = _obstacle(workspace, index, source, goal, force=force)
        if reason is None and goal in taken:
            reason = "another file is to go there too"
        if reason is None:
            taken.add(goal)
            moves.append((source, goal))
        elif skip_errors:
            left_out.append((source, reason))
        else:
            hint = "dsvc mv -f replaces it" if reason == _THERE else None
            raise CannotMoveError(
                f"{os.fsdecode(source) or '.'} cannot be moved to {os.fsdecode(goal)}: {reason}", hint=hint
            )
    return moves, left_out


_THERE = "there is a file already"


def _obstacle(workspace: Workspace, index: Index, source: bytes, goal: bytes, *, force: bool) -> str | None:
    here, there = workspace.place(source), workspace.place(goal)
    if not source:
        return "it is the whole working copy"
    if trees.lookup(workspace.repo.store, index.tree, source) is None:
        return "it is not versioned" if os.path.lexists(here) else "it is not there"
    if not os.path.lexists(here) and (index.sparse or not index.is_absent(source)):
        # Under patterns of a sparse working copy the new path might belong onto the disk.
        return "it is not checked out" if index.is_absent(source) else "it is not there"
    if goal == source or goal.startswith(source + b"/"):
        return "it would lie in itself"
    if not all(is_valid_name(name) for name in goal.split(b"/")):
        return "no repository may hold that name"
    folder = goal.rpartition(b"/")[0]
    if not os.path.lexists(here):
        return _obstacle_of_absent(workspace, index, goal, folder)
    parent = workspace.place(folder)
    if not os.path.isdir(parent) or os.path.islink(parent):
        return "the folder for it is not there"
    if not os.path.lexists(there) and index.is_absent(goal):
        return None if force else _THERE
    if os.path.lexists(there) and not _same(here, there):
        if os.path.isdir(there) and not os.path.islink(there):
            return "there is a folder of that name already"
        return None if force and not os.path.isdir(here) else _THERE
    return None


def _obstacle_of_absent(workspace: Workspace, index: Index, goal: bytes, folder: bytes) -> str | None:
    """Say why what is not checked out, and so moves in the commit alone, cannot go to `goal`."""
    place, known = workspace.place(folder), trees.lookup(workspace.repo.store, index.tree, folder)
    on_disk = os.path.isdir(place) and not os.path.islink(place)
    if not on_disk and (known is None or known.kind != EntryKind.TREE or not index.is_absent(folder)):
        return "the folder for it is not there"
    if os.path.lexists(workspace.place(goal)) or trees.lookup(workspace.repo.store, index.tree, goal) is not None:
        return "something of that name is there already"
    return None


def _is_folder(workspace: Workspace, index: Index, path: bytes) -> bool:
    """Say whether a folder is there, on disk or left out of the working copy."""
    place = workspace.place(path)
    if os.path.lexists(place):
        return os.path.isdir(place) and not os.path.islink(place)
    known = trees.lookup(workspace.repo.store, index.tree, path)
    return known is not None and known.kind == EntryKind.TREE and index.is_absent(path)


def _same(one: bytes, other: bytes) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False


def _record(workspace: Workspace, moves: Sequence[tuple[bytes, bytes]]) -> Recorded:
    """Store what the known files hold that will move, and every file that will be replaced."""
    recorded = record_working_copy(workspace, paths=[source for source, _ in moves])
    replaced = [goal for _, goal in moves if os.path.lexists(workspace.place(goal))]
    if not replaced:
        return recorded
    rules = IgnoreRules.nothing(workspace.root_bytes)
    stamp = workspace.clock()
    return Recorder(
        workspace.repo.store, workspace.root_bytes, recorded.index, rules, stamp=stamp, paths=replaced
    ).run()


def _move_in_index(workspace: Workspace, index: Index, source: bytes, goal: bytes) -> None:
    store = workspace.repo.store
    entry: Entry | None = trees.lookup(store, index.tree, source)
    if not os.path.lexists(workspace.place(goal)):
        changes = {source: None} if index.get(source) is not None else {}
        index.update(changes if index.is_absent(goal.rpartition(b"/")[0]) else {**changes, goal: ABSENT})
        return
    if entry is None or entry.kind != EntryKind.TREE:
        index.update({source: None, goal: signature(os.lstat(workspace.place(goal)))})
        return
    # Renaming a folder leaves the times of what is in it alone.
    prefix = source + b"/"
    blocks: dict[bytes, Block] = {}
    for path, block in index.blocks.items():
        if path == source or path.startswith(prefix):
            blocks[goal + path[len(source) :]] = block
    index.update({source: None, goal: DIRECTORY})
    index.blocks.update(blocks)
