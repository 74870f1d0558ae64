"""Choose the commit whose test halves what is left."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.history.ancestry import Ancestry
from dsvc.objects.ids import CommitId

_EXACT = 5000  # commits whose ancestors are counted one and all
_SAMPLED = 16


def halve(
    ancestry: Ancestry, candidates: Sequence[CommitId], *, skipped: frozenset[CommitId] = frozenset()
) -> CommitId | None:
    """Return the candidate for which the numbers with and without it are nearest to each other.

    `candidates` stand parents first, the bad one last. Of very many only some near the middle are counted. None when
    nothing but the bad one is left to test, or only commits in `skipped`.
    """
    total = len(candidates)
    numbers = {commit_id: number for number, commit_id in enumerate(candidates)}
    parents = [
        [numbers[p] for p in map(ancestry.id, ancestry.parents(ancestry.node(c))) if p in numbers] for c in candidates
    ]
    testable = [n for n in range(total - 1) if candidates[n] not in skipped]
    if not testable:
        return None
    if total > _EXACT:
        testable.sort(key=lambda n: abs(2 * (n + 1) - total))
        counts = {n: _ancestors(parents, n) for n in testable[:_SAMPLED]}
    else:
        counts = _count_all(parents, testable)
    best = min(counts, key=lambda n: (abs(2 * counts[n] - total), n))
    return candidates[best]


def _ancestors(parents: list[list[int]], start: int) -> int:
    seen = {start}
    stack = [start]
    while stack:
        for parent in parents[stack.pop()]:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return len(seen)


def _count_all(parents: list[list[int]], wanted: list[int]) -> dict[int, int]:
    """Return how many candidates each of `wanted` contains, itself included; sets are bits of whole numbers."""
    sets: list[int] = []
    for number, above in enumerate(parents):
        bits = 1 << number
        for parent in above:
            bits |= sets[parent]
        sets.append(bits)
    return {number: sets[number].bit_count() for number in wanted}
