"""Which refs a push would move on a remote, and whether each may be moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from dsvc.actions.model_refs import seen_name
from dsvc.actions.ref_update import RefUpdate
from dsvc.actions.remote_access import OpenRemote
from dsvc.actions.revision import ancestry_below, revision_context
from dsvc.actions.upstream import read_upstream
from dsvc.errors import RequestError, UsageError
from dsvc.history.mergebase import is_ancestor
from dsvc.history.revisions import resolve
from dsvc.objects.ids import CommitId, Kind, ObjectId
from dsvc.objects.store import ObjectMissingError
from dsvc.refs.names import HEADS, NAMED, ONCE, REQUESTS, SHARED, TAGS, head_of, short_name
from dsvc.refs.view import Direct, View
from dsvc.remotes.refspec import Refspec, mapped, parse_refspec
from dsvc.remotes.settings import RemoteSettings
from dsvc.remotes.transfer.selection import present_tips
from dsvc.workspace import Workspace

_LOOKED_BACK = 200  # operations


class Lease(NamedTuple):
    """What refs of the remote must be to be overwritten: the one of that full name, or all (None).

    `expected` None means what was last fetched; `absent`, that there is none.
    """

    name: str | None = None
    expected: ObjectId | None = None
    absent: bool = False


class Chosen(NamedTuple):
    """What is to be pushed. `follows` says that the branch follows what it is pushed to from then on."""

    specs: tuple[Refspec, ...]
    follows: bool = False
    prune: bool = False
    follow_tags: bool = False
    mirror: bool = False


def choose(
    workspace: Workspace,
    settings: RemoteSettings,
    texts: Sequence[str],
    *,
    every: bool = False,
    tags: bool = False,
    mirror: bool = False,
    delete: bool = False,
    prune: bool = False,
    follow_tags: bool = False,
) -> Chosen:
    """Return what the words of a push say; without any, the current branch.

    Raises:
        RequestError: for a name that nothing has, and when the current branch does not say where it goes. UsageError.
    """
    view = workspace.view()
    if delete:
        if not texts or every or tags or mirror:
            raise UsageError("--delete needs the names of what to delete", hint="dsvc push --delete origin BRANCH")
        return Chosen(tuple(parse_refspec(":" + _known(view, text, remote=True)) for text in texts))
    if mirror:
        if texts or every or tags:
            raise UsageError("--mirror pushes everything", hint=f"dsvc push --mirror {settings.typed}")
        # Of runs there may be a million; requests belong to the repository in which they were opened.
        prefixes = [prefix for prefix in SHARED if prefix not in (*ONCE, REQUESTS)]
        everything = tuple(Refspec(f"{prefix}*", f"{prefix}*", force=True) for prefix in prefixes)
        return Chosen(everything, prune=True, mirror=True)
    specs = [_spec(workspace, text) for text in texts]
    specs += [Refspec(f"{prefix}*", f"{prefix}*") for prefix, wanted in ((HEADS, every), (TAGS, tags)) if wanted]
    if prune and not any("*" in spec.source for spec in specs):
        raise UsageError(
            "--prune needs to know which refs", hint=f"dsvc push --prune --all {settings.typed} speaks of all branches"
        )
    if every or specs:
        return Chosen(tuple(specs), prune=prune, follow_tags=follow_tags)
    spec, follows = _current(workspace, settings)
    return Chosen((spec, *specs), follows, follow_tags=follow_tags)


def judge(
    workspace: Workspace, remote: OpenRemote, chosen: Chosen, *, force: bool, leases: Sequence[Lease]
) -> list[RefUpdate]:
    """Compare what is to be pushed with what is there, and say of each ref whether it may be moved.

    Raises:
        RequestError: when something is to be deleted that is not there.
    """
    theirs, checked_out = remote.view(), remote.checked_out()
    updates: dict[str, RefUpdate] = {}
    for spec in chosen.specs:
        pushed = list(_sources(workspace, spec))
        if chosen.prune:
            pushed += _pruned(workspace, theirs, spec)
        for source, target, new in pushed:
            old = theirs.resolve(target)[1]
            if old is None and new is None:
                raise RequestError(
                    f"{remote.settings.shown} has no {_what(target)} {short_name(target)}",
                    hint=f"dsvc ls-remote {remote.settings.typed}",
                )
            update = RefUpdate(target, source or None, old, new, "same")
            if old != new:
                update = _checked(workspace, remote, update, force=force or spec.force, leases=leases)
                if target in checked_out and update.outcome != "rejected":
                    update = _on_working_copy(remote, update)
            updates[target] = update
    if chosen.follow_tags:
        updates |= {u.theirs: u for u in _followed(workspace, theirs, updates.values()) if u.theirs not in updates}
    return list(updates.values())


def tips_of(workspace: Workspace, chosen: Chosen) -> list[Direct]:
    """Return the objects that are pushed if all refs may be moved."""
    named = (new for spec in chosen.specs for _, _, new in _sources(workspace, spec))
    return [new for new in dict.fromkeys(named) if new is not None]


def _current(workspace: Workspace, settings: RemoteSettings) -> tuple[Refspec, bool]:
    """Return where the current branch goes, and whether it follows nothing yet."""
    head = workspace.head()
    if head.branch is None:
        raise RequestError("HEAD is on no branch", hint=f"dsvc push {settings.typed} HEAD:BRANCH")
    if head.commit_id is None:
        raise RequestError("there is no commit to push yet", hint="dsvc commit")
    followed = read_upstream(workspace, head.branch)
    if followed is None or followed.remote != settings.name:
        return Refspec(head.branch, head.branch), followed is None and settings.name is not None
    if followed.branch != head.branch:  # as when a branch was begun from another one of the remote
        here, there = short_name(head.branch), short_name(followed.branch)
        raise RequestError(
            f"{here} follows {settings.name}/{there}, which has another name",
            hint=f"'dsvc push -u {settings.typed} {here}' makes a branch of its own there, "
            f"'dsvc push {settings.typed} HEAD:{there}' pushes to that one",
        )
    return Refspec(head.branch, followed.branch), False


def _spec(workspace: Workspace, text: str) -> Refspec:
    """Return what one word of the command line says; a name without a target goes to the same name."""
    force, body = text.startswith("+"), text.removeprefix("+")
    source, colon, target = body.partition(":")
    if "*" in body:
        return parse_refspec(text)
    if not colon:
        if source in ("HEAD", "@"):
            branch = workspace.head().branch
            if branch is None:
                raise RequestError("HEAD is on no branch", hint="dsvc push REMOTE HEAD:BRANCH")
            return Refspec(branch, branch, force)
        full = _known(workspace.view(), source)
        return Refspec(full, full, force)
    if not target:
        raise UsageError(f"{text!r} does not say where to", hint="dsvc push REMOTE SOURCE:TARGET")
    if not source:
        return parse_refspec(":" + _known(workspace.view(), target, remote=True))
    known = _known(workspace.view(), source, revision=True)
    plain = target.removeprefix("refs/")
    if known.startswith(TAGS) and not plain.startswith(SHARED):
        plain = TAGS + plain  # as in git: what a tag is pushed to is a tag
    return Refspec(known, parse_refspec(f":{plain}").target, force)


def _known(view: View, name: str, *, remote: bool = False, revision: bool = False) -> str:
    """Return the full name of a branch or tag; what is none stays as it is where a revision may stand."""
    plain = name.removeprefix("refs/")
    for full in (plain, HEADS + plain, TAGS + plain):
        if full.startswith(SHARED) and view.get(full) is not None:
            return full
    if revision:
        return name
    full = parse_refspec(plain).source
    if not remote and view.get(full) is None:
        raise RequestError(f"there is no branch or tag {name} here", hint="dsvc branch lists the branches")
    return full


def _sources(workspace: Workspace, spec: Refspec) -> Iterator[tuple[str, str, Direct | None]]:
    """Yield (name here, name there, object) of what a refspec pushes; no object where it deletes."""
    view = workspace.view()
    if not spec.source:
        yield "", spec.target, None
    elif "*" in spec.source:
        for name, _ in view.items(spec.source.partition("*")[0]):
            target, ref = spec.maps(name), view.resolve(name)[1]
            if target is not None and ref is not None and name.startswith(SHARED):
                yield name, target, ref
    else:
        ref = view.resolve(spec.source)[1] if spec.source.startswith(SHARED) else None
        if ref is None:
            resolved = resolve(revision_context(workspace), spec.source)
            ref = Direct(resolved.kind, ObjectId(resolved.id))
        yield spec.source, spec.target, ref


def _pruned(workspace: Workspace, theirs: View, spec: Refspec) -> Iterator[tuple[str, str, None]]:
    """Yield what a pattern would have made there and what has no counterpart here."""
    if "*" not in spec.target:
        return
    back = Refspec(spec.target, spec.source)
    for name, _ in theirs.items(spec.target.partition("*")[0]):
        ours = back.maps(name)
        if ours is not None and workspace.view().get(ours) is None:
            yield "", name, None


def _followed(workspace: Workspace, theirs: View, updates: Iterable[RefUpdate]) -> Iterator[RefUpdate]:
    """Yield the tags with a message that are not there and that belong to commits which are pushed."""
    pushed = (update.new for update in updates if update.new is not None and update.outcome != "rejected")
    tips = [CommitId(ref.id) for ref in pushed if ref.kind == Kind.COMMIT]
    if not tips:
        return
    ancestry = ancestry_below(workspace, tips)
    for name, ref in workspace.view().items(TAGS):
        if isinstance(ref, Direct) and ref.kind == Kind.TAG and theirs.get(name) is None:
            kind, target = workspace.repo.peel(ref.kind, ref.id)
            if kind == Kind.COMMIT and any(is_ancestor(ancestry, CommitId(ObjectId(target)), tip) for tip in tips):
                yield RefUpdate(name, name, None, ref, "new")


def _checked(
    workspace: Workspace, remote: OpenRemote, update: RefUpdate, *, force: bool, leases: Sequence[Lease]
) -> RefUpdate:
    """Say whether a ref of the remote may go from its old to its new value."""
    old, new, target, typed = update.old, update.new, update.theirs, remote.settings.typed
    pull = f"dsvc pull {typed} joins what is there, then push again"

    def refused(reason: str, hint: str | None = None) -> RefUpdate:
        return update._replace(outcome="rejected", reason=reason, hint=hint)

    lease = next((lease for name in (target, None) for lease in leases if lease.name == name), None)
    if lease is not None:
        if not _holds(workspace, remote, lease, update):
            what = "what was expected" if lease.expected is not None else "what was last fetched"
            reason = "it is there already" if lease.absent else f"it is not {what}"
            if target.startswith(TAGS) and lease.expected is None and not lease.absent and old and new:
                return refused("where a tag was is not noted by a fetch", _replaces_tag(typed, target, old))
            return refused(reason, f"dsvc fetch {typed}, look at what came, then push again")
        force = True
    if new is None:
        if target.startswith(ONCE):
            return refused("what is made once stays")
        if target == remote.default_branch():
            return refused("it is the default branch there", f"dsvc ls-remote {typed} lists the others")
        return update._replace(ours=None, outcome="deleted")
    if target.startswith(HEADS) and new.kind != Kind.COMMIT:
        return refused("a branch points to commits only", f"dsvc push {typed} NAME:tags/{short_name(target)}")
    if old is None:
        return update._replace(outcome="new")
    if target.startswith(ONCE):
        return refused("there is another one of that name there, and it never moves")
    if target.startswith(NAMED) and not force and old != _tracked(workspace, remote, target):
        return refused("it was changed there too", f"dsvc fetch {typed}, look at what came, then push +{target}")
    if target.startswith(TAGS) and not force:
        return refused("there is another tag of that name there", _replaces_tag(typed, target, old))
    if old.kind == new.kind == Kind.COMMIT:
        if not present_tips(workspace.repo.store, [old.id]):
            return update._replace(outcome="forced") if force else refused("it has commits that are not here", pull)
        if _contains(workspace, CommitId(new.id), CommitId(old.id)):
            return update._replace(outcome="moved")
        if not force and _contains(workspace, CommitId(old.id), CommitId(new.id)):
            return refused("it is ahead of yours", f"dsvc pull {typed}")
        if not force:
            if update.ours is not None and _left_behind(workspace, remote, update.ours, target, old):
                names = dict.fromkeys((short_name(update.ours), short_name(target)))
                what = ":".join(names)  # one, where both are called the same
                again = f"dsvc push --force-with-lease {typed} {what} replaces it by what yours is now"
                return refused("it has commits that yours has not", again)
            return refused("it has commits that yours has not", pull)
    return update._replace(outcome="forced")


def _replaces_tag(remote: str, tag: str, old: Direct) -> str:
    return (
        f"dsvc push --force-with-lease={tag}:{old.id.hex()} {remote} {tag} replaces it; "
        "whoever has fetched it keeps the old one"
    )


def _left_behind(workspace: Workspace, remote: OpenRemote, ours: str, theirs: str, old: Direct) -> bool:
    """Whether the remote's branch still is what our branch brought there, and ours was rewritten since.

    Ours was at that commit before the remote was seen to be: what came from others was seen there first.
    """
    if old != _tracked(workspace, remote, theirs):
        return False
    if not ours.startswith(SHARED):  # HEAD, or another revision: what was rewritten is where the working copy stands
        ours = head_of(workspace.worktree_id)
    elif not ours.startswith(HEADS):
        return False
    found = mapped(remote.settings.fetch, theirs)
    context = revision_context(workspace)
    # A bound, since a log may hold a million operations: what was rewritten longer ago gets the more careful hint.
    log = islice(context.log.walk(context.operation), _LOOKED_BACK)
    views = (View(context.log.store, view) for view in dict.fromkeys(operation.view for _, operation in log))
    return found is not None and any(view.resolve(ours)[1] == old != view.resolve(found[0])[1] for view in views)


def _contains(workspace: Workspace, descendant: CommitId, ancestor: CommitId) -> bool:
    try:
        return is_ancestor(ancestry_below(workspace, [descendant]), ancestor, descendant)
    except ObjectMissingError:  # of a commit that was never fetched, only its own record may be here
        return False


def _holds(workspace: Workspace, remote: OpenRemote, lease: Lease, update: RefUpdate) -> bool:
    if lease.absent:
        return update.old is None
    if lease.expected is not None:
        return update.old is not None and update.old.id == lease.expected
    return update.old == _tracked(workspace, remote, update.theirs)


def _tracked(workspace: Workspace, remote: OpenRemote, name: str) -> Direct | None:
    """Return what a ref of the remote was when it was last seen."""
    if name.startswith(NAMED):
        ref = workspace.view().get(seen_name(remote.settings.name, name)) if remote.settings.name else None
        return ref if isinstance(ref, Direct) else None
    found = mapped(remote.settings.fetch, name)
    return workspace.view().resolve(found[0])[1] if found is not None else None


def _on_working_copy(remote: OpenRemote, update: RefUpdate) -> RefUpdate:
    source = short_name(update.ours) if update.ours else "BRANCH"
    return update._replace(
        outcome="rejected",
        reason="a working copy stands on it there",
        hint=f"dsvc push {remote.settings.typed} {source}:incoming/{short_name(update.theirs)}, and merge that there",
    )


def _what(name: str) -> str:
    return "branch" if name.startswith(HEADS) else "tag" if name.startswith(TAGS) else "ref"
