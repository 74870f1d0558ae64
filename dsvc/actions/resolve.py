"""Settle conflicts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsvc.actions.checkout import keep_index_tree
from dsvc.actions.overwrite import overwrite_working_copy, record_working_copy
from dsvc.actions.state import Conflict, WorktreeState, read_state, set_state, settle
from dsvc.errors import RequestError
from dsvc.objects.ids import TreeId
from dsvc.objects.tree import FILE_KINDS, Entry, EntryKind
from dsvc.objects.trees import edit_tree, lookup
from dsvc.workspace import Workspace

Side = Literal["ours", "theirs", "base"]
_MARKERS = re.compile(rb"(?m)^(<{7}|>{7}) ")
_SEARCHED = 64 << 20
_OF_FOLDERS = frozenset({EntryKind.SNAPSHOT, EntryKind.GITLINK})  # which stand where a folder is on disk


class MarkersLeftError(RequestError):
    """Files still have conflict markers in them."""

    def __init__(self, paths: Sequence[bytes]) -> None:
        shown = "".join(f"\n  {os.fsdecode(p)}" for p in paths[:10])
        super().__init__(
            f"these files still have conflict markers in them:{shown}",
            hint="edit them first, or say 'dsvc resolve --force PATH' if they are meant to be there",
            details={"paths": [os.fsdecode(p) for p in paths]},
        )


class FolderInTheWayError(RequestError):
    """One side has a folder where the other one has a file."""

    def __init__(self, path: bytes) -> None:
        super().__init__(
            f"{os.fsdecode(path)} is a folder on one side and a file on the other",
            hint="move or remove what you do not want, then say 'dsvc resolve PATH'",
        )


@dataclass(frozen=True, slots=True)
class ResolveResult:
    """The conflicts that were settled, those that are left, and what is under way (None: nothing any more)."""

    settled: tuple[Conflict, ...]
    left: tuple[Conflict, ...]
    verb: str | None


@dataclass(frozen=True, slots=True)
class ToolFiles:
    """What a merge tool is given: copies of the three sides, and the file that it is to write."""

    base: Path
    ours: Path
    theirs: Path
    merged: Path


RunTool = Callable[[ToolFiles], int]


def list_conflicts(workspace: Workspace) -> ResolveResult:
    """Return what is still in conflict."""
    state = read_state(workspace)
    return ResolveResult((), state.conflicts if state else (), state.verb if state else None)


def resolve(
    workspace: Workspace,
    paths: Sequence[bytes],
    *,
    side: Side | None = None,
    run_tool: RunTool | None = None,
    force: bool = False,
) -> ResolveResult:
    """Settle the conflicts at these files and below these folders (the root is b"": all of them).

    With `side` the file becomes what that side has, which may be nothing; a file that was kept beside it goes. Without,
    it is settled as it stands in the working copy. What is overwritten is stored for `undo`.

    Raises:
        MarkersLeftError: when a file that is settled as it stands has conflict markers, unless `force`.
        RequestError: for a path that is not in conflict.
    """
    state = read_state(workspace)
    chosen = _choose(state, paths)
    if state is None or not chosen:
        return ResolveResult((), state.conflicts if state else (), state.verb if state else None)
    if run_tool is not None:
        for conflict in chosen:
            _edit_with_tool(workspace, conflict, run_tool)
    if side is None and not force:
        marked = [c.path for c in chosen if _has_markers(workspace, c)]
        if marked:
            raise MarkersLeftError(marked)
    changes: dict[bytes, Entry | None] = {}
    for conflict in chosen:
        changes |= _take(workspace, conflict, side) if side is not None else _tidy(workspace, conflict)
    new_state: WorktreeState | None = settle(state, {c.path for c in chosen})
    assert new_state is not None
    left = new_state.conflicts
    if state.verb == "stash" and not left:
        new_state = None
    transaction = workspace.transaction()
    set_state(workspace, transaction, new_state)
    shown = ", ".join(os.fsdecode(c.path) for c in chosen[:3]) + (" ..." if len(chosen) > 3 else "")
    description = f"resolve: {shown}" + (f" ({side})" if side else "")
    if changes:
        recorded = record_working_copy(workspace, paths=list(changes))
        goal = TreeId(edit_tree(workspace.repo.store, recorded.tree, changes).id)  # type: ignore[arg-type]
        overwrite_working_copy(
            workspace, goal, transaction=transaction, verb="resolve", description=description, recorded=recorded
        )
    else:
        keep_index_tree(workspace, transaction, workspace.index().tree)
        workspace.publish(transaction, workspace.act("resolve", description))
    return ResolveResult(chosen, left, new_state.verb if new_state else None)


def _choose(state: WorktreeState | None, paths: Sequence[bytes]) -> tuple[Conflict, ...]:
    conflicts = state.conflicts if state is not None else ()
    chosen: dict[bytes, Conflict] = {}
    for path in paths:
        found = [c for c in conflicts if _is_about(c, path)]
        if not found and path and state is not None and path in state.touched:
            raise RequestError(
                f"{os.fsdecode(path)} is settled already", hint="dsvc undo brings the conflict back; or edit the file"
            )
        if not found and (path or not conflicts):
            raise RequestError(
                f"{os.fsdecode(path)} is not in conflict" if path else "nothing is in conflict",
                hint="dsvc resolve lists the paths that are" if conflicts else "dsvc status",
            )
        chosen |= {c.path: c for c in found}
    return tuple(chosen[path] for path in sorted(chosen))


def _is_about(conflict: Conflict, path: bytes) -> bool:
    return not path or any(p == path or p.startswith(path + b"/") for p in (conflict.path, *conflict.files))


def _take(workspace: Workspace, conflict: Conflict, side: Side) -> dict[bytes, Entry | None]:
    """Return the changes of files that leave only one side."""
    entry = {"ours": conflict.ours, "theirs": conflict.theirs, "base": conflict.base}[side]
    changes: dict[bytes, Entry | None] = {path: None for path in conflict.files if path != conflict.path}
    place = conflict.path
    if conflict.kind == "rename/rename" and len(conflict.files) == 2:
        place = conflict.files[1 if side == "theirs" else 0]
        changes = dict.fromkeys((conflict.path, *conflict.files))
    elif entry is not None and entry.kind not in _OF_FOLDERS and os.path.isdir(workspace.place(place)):
        raise FolderInTheWayError(place)
    if entry is not None and entry.kind == EntryKind.TREE:
        raise FolderInTheWayError(place)
    changes[place] = entry
    return changes


def _tidy(workspace: Workspace, conflict: Conflict) -> dict[bytes, Entry | None]:
    """Return the changes that remove a side's copy beside the file, where nobody touched it."""
    changes: dict[bytes, Entry | None] = {}
    if conflict.path not in conflict.files:
        return changes
    copies = [p for p in conflict.files if p.startswith(conflict.path + b"~")]
    if copies:
        now = record_working_copy(workspace, paths=copies)
        for path in copies:
            if lookup(workspace.repo.store, now.tree, path) in (conflict.ours, conflict.theirs):
                changes[path] = None
    return changes


