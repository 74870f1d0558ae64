"""Bring branches, tags and what they reach from a remote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dsvc.actions.remote_access import OpenRemote, open_remote
from dsvc.actions.revision import revision_context
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.refs.names import HEADS, REMOTES, TAGS
from dsvc.refs.view import Direct, Symbolic, View
from dsvc.remotes.fetching import fetch_objects
from dsvc.remotes.receiving import Received
from dsvc.remotes.refspec import Refspec, mapped, parse_refspec
from dsvc.remotes.selection import present_tips
from dsvc.remotes.settings import RemoteSettings
from dsvc.workspace import Workspace

Outcome = Literal["new", "moved", "forced", "deleted", "same", "rejected"]
Tags = Literal["follow", "all", "none"]


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """What became of one ref: its full name there and here, and the objects it pointed and points to.

    `reason` says why one was rejected.
    """

    theirs: str
    ours: str | None
    old: Direct | None
    new: Direct | None
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Which refs a fetch looked at, and what came over. `fetch_heads` are the commits that were asked for by name."""

    remote: RemoteSettings
    address: str
    updates: tuple[RefUpdate, ...]
    received: Received
    fetch_heads: tuple[tuple[str, CommitId], ...] = ()

    def changed(self) -> list[RefUpdate]:
        """Return the updates that say something."""
        return [update for update in self.updates if update.outcome != "same"]


def fetch(
    workspace: Workspace,
    settings: RemoteSettings,
    refspecs: Sequence[str] = (),
    *,
    tags: Tags = "follow",
    prune: bool = False,
    force: bool = False,
    dry_run: bool = False,
    jobs: int = 8,
) -> FetchResult:
    """Bring what a remote's refs reach, then move the refs that follow it here, in one operation.

    Without `refspecs` those of the configuration count, which are all branches unless it says otherwise. Tags come
    along; one that is here already with another target stays, and is reported, unless `force` is set. `prune` drops
    what follows branches that are gone there. Nothing of this repository's own branches is touched.

    Raises:
        RemoteError: when the remote cannot be reached or breaks off; what arrived is used by the next fetch.
        IntegrityError: when it sends what does not match its ids; nothing is taken in then.
    """
    with open_remote(workspace, settings) as remote:
        specs = tuple(map(parse_refspec, refspecs))
        updates = _plan(workspace, remote, specs, tags=tags, force=force)
        if prune and not specs:
            updates += _gone(workspace, remote, settings)
        heads = _asked(remote, specs)
        wanted = [u.new for u in updates if u.new is not None and u.outcome not in ("same", "rejected")]
        received = Received()
        if not dry_run:
            received = _bring(workspace, remote, [*wanted, *heads.values()], jobs=jobs)
            updates = _judged(workspace, updates)
            _publish(workspace, remote, updates)
        names = tuple((name, CommitId(ref.id)) for name, ref in heads.items() if ref.kind == Kind.COMMIT)
        return FetchResult(settings, remote.address, tuple(updates), received, names)


def _plan(
    workspace: Workspace, remote: OpenRemote, specs: Sequence[Refspec], *, tags: Tags, force: bool
) -> list[RefUpdate]:
    view, theirs = workspace.view(), remote.view()
    configured = specs or remote.settings.fetch
    updates: list[RefUpdate] = []
    for name, ref in theirs.items(HEADS):
        if isinstance(ref, Direct):
            found = mapped(configured, name)
            here = found[0] if found is not None else None
            if found is not None and specs and here == name:
                here = _tracked(remote.settings, name)  # 'fetch origin main' moves no branch of ours
            if found is not None and here is not None:
                updates.append(_update(view, name, here, ref, force=found[1] or force or here.startswith(REMOTES)))
    if tags != "none":
        for name, ref in theirs.items(TAGS):
            if isinstance(ref, Direct) and (not specs or tags == "all" or mapped(specs, name)):
                updates.append(_update(view, name, name, ref, force=force))
    return updates


def _tracked(settings: RemoteSettings, name: str) -> str | None:
    """Return what follows a branch of a remote here."""
    found = mapped(settings.fetch, name)
    return found[0] if found is not None else None


