"""Merge two commits: their trees over the tree they come from, which in a criss-cross is itself merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import merge_bases, merge_bases_many
from dsvc.history.mergeentry import Labels, MergeContent, MergeReference
from dsvc.history.renames import LIMIT, Similar
from dsvc.history.treemerge import TreeMerge, merge_trees
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.store import ObjectStore

_SHORT = 10  # digits of a commit in a label
_TEMPORARY = Labels(b"merged common ancestors", b"Temporary merge branch 1", b"Temporary merge branch 2")


class CommitMerge(NamedTuple):
    """The merge of two commits' trees, the common ancestors it used, and the tree that stood for them."""

    bases: tuple[CommitId, ...]
    base_tree: TreeId | None
    merge: TreeMerge


class CommitMerger(NamedTuple):
    """How commits of one store are merged: the callbacks and limits of `merge_trees`."""

    store: ObjectStore
    ancestry: Ancestry
    content: MergeContent
    similar: Similar | None = None
    reference: MergeReference | None = None
    renames: bool = True
    limit: int = LIMIT

    def merge(self, ours: CommitId, theirs: CommitId, *, ours_label: bytes, theirs_label: bytes) -> CommitMerge:
        """Merge the tree of `theirs` into that of `ours`.

        Several best common ancestors are merged with each other first, conflict markers and all, as git does it.
        Unrelated commits are merged over an empty tree: whether that is wanted is for the caller to say.
        """
        bases = merge_bases(self.ancestry, ours, theirs)
        base = self.base_tree(bases)
        label = b"empty tree"
        if bases:
            label = bases[0].hex()[:_SHORT].encode() if len(bases) == 1 else _TEMPORARY.base
        merged = self._trees(base, self._tree(ours), self._tree(theirs), Labels(label, ours_label, theirs_label), 0)
        return CommitMerge(bases, base, merged)

    def base_tree(self, bases: Sequence[CommitId], *, depth: int = 1) -> TreeId | None:
        """Return the tree that stands for these common ancestors, None for none; it is stored where it is new."""
        if not bases:
            return None
        order = list(reversed(bases))  # the oldest first
        tree = self._tree(order[0])
        for number, other in enumerate(order[1:], start=1):
            above = merge_bases_many(self.ancestry, other, order[:number])
            base = self.base_tree(above, depth=depth + 1)
            tree = self._trees(base, tree, self._tree(other), _TEMPORARY, depth).tree
        return tree

    def _tree(self, commit_id: CommitId) -> TreeId:
        return self.ancestry.tree(self.ancestry.node(commit_id))

    def _trees(self, base: TreeId | None, ours: TreeId, theirs: TreeId, labels: Labels, depth: int) -> TreeMerge:
        return merge_trees(
            self.store,
            base,
            ours,
            theirs,
            content=self.content,
            labels=labels,
            similar=self.similar,
            reference=self.reference,
            renames=self.renames,
            limit=self.limit,
            depth=depth,
        )
