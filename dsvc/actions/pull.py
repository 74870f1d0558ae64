"""Fetch, and join what came into the current branch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from dsvc.actions.fetch import FetchResult, Tags, fetch
from dsvc.actions.merge import FastForward, MergeResult, merge
from dsvc.actions.rebase import RebaseResult, rebase
from dsvc.actions.remote_access import choose_remote
from dsvc.actions.revision import revision_context
from dsvc.actions.state import require_no_state
from dsvc.actions.upstream import read_upstream
from dsvc.errors import RequestError, UsageError
from dsvc.history.mergebase import merge_bases
from dsvc.objects.ids import CommitId
from dsvc.refs.names import HEADS, short_name
from dsvc.remotes.transfer.shallow import Wish
from dsvc.workspace import Workspace

Join = Literal["merge", "rebase"]


class PullResult(NamedTuple):
    """What was fetched and what became of it here: a merge or a rebase; `branch` is what was joined, as people say."""

    fetched: FetchResult
    branch: str
    merge: MergeResult | None = None
    rebase: RebaseResult | None = None


def pull(
    workspace: Workspace,
    remote: str | None = None,
    branch: str | None = None,
    *,
    join: Join = "merge",
    fast_forward: FastForward = "allow",
    autostash: bool = False,
    tags: Tags = "follow",
    prune: bool = False,
    wish: Wish = Wish(),  # noqa: B008 -- it cannot be changed
    directory: Path | None = None,
    verify: bool | None = None,
    jobs: int = 8,
) -> PullResult:
    """Fetch from a remote, and merge the current branch's upstream, or `branch`, into it, or rebase it on top.

    `wish` says how much of the history is fetched; where a depth does not reach what is here, what lies in between is
    fetched too. `directory` is where a folder counts from that is given in place of a remote's name. `verify` is as in
    `merge`; a rebase has no such check, and is refused with it.

    Raises:
        What `fetch`, `merge` and `rebase` raise. RequestError: when nothing says which branch is meant.
    """
    require_no_state(workspace)
    if verify and join == "rebase":
        raise UsageError("signatures are verified when merging, not when rebasing", hint="dsvc pull --no-rebase")
    head = workspace.head()
    upstream = read_upstream(workspace, head.branch) if head.branch is not None else None
    settings = choose_remote(workspace, remote, directory=directory)
    if branch is None:
        if upstream is not None and upstream.remote == settings.name:
            branch = short_name(upstream.branch)
        elif head.branch is None:
            raise RequestError("HEAD is on no branch", hint=f"dsvc pull {settings.typed} BRANCH")
        else:
            branch = short_name(head.branch)
    fetched = fetch(
        workspace, settings, [] if settings.name else [branch], tags=tags, prune=prune, wish=wish, jobs=jobs
    )
    commit_id = _arrived(workspace, fetched, HEADS + branch)
    if commit_id is None:
        raise RequestError(
            f"{settings.shown} has no branch {branch}",
            hint=f"dsvc push {settings.typed} makes it, or dsvc pull {settings.typed} BRANCH takes another one",
        )
    if wish.depth is not None and head.commit_id is not None:
        between = _between(workspace, head.commit_id, commit_id)
        if between:
            more = fetch(
                workspace, settings, [] if settings.name else [branch], tags=tags, wish=Wish(reach=between), jobs=jobs
            )
            fetched = fetched._replace(received=fetched.received + more.received)
    if workspace.datasets() is not None:
        from dsvc.actions.stream_get import get_snapshots

        get_snapshots(workspace, remote=settings, mount=False)
    shown = f"{settings.name}/{branch}" if settings.name is not None else commit_id.hex()
    if join == "rebase" and head.commit_id is not None:
        return PullResult(fetched, shown, rebase=rebase(workspace, shown, autostash=autostash))
    merged = merge(
        workspace,
        [shown],
        fast_forward=fast_forward,
        verify=verify,
        message=None if settings.name is not None else f"Merge branch '{branch}' of {settings.url}",
    )
    return PullResult(fetched, shown, merge=merged)


def _between(workspace: Workspace, head: CommitId, tip: CommitId) -> frozenset[CommitId]:
    """Return the commits below `tip` at which history is cut, if it is not known how that and `head` belong together.

    Not those at which it is cut below `head`: what is here begins there.
    """
    cut = workspace.repo.cut
    if not cut or merge_bases(revision_context(workspace).ancestry(), head, tip):
        return frozenset()

    def cuts_below(start: CommitId) -> set[CommitId]:
        found, seen, stack = set[CommitId](), {start}, [start]
        while stack:
            for parent in workspace.repo.commit(stack.pop()).parents:
                if parent in cut:
                    found.add(parent)
                elif parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        return found

    return frozenset(cuts_below(tip) - cuts_below(head))


def _arrived(workspace: Workspace, fetched: FetchResult, name: str) -> CommitId | None:
    """Return the commit of a branch of the remote, as it is there now."""
    for update in fetched.updates:
        if update.theirs == name and update.ours is not None and update.new is not None:
            return workspace.view().commit(update.ours)
    return next((commit for asked, commit in fetched.fetch_heads if asked == name), None)
