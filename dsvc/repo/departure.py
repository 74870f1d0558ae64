"""A member leaves its pool: its head says that it was deleted, then the family does without it."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from dsvc.errors import BusyError
from dsvc.objects.ids import PackId
from dsvc.refs.log import CELL as HEAD
from dsvc.refs.log import DELETED, read_head
from dsvc.repo.family import Family, change_family
from dsvc.repo.gcrecord import change_record
from dsvc.storage.backend import Backend, SwapUncertainError

_RETRIES = 200


def end_head(repository: Backend, *, name: str) -> list[PackId]:
    """Let a repository's head say that it was deleted; return the packs that it listed, none when it says so already.

    Raises:
        BusyError: when others publish again and again.
    """
    for _ in range(_RETRIES):
        value = repository.read_cell(HEAD)
        if value == DELETED:
            return []
        head = read_head(repository)
        if head is None or head.value != value:
            continue
        with contextlib.suppress(SwapUncertainError):
            if repository.swap_cell(HEAD, value, DELETED):
                return [ref.id for ref in head.packs.packs]
    raise BusyError(f"{name} changes too often", hint="run the same command again")


def leave_family(pool: Backend, member: str, packs: list[PackId]) -> int:
    """Take a member out of its family, with the forks of it that are not finished; return how many are left.

    `packs` are those that it listed: what of them nobody else lists goes with the next gc of one of the others.

    Raises:
        BusyError: when others change the family again and again.
    """

    def without(family: Family) -> Family:
        begun = [m.id for m in family.members.values() if not m.ready and m.parent == member]
        return family.without(member, *begun)

    left = change_family(pool, without)
    others = 0 if left is None else len(left.ready())
    if others:
        change_record(pool, lambda record: replace(record, seen={**dict.fromkeys(packs, 0), **record.seen}))
    return others
