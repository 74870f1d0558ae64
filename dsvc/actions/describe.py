"""Name a commit by the nearest tag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dsvc.actions.changes import working_changes
from dsvc.actions.refs import RefInfo, list_refs
from dsvc.actions.revision import ancestry_below, revision_context
from dsvc.errors import RequestError
from dsvc.history.describe import CANDIDATES, Description, describe
from dsvc.history.revisions import resolve_commit
from dsvc.objects.ids import CommitId, Kind
from dsvc.refs.names import HEADS, REMOTES, TAGS
from dsvc.workspace import Workspace


class NoTagError(RequestError):
    """No tag is an ancestor of the commit."""


@dataclass(frozen=True, slots=True)
class DescribeResult:
    """A commit, the tag or branch below it (None: none), and whether the working copy differs from the commit."""

    commit_id: CommitId
    description: Description | None
    dirty: bool = False


def describe_commit(
    workspace: Workspace,
    revision: str = "HEAD",
    *,
    lightweight: bool = False,
    branches: bool = False,
    match: Sequence[str] = (),
    exclude: Sequence[str] = (),
    first_parent: bool = False,
    candidates: int = CANDIDATES,
    check_dirty: bool = False,
) -> DescribeResult:
    """Return the nearest tag with a message below a commit, with `lightweight` the nearest of all tags.

    `branches` takes branches too. `match` and `exclude` are patterns of names. `check_dirty` also looks whether
    versioned files differ in the working copy.

    Raises:
        UnknownRevisionError: when there is no such commit.
    """
    context = revision_context(workspace)
    commit_id = resolve_commit(context, revision)
    names: dict[CommitId, str] = {}
    ranks: dict[CommitId, tuple[int, int]] = {}
    prefixes = (TAGS, HEADS, REMOTES) if branches else (TAGS,)
    for ref in (ref for prefix in prefixes for ref in list_refs(workspace, prefix, view=context.view)):
        if ref.commit_id is None or not _chosen(ref, match, exclude):
            continue
        if ref.kind != Kind.TAG and not (lightweight or branches):
            continue
        rank = (2 if ref.kind == Kind.TAG else 1 if ref.name.startswith(TAGS) else 0, ref.time)
        if ref.commit_id not in ranks or rank > ranks[ref.commit_id]:
            ranks[ref.commit_id] = rank
            names[ref.commit_id] = ref.name if branches else ref.short
    ancestry = ancestry_below(workspace, [commit_id])
    found = describe(ancestry, commit_id, names, first_parent=first_parent, candidates=candidates)
    dirty = check_dirty and bool(working_changes(workspace, include_new=False).entries)
    return DescribeResult(commit_id, found, dirty)


def _chosen(ref: RefInfo, match: Sequence[str], exclude: Sequence[str]) -> bool:
    if match and not any(fnmatchcase(ref.short, pattern) for pattern in match):
        return False
    return not any(fnmatchcase(ref.short, pattern) for pattern in exclude)
