"""Apply commits in the store, one after another: the new commits, and where there is a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from dsvc.actions.commit import git_metadata
from dsvc.actions.explained import correction_note, explained
from dsvc.actions.merging import commit_merger, merge_notes
from dsvc.actions.signing import Sign, find_signer
from dsvc.contents.text_merge import Favor
from dsvc.errors import RequestError
from dsvc.history.mergeentry import Labels
from dsvc.history.treemerge import TreeMerge, merge_trees
from dsvc.objects import trees
from dsvc.objects.ids import CommitId, TreeId
from dsvc.objects.values import Commit
from dsvc.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.actions.corrections import Correction

PickVerb = Literal["cherry-pick", "revert", "rebase"]


class IsMergeError(RequestError):
    """A merge cannot be applied without saying which parent it is compared with."""

    def __init__(self, verb: str, commit_id: CommitId) -> None:
        super().__init__(
            f"{commit_id.hex()[:10]} is a merge, so it has more than one change",
            hint=f"dsvc {verb} -m 1 {commit_id.hex()[:10]} takes its change against the first parent",
        )


class PickOptions(NamedTuple):
    """How commits are applied; kept in the state so that going on does the same.

    `mainline` is the number of the parent that a merge is compared with, `mark_origin` adds a line that names the
    commit picked, `keep_empty` keeps commits that change nothing any more, `sign` says whether the new commits are
    signed.
    """

    verb: PickVerb
    mainline: int | None = None
    mark_origin: bool = False
    keep_empty: bool = False
    favor: Favor | None = None
    sign: Sign = None


@dataclass(slots=True)
class Picked:
    """What came of applying commits on `tip`: pairs of old and new commits, those without a change left, a stop."""

    tip: CommitId
    done: list[tuple[CommitId, CommitId]] = field(default_factory=list)
    empty: list[CommitId] = field(default_factory=list)
    stopped: CommitId | None = None
    merge: TreeMerge | None = None
    message: str = ""
    rest: tuple[CommitId, ...] = ()
    notes: list[str] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)


class Picker:
    """Applies commits in the store of a workspace."""

    def __init__(self, workspace: Workspace, options: PickOptions) -> None:
        self.workspace = workspace
        self.options = options
        self._merger = commit_merger(workspace, favor=options.favor)
        self._signer = find_signer(workspace, options.sign)

    def run(self, tip: CommitId, commits: Sequence[CommitId]) -> Picked:
        """Apply commits on `tip`, until the first conflict."""
        repo = self.workspace.repo
        picked = Picked(tip)
        for number, commit_id in enumerate(commits):
            source = repo.commit(commit_id)
            if self._stays(source, picked.tip):
                picked.tip = commit_id
                continue
            ours = repo.commit(picked.tip).tree
            merge, base, theirs = self.apply(commit_id, ours)
            picked.notes += merge_notes(merge)
            message = self.message(commit_id, source)
            if merge.conflicts:
                picked.stopped, picked.merge, picked.message = commit_id, merge, message
                picked.rest = tuple(commits[number + 1 :])
                return picked
            if merge.tree == ours and not self.options.keep_empty and base != theirs:
                picked.empty.append(commit_id)
                continue
            made, correction = self._made(source, merge.tree, picked.tip, message)
            if correction is not None:
                picked.corrections.append(correction)
                picked.notes.append(correction_note(correction))
            new_id = repo.put_commit(made)
            picked.done.append((commit_id, new_id))
            picked.tip = new_id
        return picked

    def _stays(self, source: Commit, tip: CommitId) -> bool:
        """Say whether a commit need not be made anew: a rebase that is told to sign makes those without signature."""
        if self.options.verb != "rebase" or source.parents != (tip,):
            return False
        return not self.options.sign or source.signature is not None

    def apply(self, commit_id: CommitId, ours: TreeId) -> tuple[TreeMerge, TreeId, TreeId]:
        """Merge the change of a commit (taken back, for a revert) into a tree; return also from what to what it is.

        Raises:
            IsMergeError: for a merge, unless the options name a parent.
        """
        source = self.workspace.repo.commit(commit_id)
        before, after = self._parent_tree(commit_id, source), source.tree
        short = commit_id.hex()[:10]
        named = f"{short} ({source.message.partition(chr(10))[0]})".encode("utf-8", "surrogateescape")
        labels = Labels(b"parent of " + named, b"HEAD", named)
        if self.options.verb == "revert":
            before, after = after, before
            labels = Labels(named, b"HEAD", b"parent of " + named)
        merge = merge_trees(
            self._merger.store,
            before,
            ours,
            after,
            content=self._merger.content,
            labels=labels,
            similar=self._merger.similar,
        )
        return merge, before, after

    def _parent_tree(self, commit_id: CommitId, source: Commit) -> TreeId:
        mainline = self.options.mainline
        if mainline is None:
            if len(source.parents) > 1:
                raise IsMergeError(self.options.verb, commit_id)
            mainline = 1
            if not source.parents:
                return trees.empty_tree(self.workspace.repo.store)
        if not 1 <= mainline <= len(source.parents):
            raise RequestError(f"{commit_id.hex()[:10]} has no parent {mainline}: it has {len(source.parents)}")
        return self.workspace.tree_of(source.parents[mainline - 1])

    def message(self, commit_id: CommitId, source: Commit) -> str:
        """Return the new commit's message."""
        if self.options.verb == "revert":
            subject, _, _ = source.message.partition("\n")
            of = f", reversing\nchanges made to {source.parents[0].hex()}" if len(source.parents) > 1 else ""
            return f'Revert "{subject}"\n\nThis reverts commit {commit_id.hex()}{of}.'
        if self.options.mark_origin:
            last = source.message.rstrip("\n").rpartition("\n")[2]
            gap = "\n" if ": " in last or last.startswith("(cherry picked from") else "\n\n"
            return f"{source.message.rstrip(chr(10))}{gap}(cherry picked from commit {commit_id.hex()})"
        return source.message

    def _made(self, source: Commit, tree: TreeId, parent: CommitId, message: str) -> tuple[Commit, Correction | None]:
        """Return the new commit: its author stays the same, unless it takes one back; a signature is its own.

        Beside it stands the correction for what no run explains.
        """
        person = self.workspace.person()
        author = person if self.options.verb == "revert" else source.author
        runs, correction = explained(self.workspace, tree, (parent,), message)
        metadata = git_metadata(self.workspace)
        made = Commit(tree, (parent,), author, person, message, runs=runs, metadata=metadata)
        return made if self._signer is None else self._signer.commit(made), correction