def _update(view: View, theirs: str, ours: str, new: Direct, *, force: bool) -> RefUpdate:
    old = view.resolve(ours)[1]
    if old == new:
        return RefUpdate(theirs, ours, old, new, "same")
    if old is None:
        return RefUpdate(theirs, ours, None, new, "new")
    if ours.startswith(TAGS) and not force:
        return RefUpdate(theirs, ours, old, new, "rejected", "there is another tag of that name here")
    return RefUpdate(theirs, ours, old, new, "forced" if force else "moved")


def _gone(workspace: Workspace, remote: OpenRemote, settings: RemoteSettings) -> list[RefUpdate]:
    if settings.name is None:
        return []
    prefix = f"{REMOTES}{settings.name}/"
    theirs = remote.view()
    live = {found[0] for name, _ in theirs.items(HEADS) if (found := mapped(settings.fetch, name)) is not None}
    return [
        RefUpdate(name, name, ref, None, "deleted")
        for name, ref in workspace.view().items(prefix)
        if isinstance(ref, Direct) and name not in live
    ]


def _asked(remote: OpenRemote, specs: Sequence[Refspec]) -> dict[str, Direct]:
    """Return what was asked for by name."""
    view = remote.view()
    found: dict[str, Direct] = {}
    for spec in specs:
        if "*" in spec.source:
            continue
        name = spec.source if spec.source not in ("", "HEAD") else remote.default_branch() or ""
        ref = view.resolve(name)[1] if name else None
        if ref is None:
            from dsvc.history.revisionnames import UnknownRevisionError

            raise UnknownRevisionError(
                f"{remote.settings.shown} has no {name or 'default branch'}",
                hint=f"dsvc remote show {remote.settings.typed}",
            )
        found[name] = ref
    return found


def _bring(workspace: Workspace, remote: OpenRemote, wanted: Iterable[Direct], *, jobs: int) -> Received:
    tips = [(ref.kind, bytes(ref.id)) for ref in dict.fromkeys(wanted)]
    if not tips:
        return Received()
    store = workspace.repo.store
    return fetch_objects(
        store,
        remote.repo,
        tips,
        known=known_commits(workspace),
        ancestry=lambda: Ancestry(workspace.repo.commit, revision_context(workspace).graph),
        folder=remote.inbox,
        absorbed=workspace.cache / "remotes" / remote.folder.name,
        jobs=jobs,
        progress=workspace.progress,
        name=remote.settings.shown,
        files="filter" not in remote.settings.options,
    )


def known_commits(workspace: Workspace) -> list[CommitId]:
    """Return the commits that this repository's refs name: all that they reach is here."""
    named = (ref.id for _, ref in workspace.view().items() if isinstance(ref, Direct) and ref.kind == Kind.COMMIT)
    return present_tips(workspace.repo.store, named)


def _judged(workspace: Workspace, updates: Iterable[RefUpdate]) -> list[RefUpdate]:
    """Tell moves forward from forced ones, now that the commits are here."""
    ancestry = revision_context(workspace).ancestry()
    judged: list[RefUpdate] = []
    for update in updates:
        old, new = update.old, update.new
        if update.outcome in ("moved", "forced") and old is not None and new is not None:
            forward = old.kind == new.kind == Kind.COMMIT and is_ancestor(
                ancestry, CommitId(old.id), CommitId(ObjectId(new.id))
            )
            if forward:
                update = replace(update, outcome="moved")  # noqa: PLW2901
            elif update.outcome == "moved":
                reason = "that would not be a step forward"
                update = replace(update, outcome="rejected", reason=reason)  # noqa: PLW2901
        judged.append(update)
    return judged


def _publish(workspace: Workspace, remote: OpenRemote, updates: Iterable[RefUpdate]) -> None:
    transaction = workspace.repo.transaction()
    changed = 0
    for update in updates:
        if update.ours is None or update.outcome in ("same", "rejected"):
            continue
        changed += 1
        if update.new is None:
            transaction.delete(update.ours)
        else:
            transaction.set(update.ours, update.new)
    name = remote.settings.name
    default = remote.default_branch()
    tracked = _tracked(remote.settings, default) if name is not None and default is not None else None
    head = f"{REMOTES}{name}/HEAD"
    if tracked is not None and transaction.get(head) is None and transaction.get(tracked) is not None:
        transaction.set(head, Symbolic(tracked))
        changed += 1
    if changed:
        workspace.publish(transaction, workspace.act("fetch", f"fetch {remote.settings.shown}"))
