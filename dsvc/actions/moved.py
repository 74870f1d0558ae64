"""Take files that no commit has along with a folder that an undo or redo moves back."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator

from dsvc.errors import RequestError
from dsvc.history.treediff import directory_of
from dsvc.objects import trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectMissingError, ObjectStore
from dsvc.objects.values import Operation
from dsvc.refs.log import OperationLog
from dsvc.workspace import Workspace
from dsvc.worktree.index import join


def is_move(log: OperationLog, operation: Operation) -> bool:
    """Say whether an operation is an `mv`, or takes one back or brings one back."""
    while operation.verb in {"undo", "redo"} and operation.reverts is not None:
        try:
            operation = log.get(operation.reverts)
        except ObjectMissingError:
            return False  # removed by gc
    return operation.verb == "mv"


def bring_along(workspace: Workspace, before: TreeId, after: TreeId) -> None:
    """Move what is left of folders that moved from where `before` has them to where `after` does.

    The versioned files have moved. What is not versioned, ignored files too, goes to the same place in the new folder
    unless something stands there; folders that are empty then go.
    """
    for source, goal in list(_moved_folders(workspace.repo.store, before, after)):
        with contextlib.suppress(OSError, RequestError):  # it stays where it is, and is not lost
            _merge(workspace.place(source), workspace.place(goal))


def _moved_folders(store: ObjectStore, before: TreeId, after: TreeId) -> Iterator[tuple[bytes, bytes]]:
    """Yield the folders that stand whole in both trees, and in none of them where they do in the other."""
    gone: dict[TreeId, bytes] = {}
    come: dict[TreeId, bytes] = {}
    seen: Counter[tuple[TreeId, bool]] = Counter()
    waiting = [(b"", before, after)]
    while waiting:
        folder, old_id, new_id = waiting.pop()
        for name, old, new in trees.differences(store, old_id, new_id):
            path, old_tree, new_tree = join(folder, name), directory_of(old), directory_of(new)
            if old_tree is not None and new_tree is not None:
                waiting.append((path, old_tree, new_tree))
            elif old_tree is not None:
                gone[old_tree] = path
                seen[old_tree, True] += 1
            elif new_tree is not None:
                come[new_tree] = path
                seen[new_tree, False] += 1
    for tree_id, source in gone.items():
        if tree_id in come and seen[tree_id, True] == seen[tree_id, False] == 1:
            yield source, come[tree_id]


def _merge(source: bytes, goal: bytes) -> None:
    """Move a folder, or what of it is not there yet, to `goal`."""
    for name in os.listdir(source):
        one, other = join(source, name), join(goal, name)
        if not os.path.lexists(other):
            os.rename(one, other)
        elif _is_folder(one) and _is_folder(other):
            _merge(one, other)
    os.rmdir(source)


def _is_folder(path: bytes) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)
