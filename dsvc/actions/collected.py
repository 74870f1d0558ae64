"""What gc did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dsvc.objects.packlist import PackRef
from dsvc.repo.leftovers import Leftovers


class Stock(NamedTuple):
    """Packs: how many, and their bytes in all."""

    packs: int
    size: int


class GcResult(NamedTuple):
    """What gc removed, or with `dry_run` would.

    `freed` counts bytes in the backend, roughly; `undo_reaches` is the time (microseconds) of the oldest operation
    that is left; `before` and `after` are the packs that are listed. With `dry_run` those after are about what they
    would be. `repositories` are those that share the packs; the counts are of all of them together. `uploads`
    are those to a bucket that nobody went on with.
    """

    freed: int
    objects_kept: int
    objects_removed: int
    operations_kept: int
    operations_removed: int
    undo_reaches: int
    before: Stock
    after: Stock
    leftovers: Leftovers
    dry_run: bool
    repositories: int = 1
    uploads: int = 0


def stock(refs: Iterable[PackRef]) -> Stock:
    """Return how much some packs are."""
    sizes = [ref.size for ref in refs]
    return Stock(len(sizes), sum(sizes))


def added(parts: Iterable[Leftovers]) -> Leftovers:
    """Return several counts as one."""
    total = Leftovers()
    for part in parts:
        total = Leftovers(
            total.packs + part.packs, total.lists + part.lists, total.files + part.files, total.size + part.size
        )
    return total
