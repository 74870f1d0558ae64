"""Who belongs to a pool: the cell `family`, which names the repositories whose heads count. docs/formats/pool.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dsvc.errors import BusyError, IntegrityError, NotARepositoryError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.refs.log import RepositoryDeletedError
from dsvc.repo.format import read_format
from dsvc.repo.member import FAMILY, FIRST
from dsvc.storage.backend import Backend, SwapUncertainError

_VERSION = 1
_RETRIES = 200
_ID = 8  # bytes


class DamagedFamilyError(IntegrityError):
    """The cell that names the members of a pool cannot be read; nothing of the pool may be deleted then."""

    def __init__(self) -> None:
        super().__init__("the cell 'family' is not of its form", hint="restore it from a copy")


class FamilyMember(NamedTuple):
    """A repository of a pool.

    `place` is the way from the pool's place to its own, and no two that are ready have the same; `parent` is the id of
    the member that it was forked from.
    `ready`: it exists; before that somebody is at work on it, or died over it.
    """

    id: str
    place: str = "."
    parent: str | None = None
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Family:
    """The members of a pool by id, the one that was there first with the empty id."""

    members: dict[str, FamilyMember] = field(default_factory=lambda: {FIRST: FamilyMember(FIRST)})

    def ready(self) -> tuple[str, ...]:
        """Return the ids of the repositories that exist."""
        return tuple(member.id for member in self.members.values() if member.ready)

    def under_way(self) -> tuple[str, ...]:
        """Return the ids of those that somebody began and did not finish yet."""
        return tuple(member.id for member in self.members.values() if not member.ready)

    def having(self, member: FamilyMember) -> Family:
        """Return the family with a member, in place of the one of that id."""
        return replace(self, members={**self.members, member.id: member})

    def without(self, *ids: str) -> Family:
        """Return the family without these."""
        return replace(self, members={i: member for i, member in self.members.items() if i not in ids})


def new_member_id() -> str:
    """Return an id that no member of any pool ever had."""
    return os.urandom(_ID).hex()


def read_family(pool: Backend) -> Family | None:
    """Return who belongs to a pool; None for a repository that was never forked.

    Raises:
        DamagedFamilyError: when the cell is not of its form.
    """
    value = pool.read_cell(FAMILY)
    return None if value is None else decode_family(value)


class PoolMissingError(NotARepositoryError):
    """A place points to a pool that is not there."""

    def __init__(self, pool: str) -> None:
        super().__init__(
            f"this is a fork, and the pool with its packs is not at {pool}", hint="put back what was moved from there"
        )


class UnfinishedForkError(NotARepositoryError):
    """Somebody began to fork to this place and is not done, or died over it."""

    def __init__(self) -> None:
        super().__init__("a fork was begun here and not finished", hint="dsvc fork makes it anew")


def find_member(pool: Backend, place: str) -> str:
    """Return the id of the repository that the family of a pool has at a place.

    Raises:
        RepositoryDeletedError: when it is no member any more. UnfinishedForkError: when it is not one yet.
        PoolMissingError: when there is no pool.
    """
    family = read_family(pool)
    if family is None and read_format(pool) is None:
        raise PoolMissingError("its place")
    found = [member for member in family.members.values() if member.place == place] if family is not None else []
    for member in found:
        if member.ready:
            return member.id
    raise UnfinishedForkError if found else RepositoryDeletedError


def change_family(pool: Backend, change: Callable[[Family], Family | None]) -> Family | None:
    """Replace the family by `change(family)`, again when others were faster; None from it gives up, and is returned.

    Raises:
        BusyError: when others change it again and again.
    """
    for _ in range(_RETRIES):
        value = pool.read_cell(FAMILY)
        before = Family() if value is None else decode_family(value)
        after = change(before)
        if after is None or after == before:
            return after
        try:
            if pool.swap_cell(FAMILY, value, encode_family(after)):
                return after
        except SwapUncertainError:
            pass  # the next round sees what came of it
    raise BusyError("the family of this repository changes all the time", hint="run the same command again")


def encode_family(family: Family) -> bytes:
    """Return the value of the cell."""
    rows = [[m.id, m.place, m.parent, m.ready] for m in sorted(family.members.values(), key=lambda m: m.id)]
    return codec.encode({"version": _VERSION, "members": rows})


def decode_family(value: bytes) -> Family:
    """Return what the cell says.

    Raises:
        DamagedFamilyError: when it is not of its form.
    """
    try:
        fields = codec.decode(value)
    except BadEncodingError as error:
        raise DamagedFamilyError from error
    match fields:
        case {"version": int(version), "members": tuple(rows), **more} if not more and version == _VERSION:
            members = {}
            for row in rows:
                match row:
                    case (str(i), str(place), str() | None as parent, bool(ready)):
                        members[i] = FamilyMember(i, place, parent, ready)
                    case _:
                        raise DamagedFamilyError
            if len(members) == len(rows):
                return Family(members)
    raise DamagedFamilyError
