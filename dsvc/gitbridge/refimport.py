"""Which refs an import moves, and which it leaves because they have diverged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsvc.history.ancestry import Ancestry
from dsvc.history.mergebase import is_ancestor
from dsvc.objects.ids import CommitId, Kind
from dsvc.refs.names import TAGS
from dsvc.refs.transaction import Transaction
from dsvc.refs.view import Direct, Ref
from dsvc.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref by its full name, what it was (None: new) and what it is or would have become."""

    name: str
    old: Direct | None
    new: Direct


def move_refs(
    repo: Repository, transaction: Transaction, targets: Mapping[str, Direct], *, force: bool
) -> tuple[list[RefMove], list[RefMove]]:
    """Set refs in a transaction; return those that move and those that have diverged and stay.

    A branch moves forward only, and one that already contains what git has stays; a tag never moves. `force` moves
    all of them.
    """
    moved: list[RefMove] = []
    diverged: list[RefMove] = []
    ancestry = Ancestry(repo.walked)
    for name, new in sorted(targets.items()):
        old = _direct(transaction.view.get(name))
        if old == new:
            continue
        move = RefMove(name, old, new)
        if old is None or force or name.startswith("remotes/"):
            moved.append(move)
        elif name.startswith(TAGS) or old.kind != Kind.COMMIT:
            diverged.append(move)
        elif is_ancestor(ancestry, CommitId(old.id), CommitId(new.id)):
            moved.append(move)
        elif not is_ancestor(ancestry, CommitId(new.id), CommitId(old.id)):
            diverged.append(move)
    for move in moved:
        transaction.set(move.name, move.new)
    return moved, diverged


def _direct(ref: Ref | None) -> Direct | None:
    return ref if isinstance(ref, Direct) else None
