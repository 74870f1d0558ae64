"""What differs between commits, or between a commit and the working copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsvc.actions.changes import UNREAD, changes_against, working_changes
from dsvc.actions.filediff import FileDiff, Sides, StatusFilter, paired
from dsvc.actions.revision import revision_context
from dsvc.contents.attributes import attributes_on_disk
from dsvc.errors import UsageError
from dsvc.history.datasets import diff_files
from dsvc.history.mergebase import merge_bases
from dsvc.history.ranges import split_range
from dsvc.history.renames import MINIMUM, RenameLimit
from dsvc.history.revisions import RevisionContext, UnknownRevisionError, resolve, resolve_commit, resolve_tree
from dsvc.history.treediff import Change
from dsvc.objects import trees
from dsvc.objects.ids import Kind, TreeId
from dsvc.objects.tree import EntryKind
from dsvc.workspace import Workspace


class DiffResult(NamedTuple):
    """The files that differ, in order of paths; where to read them; and whether some renames may be missing."""

    files: tuple[FileDiff, ...]
    sides: Sides
    limit: RenameLimit | None = None


def diff(
    workspace: Workspace,
    revisions: Sequence[str] = (),
    *,
    paths: Sequence[bytes] = (),
    minimum: int | None = MINIMUM,
    reverse: bool = False,
    only: StatusFilter | None = None,
    context: RevisionContext | None = None,
) -> DiffResult:
    """Compare two revisions, one (HEAD where none is given) with the working copy, or the sides of `A..B`.

    `A...B` compares B with the best common ancestor. Files that a commit of the working copy would take count as
    added. Nothing is stored, and contents are read only when they are asked for.

    Raises:
        UnknownRevisionError: for what does not exist. UnreadableError: for a file that may not be read.
    """
    context = context or revision_context(workspace)
    store = workspace.repo.store
    ends = _ends(context, revisions)
    if ends is None:
        tree_id = _tree(context, revisions[0] if revisions else None, workspace)
        inside = [path for path in paths if path]
        working = working_changes(workspace, paths=inside)
        changes = changes_against(workspace, tree_id, paths=inside, found=working)
        sides = Sides.on_disk(workspace, working.index, attributes=attributes_on_disk(workspace.place))
        if reverse:
            raise UsageError("-R compares commits with each other", hint="dsvc diff -R A B")
    else:
        old, new = reversed(ends) if reverse else ends
        sides = Sides.of(workspace.repo, attributes=attributes_on_disk(workspace.place))
        single = _single_files(context, old, new)
        if single is not None:
            changes = single
        else:
            changes = list(diff_files(store, resolve_tree(context, old), resolve_tree(context, new), paths=paths))
    files, limit = paired(changes, sides, minimum=minimum)
    files = [found for file in files if (found := _with_files(workspace, file, paths)) is not None]
    return DiffResult(tuple(file for file in files if only is None or only(file)), sides, limit)


def _with_files(workspace: Workspace, file: FileDiff, paths: Sequence[bytes]) -> FileDiff | None:
    """Return the difference of a dataset with the files that its provider names, any other as it is.

    None where none of them is wanted.
    """
    old, new = file.old, file.new
    datasets = workspace.datasets() if EntryKind.SNAPSHOT in {entry.kind for entry in (old, new) if entry} else None
    if datasets is None or old is None or new is None or old.kind != new.kind:
        return file
    changes = datasets.files_between(file.path, old, new if new.id != UNREAD else None)
    if changes is None:
        return file
    prefix = file.path + b"/"
    inside = [path.strip(b"/").removeprefix(prefix) for path in paths if path.startswith(prefix)]
    if paths and len(inside) == len(paths):
        changes = [change for change in changes if any(_lies_in(change.path, folder) for folder in inside)]
    return file._replace(files=tuple(sorted(changes, key=lambda change: change.path))) if changes else None


def _lies_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def _ends(context: RevisionContext, revisions: Sequence[str]) -> tuple[str, str] | None:
    """Return the two revisions to compare, None where the working copy is one side."""
    if len(revisions) > 2:
        raise UsageError("a diff compares two revisions", hint="dsvc diff A B")
    if len(revisions) == 2:
        return revisions[0].removeprefix("^"), revisions[1]
    sides = split_range(revisions[0]) if revisions else None
    if sides is None:
        return None
    if not sides.symmetric:
        return sides.left, sides.right
    left, right = resolve_commit(context, sides.left), resolve_commit(context, sides.right)
    bases = merge_bases(context.ancestry(), left, right)
    if not bases:
        raise UnknownRevisionError(
            f"{sides.left} and {sides.right} have no common ancestor", hint=f"dsvc diff {sides.left} {sides.right}"
        )
    return bases[0].hex(), sides.right


def _tree(context: RevisionContext, revision: str | None, workspace: Workspace) -> TreeId:
    if revision is not None:
        return workspace.here(resolve_tree(context, revision))
    head = workspace.head().commit_id
    return workspace.tree_of(head) if head is not None else trees.empty_tree(workspace.repo.store)


def _single_files(context: RevisionContext, old: str, new: str) -> list[Change] | None:
    """Return the change between two `REV:PATH` that are files, None where a side is a tree."""
    if ":" not in old or ":" not in new:
        return None
    left, right = resolve(context, old), resolve(context, new)
    if Kind.TREE in {left.kind, right.kind}:
        return None
    if left.entry == right.entry:
        return []
    return [Change(right.path or b"", left.entry, right.entry)]