def _has_markers(workspace: Workspace, conflict: Conflict) -> bool:
    return any(_file_has_markers(workspace.place(p)) for p in {conflict.path, *conflict.files})


def _file_has_markers(path: bytes) -> bool:
    if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > _SEARCHED:
        return False
    with open(path, "rb") as file:
        content = file.read()
    return b"\0" not in content[:8000] and len({found[1][:1] for found in _MARKERS.finditer(content)}) == 2


def _edit_with_tool(workspace: Workspace, conflict: Conflict, run_tool: RunTool) -> None:
    sides = (conflict.base, conflict.ours, conflict.theirs)
    shown = os.fsdecode(conflict.path)
    if conflict.ours is None or conflict.theirs is None or any(e and e.kind not in FILE_KINDS for e in sides):
        raise RequestError(
            f"{shown} cannot be settled with a tool: it is a {conflict.kind} conflict",
            hint="dsvc resolve --ours|--theirs PATH",
        )
    folder = workspace.scratch / "tool"
    folder.mkdir(parents=True, exist_ok=True)
    name = os.path.basename(shown)
    base, ours, theirs = (folder / f"{word}-{name}" for word in ("base", "ours", "theirs"))
    for entry, copy in zip(sides, (base, ours, theirs), strict=True):
        with open(copy, "wb") as file:
            for piece in workspace.repo.store.file_chunks(entry.id) if entry is not None else ():
                file.write(piece)
    code = run_tool(ToolFiles(base, ours, theirs, Path(os.fsdecode(workspace.place(conflict.path)))))
    for copy in (base, ours, theirs):
        copy.unlink(missing_ok=True)
    if code:
        raise RequestError(
            f"the merge tool ended with code {code}, so {shown} stays in conflict", hint="dsvc resolve --tool PATH"
        )
