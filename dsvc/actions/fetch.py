"""Bring branches, tags and what they reach from a remote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from dsvc.actions.model_refs import models_to_fetch, seen_changes
from dsvc.actions.prerequisites import require_prerequisites
from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.refs import worktrees_on
from dsvc.actions.remote_access import OpenRemote, open_remote, steadily
from dsvc.actions.revision import revision_context
from dsvc.actions.run_refs import note_fetched, require_runs, runs_to_fetch, takes_runs
from dsvc.actions.shallow import ShallowFetch
from dsvc.actions.tracking import publish_tracking
from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.history.revisionnames import UnknownRevisionError
from dsvc.objects.ids import CommitId, FileId, Kind, ObjectId
from dsvc.refs.names import HEADS, REMOTES, SHARED, TAGS, fetch_head_of, short_name
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, Ref, Symbolic, View
from dsvc.remotes.refspec import Refspec, mapped, parse_refspec
from dsvc.remotes.settings import RemoteSettings
from dsvc.remotes.transfer.arrivals import Arrivals
from dsvc.remotes.transfer.fetching import fetch_objects
from dsvc.remotes.transfer.ledgers import take_ledgers, unlike_ledgers
from dsvc.remotes.transfer.once import Named
from dsvc.remotes.transfer.purged import take_notes
from dsvc.remotes.transfer.receiving import EarlyFiles, Received
from dsvc.remotes.transfer.selection import present_tips
from dsvc.remotes.transfer.shallow import Wish
from dsvc.repo.format import REFERENCES
from dsvc.repo.tombstones import purged_files
from dsvc.workspace import Workspace

Tags = Literal["follow", "all", "none"]


class FetchResult(NamedTuple):
    """Which refs a fetch looked at, and what came over. `fetch_heads` are the commits that were asked for by name.

    `default_branch` is the full name of the branch on which the remote stands; `erased` are files of which it
    became known that they were purged there, `runs` the full names of runs that were not here. `parent` is the address
    of what it was forked from, where that was asked.
    """

    remote: RemoteSettings
    address: str
    updates: tuple[RefUpdate, ...]
    received: Received
    fetch_heads: tuple[tuple[str, CommitId], ...] = ()
    default_branch: str | None = None
    erased: tuple[FileId, ...] = ()
    runs: tuple[str, ...] = ()
    parent: str | None = None

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
    runs: bool | None = None,
    wish: Wish = Wish(),  # noqa: B008 -- it cannot be changed
    dry_run: bool = False,
    ask_parent: bool = False,
    early: Callable[[OpenRemote], EarlyFiles] | None = None,
    jobs: int = 8,
) -> FetchResult:
    """Bring what a remote's refs reach, then move the refs that follow it here, in one operation.

    Without `refspecs` those of the configuration count, which are all branches unless it says otherwise. New tags come
    along that belong to the fetched branches, or "all" of them; one that is here with another target stays, and with
    "all" that is reported, unless `force` is set. `prune` drops what follows branches that are gone there. No branch
    on which a worktree stands is touched. What was asked for by name is FETCH_HEAD afterwards. `runs` says whether the
    remote's runs and models come along; None: where no refs are named, unless the remote's option says otherwise.
    `wish` says how much of the history; what is left out is noted in the same operation. `ask_parent` costs a request.
    `early` names what is told of content as it arrives.

    Raises:
        RemoteError: when the remote cannot be reached or breaks off; what arrived is used by the next fetch.
        IntegrityError: when it sends what does not match its ids; nothing is taken in then.
        UnknownRevisionError: when it has nothing of a name.
    """
    with open_remote(workspace, settings) as remote:
        if remote.repo.may_have_datasets:
            workspace.repo.expect_datasets()
        require_prerequisites(workspace, remote.place.backend, name=remote.settings.shown)
        parent = remote.parent() if ask_parent else None

        def once() -> FetchResult:
            specs = _in_full(remote, refspecs)
            heads = _asked(remote, specs)
            shallow = ShallowFetch.where_needed(workspace, remote, wish, follow_tags=tags == "follow", jobs=jobs)
            updates = _branches(workspace, remote, specs, force=force)
            updates += _tags(workspace, remote, specs, tags=tags, force=force)
            named: tuple[Named, ...] = ()
            models: list[RefUpdate] = []
            along = settings.name is not None and takes_runs(settings, refspecs, wanted=runs)
            if settings.name is not None and along:
                named = runs_to_fetch(workspace, remote, jobs=jobs)
                models = models_to_fetch(workspace.view(), remote.view(), settings.name)
            if prune and not specs:
                updates += _gone(workspace, remote, settings)
            unmoved = ("rejected",) if wish.any else ("same", "rejected")
            moving = (u.new for u in (*updates, *models) if u.outcome not in unmoved)
            wanted = [new for new in moving if new is not None]
            ledgers = unlike_ledgers(workspace.view(), remote.view()) if along else []
            tips = [*wanted, *heads.values(), *(ref for _, ref in (*named, *ledgers))]
            received = Received()
            erased: list[FileId] = []
            if not dry_run:
                if remote.repo.needs(REFERENCES):
                    workspace.repo.need(REFERENCES)
                received = bring_tips(
                    workspace, remote, tips, shallow, jobs=jobs, early=early(remote) if early is not None else None
                )
            ancestry = shallow.ancestry() if shallow is not None else revision_context(workspace).ancestry()
            updates = _judged(workspace, ancestry, updates) + models
            if tags == "follow":
                fetched = [*(update.new for update in updates), *heads.values()]
                listed = {update.theirs for update in updates}
                followed = _followed(workspace, remote, ancestry, specs, fetched=fetched)
                updates += [update for update in followed if update.theirs not in listed]
            if not dry_run:
                require_runs(workspace, remote, named)
                also = {**dict(named), **(shallow.changes() if shallow is not None else {})}
                erased = _publish(workspace, remote, updates, heads, also, ledgers=along)
                Arrivals(remote.inbox).clear()
                if along:
                    note_fetched(workspace, remote)
            names = tuple((name, CommitId(ref.id)) for name, ref in heads.items() if ref.kind == Kind.COMMIT)
            default = remote.default_branch()
            return FetchResult(
                settings, remote.address, tuple(updates), received, names, default, tuple(erased),
                tuple(name for name, _ in named), parent,
            )  # fmt: skip

        return steadily(workspace, remote, once)


def _in_full(remote: OpenRemote, texts: Sequence[str]) -> tuple[Refspec, ...]:
    """Return what words of the command line say: HEAD is a branch, and a name may be a tag's.

    The target is empty for a word that names none: a branch goes to what follows it here.
    """
    view = remote.view()

    def full(text: str) -> Refspec:
        spec = parse_refspec(text)
        source = spec.source
        if source == "HEAD":
            source = remote.default_branch() or source
        elif source.startswith(HEADS) and "*" not in source and view.get(source) is None:
            tag = TAGS + source.removeprefix(HEADS)
            source = tag if view.get(tag) is not None else source
        target = "" if ":" not in text else source if spec.target == spec.source else spec.target
        return Refspec(source, target, spec.force)

    return tuple(map(full, texts))


def _branches(
    workspace: Workspace, remote: OpenRemote, specs: Sequence[Refspec], *, force: bool
) -> list[RefUpdate]:
    view = workspace.view()
    configured = specs or remote.settings.fetch
    updates: list[RefUpdate] = []
    for name, ref in remote.view().items(HEADS):
        found = mapped(configured, name) if isinstance(ref, Direct) else None
        if found is None or not isinstance(ref, Direct):
            continue
        here = found[0]
        if not here:
            tracked = mapped(remote.settings.fetch, name)
            if tracked is None:
                continue  # 'fetch origin main' moves no branch of ours
            here = tracked[0]
        updates.append(_update(view, name, here, ref, force=found[1] or force or here.startswith(REMOTES)))
    for spec in specs:  # of other names only what is given a place of its own
        other = remote.view().get(spec.source) if spec.target and not spec.source.startswith((HEADS, TAGS)) else None
        if isinstance(other, Direct) and spec.source.startswith(SHARED):
            updates.append(_update(view, spec.source, spec.target, other, force=spec.force or force))
    return updates


def _tags(
    workspace: Workspace, remote: OpenRemote, specs: Sequence[Refspec], *, tags: Tags, force: bool
) -> list[RefUpdate]:
    """Return the tags that are asked for: by name, or all of them."""
    view = workspace.view()
    configured = specs or remote.settings.fetch
    updates: list[RefUpdate] = []
    for name, ref in remote.view().items(TAGS):
        if not isinstance(ref, Direct):
            continue
        found = mapped(configured, name)
        if found is not None:
            updates.append(_update(view, name, found[0] or name, ref, force=found[1] or force))
        elif tags == "all" or (tags == "follow" and force and view.get(name) is not None):
            updates.append(_update(view, name, name, ref, force=force))
        elif tags == "follow" and view.get(name) is None and _takes_everything(remote, specs):
            updates.append(_update(view, name, name, ref, force=False))
    return updates


def _takes_everything(remote: OpenRemote, specs: Sequence[Refspec]) -> bool:
    """Say whether all branches are fetched: then all tags belong to them."""
    return not specs and any(spec.source == f"{HEADS}*" for spec in remote.settings.fetch)


def _followed(
    workspace: Workspace,
    remote: OpenRemote,
    ancestry: Ancestry,
    specs: Sequence[Refspec],
    *,
    fetched: Iterable[Direct | None],
) -> list[RefUpdate]:
    """Return the new tags of commits that the fetched branches reach, where not all branches are fetched.

    Only those count whose objects came along with the history; no object is asked for to find that out.
    """
    if remote.settings.name is None or _takes_everything(remote, specs):
        return []
    view, store = workspace.view(), workspace.repo.store
    tips = present_tips(store, [ref.id for ref in fetched if ref is not None])
    found: list[RefUpdate] = []
    for name, ref in remote.view().items(TAGS):
        if isinstance(ref, Direct) and view.get(name) is None and store.has(ref.id, ref.kind):
            kind, target = workspace.repo.peel(ref.kind, ref.id)
            commit = CommitId(ObjectId(target))
            here = kind == Kind.COMMIT and store.has(target, kind)
            if here and any(is_ancestor(ancestry, commit, tip) for tip in tips):
                found.append(RefUpdate(name, name, None, ref, "new"))
    return found


def _update(view: View, theirs: str, ours: str, new: Direct, *, force: bool) -> RefUpdate:
    old = view.resolve(ours)[1]
    if old == new:
        return RefUpdate(theirs, ours, old, new, "same")
    if old is None:
        return RefUpdate(theirs, ours, None, new, "new")
    if ours.startswith(TAGS) and not force:
        reason, hint = "there is another tag of that name here", "dsvc fetch --force takes theirs"
        return RefUpdate(theirs, ours, old, new, "rejected", reason, hint)
    if ours.startswith(HEADS) and worktrees_on(view, ours):
        hint = "'dsvc pull' moves the branch and the files together"
        return RefUpdate(theirs, ours, old, new, "rejected", "a working copy stands on it here", hint)
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
        ref = view.resolve(spec.source)[1] if spec.source not in ("", "HEAD") else None
        if ref is None:
            what = f"branch or tag {short_name(spec.source)}" if spec.source.startswith(HEADS) else spec.source
            raise UnknownRevisionError(
                f"{remote.settings.shown} has no {what or 'default branch'}",
                hint=f"dsvc ls-remote {remote.settings.typed}",
            )
        found[spec.source] = ref
    return found


def bring_tips(
    workspace: Workspace,
    remote: OpenRemote,
    wanted: Iterable[Direct],
    shallow: ShallowFetch | None = None,
    *,
    jobs: int,
    early: EarlyFiles | None = None,
) -> Received:
    """Bring what these objects of a remote reach; it exists for others once the caller has published.

    Raises:
        What `fetch_objects` raises.
    """
    tips = [(ref.kind, bytes(ref.id)) for ref in dict.fromkeys(wanted)]
    if not tips:
        return Received()
    store, known = workspace.repo.store, known_commits(workspace)
    complete = lambda: Ancestry(workspace.repo.walked, revision_context(workspace).graph)  # noqa: E731
    return fetch_objects(
        store,
        remote.repo,
        tips,
        known=known,
        ancestry=complete if shallow is None else shallow.ancestry,
        history=None if shallow is None else shallow.history(tips, known),
        folder=remote.inbox,
        absorbed=workspace.cache / "remotes" / remote.folder.name,
        jobs=jobs,
        progress=workspace.progress,
        name=remote.settings.shown,
        files="filter" not in remote.settings.options,
        purged=purged_files(remote.repo) | purged_files(workspace.repo),
        early=early,
    )


def known_commits(workspace: Workspace) -> list[CommitId]:
    """Return the commits that this repository's refs name: all that they reach is here."""
    named = (ref.id for _, ref in workspace.view().tips() if ref.kind == Kind.COMMIT)
    return present_tips(workspace.repo.store, named)


