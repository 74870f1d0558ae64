"""Make a repository of a pool out of another one, with its packs and at one moment; no pack is read or written.

The order of steps makes it safe beside gc, which deletes only what every head condemns (see dsvc.repo.sweeping). The
family hears of the new member first; the parent's head is read after that; and the member exists when the family says
so. gc drops members that are not ready, after which they cannot become it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dsvc.errors import BusyError, RequestError
from dsvc.objects.codec import Value
from dsvc.objects.ids import Kind, OperationId
from dsvc.objects.packlist import PackList
from dsvc.objects.store import ObjectStore
from dsvc.objects.values import encode_operation
from dsvc.refs.log import Head, OperationLog, RepositoryDeletedError, is_carrying, read_head, swap_head
from dsvc.refs.names import LOCAL, head_of
from dsvc.refs.transaction import Act
from dsvc.refs.view import View
from dsvc.repo.family import Family, FamilyMember, change_family, new_member_id
from dsvc.repo.format import POOL, raise_format
from dsvc.repo.lineage import Lineage, write_lineage
from dsvc.repo.member import member_of
from dsvc.storage.backend import Backend, BlobMissingError

LEFT_OUT = (*LOCAL, "requests/", "deployments/")  # refs that stay with the parent
_ATTEMPTS = 50

_Made = TypeVar("_Made")


class TakenError(RequestError):
    """There is a repository at the place of a fork already."""

    def __init__(self) -> None:
        super().__init__("there is a repository at that place already", hint="choose another place")


@dataclass(frozen=True, slots=True)
class Forked:
    """The new member of a pool, its first head, and the head of its parent that it has everything of."""

    member: str
    head: Head
    parent_head: Head


def fork_member(
    pool: Backend,
    staging: Callable[[], Path],
    *,
    parent: str,
    place: str,
    lineage: Lineage,
    act: Act,
    worktree: str,
) -> Forked:
    """Add a repository to a pool that has what the member `parent` has, and return it.

    `place` is the way from the pool to the new repository's place, which points here already. `lineage` is what the
    fork records of its parent; the operation is filled in. Refs under `requests/`, `deployments/` and local ones stay
    with the parent, but for the HEAD of `worktree`.

    When this dies, the place points to nothing, and the same call makes a new one.

    Raises:
        RepositoryDeletedError: when there is no such parent any more. TakenError: when the family has a repository at
        that place. BusyError: when gc runs again and again.
    """
    raise_format(pool, POOL)

    def make(member: str) -> tuple[Head, Head]:
        before = read_head(member_of(pool, parent))
        if before is None:
            raise RepositoryDeletedError
        head = publish_first(
            member_of(pool, member),
            staging,
            before,
            lineage=lineage,
            act=act,
            worktree=worktree,
            carry=is_carrying(before.value),  # then the pool's format allows it
        )
        return head, before

    member, (head, before) = join_pool(pool, make, place=place, parent=parent)
    return Forked(member, head, before)


def join_pool(
    pool: Backend, make: Callable[[str], _Made], *, place: str, parent: str | None = None
) -> tuple[str, _Made]:
    """Add to a pool what `make(member id)` makes; return the id and what that returned.

    `make` is called again, with another id, when gc was faster. Raises as `fork_member`.
    """
    for _ in range(_ATTEMPTS):
        member = new_member_id()
        begun = FamilyMember(member, place, parent, ready=False)
        if change_family(pool, lambda family, begun=begun: _beginning(family, begun)) is None:  # type: ignore[misc]
            raise RepositoryDeletedError
        try:
            made = make(member)
        except BlobMissingError:
            continue  # gc took the list away that was read, and this member with it
        if change_family(pool, lambda family, member=member: _finished(family, member)) is not None:  # type: ignore[misc]
            return member, made
    raise BusyError("the pool is cleaned up all the time", hint="run the same command again")


def _beginning(family: Family, begun: FamilyMember) -> Family | None:
    parent = None if begun.parent is None else family.members.get(begun.parent)
    if not family.members or (begun.parent is not None and (parent is None or not parent.ready)):
        return None  # deleted, or about to be
    if any(m.ready and m.place == begun.place for m in family.members.values()):
        raise TakenError
    dead = [m.id for m in family.members.values() if m.place == begun.place]
    return family.without(*dead).having(begun)


def _finished(family: Family, member: str) -> Family | None:
    begun = family.members.get(member)
    if begun is None:
        return None
    return family.having(FamilyMember(begun.id, begun.place, begun.parent))


def publish_first(
    backend: Backend,
    staging: Callable[[], Path],
    before: Head,
    *,
    lineage: Lineage,
    act: Act,
    worktree: str,
    carry: bool,
) -> Head:
    """Publish the first operation of a fork over the packs of its parent's head `before`, and return its head.

    `carry` says that its format lets the head cell hold the pack list too.

    Raises:
        BusyError: when there is a head already.
    """
    store = ObjectStore(backend, staging)
    # What the parent condemns is condemned here too: it may be about to be deleted.
    listed = PackList(before.packs.packs, before.packs.condemned, segments=before.packs.segments)
    for segment in before.packs.segments:
        backend.put(segment.ref.key, segment.data)
        store.segments.learn(segment)
    store.show(listed)
    view = forked_view(OperationLog(store).view(before.operation), worktree)
    facts: dict[str, Value] = {**act.metadata, "parent": lineage.parent, "operation": before.operation}
    operation = replace(act, metadata=facts).operation(view.id, ())
    operation_id = OperationId(store.put(Kind.OPERATION, encode_operation(operation)))
    write_lineage(backend, lineage.at(before.operation))
    head = swap_head(backend, None, operation_id, listed.adding(tuple(store.flush())), carry=carry)
    if head is None:
        raise BusyError("another process created a repository here at the same moment")
    return head


def forked_view(view: View, worktree: str) -> View:
    """Return the refs that a fork has of a view."""
    gone = [name for prefix in LEFT_OUT for name, _ in view.items(prefix) if name != head_of(worktree)]
    return view.changed(dict.fromkeys(gone))
