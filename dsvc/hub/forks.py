"""Forks on a hub: who may make one, and who belongs to whose family."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from dsvc.errors import NotARepositoryError
from dsvc.hub.attic import begin_putting_away, has_due, mark_due
from dsvc.hub.folder import Hub
from dsvc.hub.located import Located, locate, name_of, opened
from dsvc.hub.names import repository_folder, repository_name
from dsvc.hub.rules import may
from dsvc.hub.visitor import HubRefusedError, Visitor, find_visitor, identify
from dsvc.refs.log import Head
from dsvc.refs.names import head_of
from dsvc.remotes.wire.forks import HubFork, Relative
from dsvc.repo.family import change_family, read_family
from dsvc.repo.forking import LEFT_OUT, TakenError, fork_member
from dsvc.repo.format import Pointer, pointing, read_format, write_format
from dsvc.repo.lineage import Lineage, read_lineage
from dsvc.storage.local import LocalBackend
from dsvc.workspace import MAIN


@dataclass(frozen=True, slots=True)
class Kin:
    """A repository of a family: its name and id, its parent's name (None: it has none), whether that was deleted."""

    name: str
    member: str
    parent: str | None = None
    orphaned: bool = False


def fork_here(
    hub: Hub, located: Located, visitor: Visitor, target: str, *, host: str, time: int, zone: int
) -> HubFork:
    """Make the repository `target` a fork of one that somebody visits; nothing is copied.

    That needs a role for the parent and the right to make `target`. Asking again after a lost answer is harmless.

    Raises:
        HubRefusedError: when they may not, or when there is a repository of that name.
    """
    find_visitor(hub, account=visitor.account, key=visitor.key, repository=visitor.repository)
    name = repository_name(target)
    role = identify(hub, account=visitor.account, key=visitor.key).role(name)
    rules = hub.rules()
    if role is None or not may(rules.create, role=role, account=visitor.account):
        raise HubRefusedError(
            f"{visitor.account} may not make the repository {name}",
            hint="choose a name that a role of yours is for, or ask an owner of the hub",
        )
    with opened(located) as repo:
        held = sum(ref.size for ref in repo.head.packs.packs)
        view = repo.view()
        keeps_some = any(True for prefix in LEFT_OUT for name, _ in view.items(prefix) if name != head_of(MAIN))
    if rules.limits.repository_bytes and held > rules.limits.repository_bytes:
        raise HubRefusedError(f"{visitor.repository} has {held:,} bytes, and the quota of a repository is less")
    folder = repository_folder(hub.repos, name)
    if folder == located.folder:
        raise _taken(name)
    folder.mkdir(parents=True, exist_ok=True)
    way, back = os.path.relpath(located.pool, folder), os.path.relpath(folder, located.pool)
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        record = pointing(Pointer(way, back))
        with contextlib.closing(LocalBackend(folder)) as own:
            before = read_format(own)
            if before != record:
                if before is not None and _is_there(hub, name):
                    raise _taken(name)
                write_format(own, record, before=before)
        lineage = Lineage(os.path.relpath(located.folder, folder), visitor.account, time)
        act = visitor.act("fork", f"fork of {located.name}", host=host, time=time, zone=zone)
        # In the parent's packs is what only refs reach that stay there, and what it is about to put away.
        divided = rules.put_away and (keeps_some or has_due(hub, located.name))
        if divided:
            mark_due(hub, name, always=True)
        try:
            forked = fork_member(
                pool,
                pool.staging,
                parent=located.member,
                place=back,
                lineage=lineage,
                act=act,
                worktree=MAIN,
            )
        except TakenError as error:
            done = _made_before(hub, located, visitor, name)
            if done is None:
                raise _taken(name) from error
            return done
        with contextlib.closing(LocalBackend(folder)) as own:
            if read_format(own) != record:  # somebody made another repository of that name in this very moment
                change_family(pool, lambda family: family.without(forked.member))
                raise _taken(name)
    if rules.put_away and (divided or has_due(hub, located.name) or _is_elsewhere(located, forked.parent_head)):
        mark_due(hub, name, always=True)
        begin_putting_away(hub, name)
    listed = forked.parent_head.packs.packs
    return HubFork(name, len(listed), sum(ref.size for ref in listed))


def _is_elsewhere(located: Located, head: Head) -> bool:
    """Say whether the packs of a repository are other ones than this head lists."""
    with opened(located) as repo:
        return not repo.head.packs.holds_all_of(head.packs)


def _taken(name: str) -> HubRefusedError:
    return HubRefusedError(f"there is a repository {name} already", hint="choose another name")


def _is_there(hub: Hub, name: str) -> bool:
    try:
        locate(hub.repos, name)
    except NotARepositoryError:
        return False
    return True


def _made_before(hub: Hub, parent: Located, visitor: Visitor, name: str) -> HubFork | None:
    """Return what a call made whose answer was lost; None when the repository is another one, or was used already."""
    there = locate(hub.repos, name)
    with opened(there) as repo:
        lineage, operation = read_lineage(repo.backend), repo.operation()
        same = lineage is not None and lineage.user == visitor.account and not operation.parents
        if not same or lineage is None or name_of(hub.repos, there.folder, lineage.parent) != parent.name:
            return None
        listed = repo.head.packs.packs
        return HubFork(name, len(listed), sum(ref.size for ref in listed))


def family_of(hub: Hub, located: Located) -> list[Kin]:
    """Return all repositories that share packs with one, by name; itself among them."""
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        family = read_family(pool)
    if family is None:
        return [Kin(located.name, located.member)]
    found = []
    for member in family.members.values():
        if not member.ready:
            continue
        name = name_of(hub.repos, located.pool, member.place)
        parent = None if member.parent is None else family.members.get(member.parent)
        recorded = None if member.parent is None else _recorded_parent(hub, located, member.id, name)
        there = name_of(hub.repos, located.pool, parent.place) if parent is not None else recorded
        found.append(Kin(name, member.id, there, member.parent is not None and parent is None))
    return sorted(found, key=lambda kin: kin.name)


def _recorded_parent(hub: Hub, located: Located, member: str, name: str) -> str | None:
    """Return the name that the parent had when the fork was made."""
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        lineage = read_lineage(Located(name, located.folder, located.pool, member).seen(pool))
    if lineage is None:
        return None
    return name_of(hub.repos, hub.repos / name, lineage.parent)


def family_for(hub: Hub, located: Located, account: str) -> list[Relative]:
    """Return the same as far as an account may know of it."""
    known = hub.accounts().get(account)
    if known is None:
        return []
    kin = [one for one in family_of(hub, located) if known.role(one.name) is not None]
    return [
        Relative(one.name, one.parent if one.parent is not None and known.role(one.parent) is not None else None)
        for one in kin
    ]


def may_know_parent(hub: Hub, located: Located, account: str) -> bool:
    """Say whether an account may see the repository that a fork was made from."""
    known = hub.accounts().get(account)
    with contextlib.closing(LocalBackend(located.pool)) as pool:
        lineage = read_lineage(located.seen(pool))
    if lineage is None or known is None:
        return False
    return known.role(name_of(hub.repos, located.folder, lineage.parent)) is not None


