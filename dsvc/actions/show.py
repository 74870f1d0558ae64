"""What a revision names, with what is needed to show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsvc.actions.diff import DiffResult
from dsvc.actions.log import commit_files
from dsvc.actions.revision import revision_context
from dsvc.history.ranges import resolve_set, split_range
from dsvc.history.renames import MINIMUM
from dsvc.history.revisions import Resolved, RevisionContext, resolve
from dsvc.history.walk import walk
from dsvc.objects.ids import CommitId, Kind, ObjectId, TagId
from dsvc.objects.values import Commit, Tag
from dsvc.workspace import Workspace


class ShowResult(NamedTuple):
    """An object that a revision names: a commit, a tag (what it marks follows as a result of its own), a tree, a file.

    `name` is what the user wrote.
    """

    name: str
    kind: Kind
    id: ObjectId
    commit: Commit | None = None
    tag: Tag | None = None
    resolved: Resolved | None = None


def show(
    workspace: Workspace, names: Sequence[str] = ("HEAD",), *, context: RevisionContext | None = None
) -> Iterator[ShowResult]:
    """Yield the objects that revisions name, tags before what they mark, and each commit of a range.

    Raises:
        UnknownRevisionError, AmbiguousRevisionError: for a name that has no single meaning.
    """
    context = context or revision_context(workspace)
    for name in names:
        if split_range(name) is not None:
            wanted = resolve_set(context, [name])
            for step in walk(context.ancestry(), wanted.tips, hidden=wanted.hidden):
                yield ShowResult(name, Kind.COMMIT, ObjectId(step.id), commit=workspace.repo.commit(step.id))
            continue
        resolved = resolve(context, name)
        kind, object_id = resolved.kind, resolved.id
        while kind == Kind.TAG:
            tag = workspace.repo.tag(TagId(object_id))
            yield ShowResult(name, kind, object_id, tag=tag)
            kind, object_id = tag.target_kind, tag.target
        if kind == Kind.COMMIT:
            yield ShowResult(name, kind, object_id, commit=workspace.repo.commit(CommitId(object_id)))
        else:
            yield ShowResult(name, Kind.CHUNK if kind == Kind.FILE_MAP else kind, object_id, resolved=resolved)


def shown_changes(
    workspace: Workspace,
    commit: Commit,
    *,
    paths: Sequence[bytes] = (),
    minimum: int | None = MINIMUM,
    first_parent: bool = False,
) -> DiffResult:
    """Return what a commit changed; of a merge only the files that are as in no parent, against the first one.

    With `first_parent` everything a merge changed against its first parent.
    """
    files, sides, limit = commit_files(workspace, commit, paths=paths, minimum=minimum)
    parents = workspace.repo.parents(commit)
    if len(parents) > 1 and not first_parent:
        for number in range(1, len(parents)):
            others, _, _ = commit_files(workspace, commit, paths=paths, minimum=None, parent=number)
            changed = {file.path for file in others}
            files = [file for file in files if file.path in changed]
    return DiffResult(tuple(files), sides, limit)
