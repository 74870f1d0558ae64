"""Which refs point to which commits, to be shown beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects.ids import ID_LENGTH, CommitId, Kind, ObjectId
from dsvc.refs.names import DEPLOYMENTS, HEADS, REMOTES, TAGS, head_of, short_name
from dsvc.refs.view import Symbolic, View
from dsvc.workspace import Workspace


class Decoration(NamedTuple):
    """A ref at a commit: what kind it is, its short name, and whether HEAD stands for it.

    A detached HEAD is a decoration of its own.
    """

    kind: Literal["head", "branch", "tag", "remote", "deployment"]
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
    for commit_id, name in _deployed(workspace, view):
        found.setdefault(commit_id, []).append(Decoration("deployment", name))
    return {commit_id: tuple(refs) for commit_id, refs in found.items()}


def _deployed(workspace: Workspace, view: View) -> Iterator[tuple[CommitId, str]]:
    """Yield the commits whose models are deployed: that of the model, else that from which its run began."""
    for name, ref in view.items(DEPLOYMENTS):
        from dsvc.deployments.deployment import decode_deployment

        try:
            labels = decode_deployment(workspace.repo.store.get(ref.id, Kind.RUN)).labels  # type: ignore[union-attr]
            digits = labels.get("io.dsvc.commit") or labels.get("io.dsvc.run.began") or ""
            commit_id = bytes.fromhex(digits)
        except (IntegrityError, AttributeError, ValueError):
            continue
        if len(commit_id) == ID_LENGTH:
            yield CommitId(ObjectId(commit_id)), name.removeprefix(DEPLOYMENTS)