def _judged(workspace: Workspace, ancestry: Ancestry, updates: Iterable[RefUpdate]) -> list[RefUpdate]:
    """Tell moves forward from forced ones, now that the commits are here."""
    judged: list[RefUpdate] = []
    for update in updates:
        old, new = update.old, update.new
        if new is not None and new.kind == Kind.COMMIT and not present_tips(workspace.repo.store, [new.id]):
            judged.append(update._replace(outcome="moved") if update.outcome == "forced" else update)  # a dry run
            continue
        if update.outcome in ("moved", "forced") and old is not None and new is not None:
            forward = old.kind == new.kind == Kind.COMMIT and is_ancestor(
                ancestry, CommitId(old.id), CommitId(ObjectId(new.id))
            )
            if forward:
                update = update._replace(outcome="moved")  # noqa: PLW2901
            elif update.outcome == "moved":
                reason = "that would not be a step forward"
                update = update._replace(outcome="rejected", reason=reason)  # noqa: PLW2901
        judged.append(update)
    return judged


def _publish(
    workspace: Workspace,
    remote: OpenRemote,
    updates: Sequence[RefUpdate],
    heads: Mapping[str, Direct],
    also: Mapping[str, Ref | None],
    *,
    ledgers: bool,
) -> list[FileId]:
    view = workspace.view()
    moved = (u for u in updates if u.ours is not None and u.outcome not in ("same", "rejected"))
    changes: dict[str, Ref | None] = {update.ours or "": update.new for update in moved}
    changes |= also
    if remote.settings.name is not None:
        changes |= seen_changes(updates, remote.settings.name)
    changes |= dict.fromkeys([fetch_head_of(workspace.worktree_id)][: len(heads)], next(iter(heads.values()), None))
    default = remote.default_branch()
    tracked = mapped(remote.settings.fetch, default) if remote.settings.name and default else None
    their_head = f"{REMOTES}{remote.settings.name}/HEAD"
    if tracked is not None and view.get(their_head) is None and (changes.get(tracked[0]) or view.get(tracked[0])):
        changes[their_head] = Symbolic(tracked[0])
    erased: list[FileId] = []

    def note(transaction: Transaction) -> bool:
        erased[:] = take_notes(remote.repo.store, workspace.repo.store, transaction, remote.view())
        store = workspace.repo.store
        news = ledgers and take_ledgers(store, store, transaction, remote.view())  # their nodes came along
        return news or bool(erased)

    act = workspace.act("fetch", f"fetch {remote.settings.shown}")
    publish_tracking(workspace, changes, act, also=note)
    return erased
