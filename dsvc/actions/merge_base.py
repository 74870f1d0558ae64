"""Find the best common ancestors of commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsvc.actions.revision import ancestry_below, revision_context
from dsvc.errors import UsageError
from dsvc.history.mergebase import independent, is_ancestor, merge_base_octopus, merge_bases_many
from dsvc.history.revisions import resolve_commit
from dsvc.objects.ids import CommitId
from dsvc.workspace import Workspace


@dataclass(frozen=True, slots=True)
class MergeBaseResult:
    """Commits, the newest first; none where the histories have nothing in common."""

    commits: tuple[CommitId, ...]


def merge_base(workspace: Workspace, revisions: Sequence[str], *, octopus: bool = False) -> MergeBaseResult:
    """Return the best common ancestors of the first revision and a merge of the others.

    With `octopus` those that all revisions have in common.

    Raises:
        UnknownRevisionError: for a revision that does not exist. UsageError: without any.
    """
    context = revision_context(workspace)
    commits = [resolve_commit(context, text) for text in revisions]
    if not commits:
        raise UsageError("a merge base needs two commits", hint="dsvc merge-base A B")
    ancestry = ancestry_below(workspace, commits)
    if octopus or len(commits) == 1:
        return MergeBaseResult(merge_base_octopus(ancestry, commits))
    return MergeBaseResult(merge_bases_many(ancestry, commits[0], commits[1:]))


def contains(workspace: Workspace, ancestor: str, descendant: str) -> bool:
    """Say whether a commit is an ancestor of another, or that one itself."""
    context = revision_context(workspace)
    below, above = resolve_commit(context, ancestor), resolve_commit(context, descendant)
    return is_ancestor(ancestry_below(workspace, (below, above)), below, above)


def independent_commits(workspace: Workspace, revisions: Sequence[str]) -> MergeBaseResult:
    """Return those of the revisions that no other of them contains, in the order given."""
    context = revision_context(workspace)
    commits = [resolve_commit(context, text) for text in revisions]
    ancestry = ancestry_below(workspace, commits)
    nodes = [ancestry.node(commit_id) for commit_id in commits]
    return MergeBaseResult(tuple(ancestry.id(node) for node in independent(ancestry, nodes)))
