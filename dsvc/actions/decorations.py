"""Which refs point to which commits, to be shown beside them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dsvc.objects.ids import CommitId, Kind
from dsvc.refs.names import HEADS, REMOTES, TAGS, head_of, short_name
from dsvc.refs.view import Symbolic
from dsvc.workspace import Workspace


class Decoration(NamedTuple):
    """A ref at a commit: what kind it is, its short name, and whether HEAD stands for it.

    A detached HEAD is a decoration of its own.
    """

    kind: Literal["head", "branch", "tag", "remote"]
    name: str
    current: bool = False


Decorations = dict[CommitId, tuple[Decoration, ...]]


def decorations(workspace: Workspace) -> Decorations:
    """Return the refs at each commit: HEAD and its branch first, then tags, remote branches, and other branches."""
    view = workspace.view()
    head = view.get(head_of(workspace.worktree_id))
    current = head.target if isinstance(head, Symbolic) else None
    found: dict[CommitId, list[Decoration]] = {}
    if head is not None and current is None:
        commit_id = view.commit(head_of(workspace.worktree_id))
        if commit_id is not None:
            found.setdefault(commit_id, []).append(Decoration("head", "HEAD", current=True))
    elif current is not None:
        commit_id = view.commit(current)
        if commit_id is not None:
            found.setdefault(commit_id, []).append(Decoration("branch", short_name(current), current=True))
    kinds: tuple[tuple[Literal["tag", "remote", "branch"], str], ...] = (
        ("tag", TAGS),
        ("remote", REMOTES),
        ("branch", HEADS),
    )
    for kind, prefix in kinds:
        for name, _ in view.items(prefix):
            target = view.resolve(name)[1]
            if target is None or name == current:
                continue
            peeled_kind, object_id = workspace.repo.peel(target.kind, target.id)
            if peeled_kind == Kind.COMMIT:
                found.setdefault(CommitId(object_id), []).append(Decoration(kind, short_name(name)))
    return {commit_id: tuple(refs) for commit_id, refs in found.items()}
