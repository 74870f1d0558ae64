"""How trees and commits of a workspace are merged: by lines, by its settings, and what a conflict leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

from dsvc.actions.changes import working_changes
from dsvc.actions.revision import revision_context
from dsvc.actions.state import Conflict, WorktreeState, in_conflict
from dsvc.contents.kinds import is_binary
from dsvc.contents.likeness import similar_files
from dsvc.contents.text_merge import Style, TextMergeFailedError, merge
from dsvc.history.mergecommits import CommitMerger
from dsvc.history.mergeentry import ContentRequest, Labels, MergeContent, MergedContent
from dsvc.history.treediff import diff_trees
from dsvc.history.treemerge import TreeMerge, merge_trees
from dsvc.objects.ids import TreeId
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry
from dsvc.workspace import Workspace
from dsvc.worktree.index import join
from dsvc.worktree.plan import InTheWayError, Obstacle
from dsvc.worktree.scan import Scanner

TEXT_LIMIT = 64 << 20
"""Bytes of one side above which a file is not merged by lines: both sides are kept beside each other then."""

Favor = Literal["ours", "theirs", "union"]


@dataclass(frozen=True, slots=True)
class ContentMerger:
    """Merges files by lines: a `MergeContent` of `dsvc.history.mergeentry`.

    With `favor` each conflict is settled for that side, also where contents cannot be merged by lines.
    """

    store: ObjectStore
    style: Style
    favor: Favor | None = None

    def __call__(self, request: ContentRequest) -> MergedContent | None:
        """Merge and store; None for binary and very large files."""
        sides = (request.base, request.ours, request.theirs)
        texts = None if any(e.size > TEXT_LIMIT for e in sides if e is not None) else self._texts(sides)
        if texts is not None:
            try:
                merged = merge(
                    *texts,
                    base_label=_one_line(request.base_label),
                    ours_label=_one_line(request.ours_label),
                    theirs_label=_one_line(request.theirs_label),
                    style="diff3" if request.depth and self.style == "zdiff3" else self.style,
                    favor=None if request.depth else self.favor,
                )
            except TextMergeFailedError:
                pass
            else:
                file_id = self.store.put_content(merged.content)
                return MergedContent(file_id, len(merged.content), merged.conflicts)
        if request.depth or self.favor not in ("ours", "theirs"):
            return None
        side = request.ours if self.favor == "ours" else request.theirs
        return MergedContent(side.id, side.size)

    def _texts(self, sides: tuple[Entry | None, Entry, Entry]) -> tuple[bytes, bytes, bytes] | None:
        base, ours, theirs = (b"" if e is None else self.store.read_file(e.id) for e in sides)
        if is_binary(base) or is_binary(ours) or is_binary(theirs):
            return None
        return base, ours, theirs


def content_merger(workspace: Workspace, *, favor: Favor | None = None) -> MergeContent:
    """Return how this workspace merges files, in the form that `merge.conflictStyle` names."""
    style = cast("Style", workspace.config.get_str("merge.conflictStyle") or "merge")
    return ContentMerger(workspace.repo.store, style, favor)


def commit_merger(workspace: Workspace, *, favor: Favor | None = None) -> CommitMerger:
    """Return what merges commits of this workspace."""
    store = workspace.repo.store

    def read(_path: bytes, entry: Entry) -> bytes:
        return store.read_file(entry.id)

    return CommitMerger(
        store,
        revision_context(workspace).ancestry(),
        content_merger(workspace, favor=favor),
        similar=similar_files(read, read),
    )


def merge_change(
    workspace: Workspace,
    base: TreeId | None,
    ours: TreeId,
    theirs: TreeId,
    *,
    labels: Labels,
    favor: Favor | None = None,
) -> TreeMerge:
    """Apply the change from `base` to `theirs` to `ours`; the merged tree is stored and nothing else happens."""
    merger = commit_merger(workspace, favor=favor)
    return merge_trees(
        merger.store, base, ours, theirs, content=merger.content, labels=labels, similar=merger.similar
    )


def conflicts_of(merge: TreeMerge) -> tuple[Conflict, ...]:
    """Return the conflicts of a merge as they are kept until they are settled, each path once."""
    found: dict[bytes, Conflict] = {}
    for conflict in merge.conflicts:
        versions = conflict.versions
        new = Conflict(
            conflict.path, conflict.kind, versions.base, versions.ours, versions.theirs, tuple(conflict.kept)
        )
        old = found.get(conflict.path)
        if old is not None:
            new = Conflict(
                old.path,
                old.kind,
                old.base or new.base,
                old.ours or new.ours,
                old.theirs or new.theirs,
                tuple(dict.fromkeys((*old.files, *new.files))),
            )
        found[conflict.path] = new
    return tuple(found.values())


def changed_paths(workspace: Workspace) -> tuple[bytes, ...]:
    """Return the paths that differ from HEAD's commit in the working copy; a folder of new files is one path.

    No new file is read.
    """
    known = working_changes(workspace, include_new=False)
    store = workspace.repo.store
    found = {change.path for change in diff_trees(store, workspace.head_tree(), known.index.tree)}
    found |= known.entries.keys()
    for delta in Scanner(workspace.root_bytes, known.index, workspace.ignore_rules()).walk():
        found.update(join(delta.path, name) for name in (*delta.new, *delta.new_directories))
    return tuple(sorted(found))


def under_way(workspace: Workspace, state: WorktreeState, merge: TreeMerge) -> WorktreeState:
    """Return the state to be in once the working copy is brought to the merged tree, with its conflicts.

    Raises:
        InTheWayError: naming files in conflict that hold changes which are not committed: they would be mixed up.
    """
    aside = changed_paths(workspace)
    state = in_conflict(replace(state, merged=merge.tree, aside=aside), conflicts_of(merge))
    mixed = sorted(set(state.touched) & set(aside))
    if mixed:
        raise InTheWayError([Obstacle(path, "changed since the last commit, and in conflict") for path in mixed])
    return state


def merge_notes(merge: TreeMerge) -> tuple[str, ...]:
    """Return what else is worth saying about a merge: files that followed a folder, limits that were hit."""
    notes = [
        f"{_shown(old)} followed its folder's new name to {_shown(new)}" for old, new in merge.moved[:20]
    ]
    notes += [f"{_shown(path)} was split among several folders, so new files in it stay" for path in merge.split]
    if merge.limit is not None:
        notes.append(
            f"renames among {merge.limit.candidates:,} files were not all looked for (the limit is "
            f"{merge.limit.limit:,}): some may show as a deleted and a new file"
        )
    return tuple(notes)


def _one_line(label: bytes) -> bytes:
    return label.replace(b"\n", b" ").replace(b"\r", b" ")


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")
