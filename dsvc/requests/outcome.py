"""What merging a request comes to, and whether a commit is just that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dsvc.history.mergebase import is_ancestor
from dsvc.history.mergecommits import CommitMerger
from dsvc.history.treemerge import TreeMerge
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.values import Commit

Way = Literal["merge", "squash", "fast-forward"]


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a merge of a request would be now.

    `merged` says that the target has all of it already, `forward` that the target need only be moved. `merge` is the
    merge of the trees, None where there is nothing to merge and where the two have no commit in common.
    """

    merged: bool
    forward: bool
    merge: TreeMerge | None

    @property
    def clean(self) -> bool:
        """Whether it can be merged without anybody settling something."""
        return self.merge is not None and not self.merge.conflicts

    @property
    def tree(self) -> TreeId:
        """The merged tree, where there is one."""
        assert self.merge is not None
        return self.merge.tree


def prospect(merger: CommitMerger, base: CommitId, head: CommitId) -> Prospect:
    """Merge `head` into `base`, as it is done by everybody: what is new of the trees is put into the merger's store."""
    ancestry = merger.ancestry
    if is_ancestor(ancestry, head, base):
        return Prospect(merged=True, forward=False, merge=None)
    found = merger.merge(base, head, ours_label=b"target", theirs_label=b"request")
    if not found.bases:
        return Prospect(merged=False, forward=False, merge=None)
    return Prospect(merged=False, forward=is_ancestor(ancestry, base, head), merge=found.merge)


def why_not(
    merger: CommitMerger, commit: Callable[[CommitId], Commit], *, base: CommitId, head: CommitId, result: CommitId
) -> str | None:
    """Say why `result` is not what merging `head` into `base` comes to; None where it is.

    It may be `head` itself where that contains `base`; a commit with the parents `base` and `head`; or, squashed, one
    with the parent `base`. The tree of the last two is the one that merging makes, without any conflict.
    """
    if result == head:
        return None if is_ancestor(merger.ancestry, base, head) else "it is not based on the branch as it is now"
    made = commit(result)
    if made.parents not in ((base, head), (base,)):
        return "it is no merge of what was approved into the branch as it is now"
    found = prospect(merger, base, head)
    if found.merge is None:
        return "there is nothing that could be merged"
    if found.merge.conflicts:
        return "the two conflict, and how that was settled was not approved"
    if made.tree != found.merge.tree:
        return "it changes something else than what was approved"
    return None


def way_of(commit: Commit, *, head: CommitId, result: CommitId) -> Way:
    """Return how a request was merged, by the commit that came of it."""
    if result == head:
        return "fast-forward"
    return "merge" if head in commit.parents else "squash"


