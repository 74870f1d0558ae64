"""Best common ancestors of commits.

Ancestors are painted with the sides that reach them, from the newest on, until all that is left to paint lies below
a common ancestor. Where the commit graph covers the commits, the order is certain; elsewhere commit times only decide
how soon the answer is found, and results that lie below one another are sorted out at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from heapq import heappop, heappush

from dsvc.history.ancestry import Ancestry
from dsvc.objects.ids import CommitId

_OURS, _THEIRS, _BELOW, _FOUND = 1, 2, 4, 8
_BOTH = _OURS | _THEIRS


def merge_bases(ancestry: Ancestry, ours: CommitId, theirs: CommitId) -> tuple[CommitId, ...]:
    """Return the best common ancestors of two commits: those that are no ancestor of another; newest first.

    A criss-cross history has several, unrelated histories have none.
    """
    return merge_bases_many(ancestry, ours, [theirs])


def merge_bases_many(ancestry: Ancestry, one: CommitId, others: Sequence[CommitId]) -> tuple[CommitId, ...]:
    """Return the best common ancestors of `one` and a hypothetical merge of all `others`."""
    if one in others:
        return (one,)
    nodes = _paint(ancestry, ancestry.node(one), [ancestry.node(other) for other in others])
    if len(nodes) > 1 and any(node >= ancestry.covered for node in nodes):
        nodes = independent(ancestry, nodes)
    return tuple(ancestry.id(node) for node in sorted(nodes, key=ancestry.rank))


def merge_base_octopus(ancestry: Ancestry, commits: Sequence[CommitId]) -> tuple[CommitId, ...]:
    """Return the best common ancestors of all the commits together, as an octopus merge needs them."""

    def step(bases: tuple[CommitId, ...], other: CommitId) -> tuple[CommitId, ...]:
        found = {ancestry.node(c) for base in bases for c in merge_bases(ancestry, base, other)}
        best = independent(ancestry, sorted(found))
        return tuple(ancestry.id(node) for node in sorted(best, key=ancestry.rank))

    return reduce(step, commits[1:], tuple(commits[:1]))


def is_ancestor(ancestry: Ancestry, ancestor: CommitId, descendant: CommitId) -> bool:
    """Say whether `descendant` contains `ancestor`; a commit contains itself."""
    if ancestor == descendant:
        return True
    return _reaches(ancestry, ancestry.node(descendant), ancestry.node(ancestor))


def independent(ancestry: Ancestry, nodes: Iterable[int]) -> list[int]:
    """Return those of the nodes that no other of them reaches."""
    kept = list(dict.fromkeys(nodes))
    for node in list(kept):
        if any(_reaches(ancestry, other, node) for other in kept if other != node):
            kept.remove(node)
    return kept


def ahead_behind(ancestry: Ancestry, ours: CommitId, theirs: CommitId) -> tuple[int, int]:
    """Return how many commits only `ours` contains and how many only `theirs` contains."""
    if ours == theirs:
        return 0, 0
    flags: dict[int, int] = {}
    _paint(ancestry, ancestry.node(ours), [ancestry.node(theirs)], flags=flags, whole=True)
    return (
        sum(1 for flag in flags.values() if flag & _BOTH == _OURS),
        sum(1 for flag in flags.values() if flag & _BOTH == _THEIRS),
    )


def only_in(ancestry: Ancestry, one: CommitId, others: Sequence[CommitId]) -> list[CommitId]:
    """Return the commits that `one` contains and none of `others` does, parents before children."""
    flags: dict[int, int] = {}
    start = ancestry.node(one)
    _paint(ancestry, start, [ancestry.node(other) for other in others], flags=flags, whole=True)
    own = {node for node, flag in flags.items() if flag & _BOTH == _OURS}
    order: dict[int, None] = {}
    stack = [(start, False)] if start in own else []
    while stack:
        node, ready = stack.pop()
        if ready:
            order[node] = None
        elif node in own:
            own.discard(node)
            stack.append((node, True))
            stack += [(parent, False) for parent in reversed(ancestry.parents(node))]
    return [ancestry.id(node) for node in order]


def _reaches(ancestry: Ancestry, start: int, wanted: int) -> bool:
    if start < ancestry.covered <= wanted:
        return False  # what the graph covers it covers with all ancestors
    return wanted in _paint(ancestry, wanted, [start], stop=wanted)


def _paint(
    ancestry: Ancestry,
    one: int,
    others: Sequence[int],
    *,
    stop: int | None = None,
    flags: dict[int, int] | None = None,
    whole: bool = False,
) -> list[int]:
    """Return the common ancestors that are found before all else lies below them; see the module's docstring.

    With `stop` the walk ends when this node is found, or can no longer be. `flags` receives what was painted; with
    `whole` the walk goes on until nothing that only one side reaches can be left uncounted.
    """
    flags = {} if flags is None else flags
    rank, covered = ancestry.rank, ancestry.covered
    heap: list[tuple[int, int]] = []
    waiting: set[int] = set()
    live = 0  # waiting nodes that do not lie below a common ancestor
    for node, flag in [(one, _OURS), *((other, _THEIRS) for other in others)]:
        flags[node] = flags.get(node, 0) | flag
        if node not in waiting:
            waiting.add(node)
            live += 1
            heappush(heap, (rank(node), node))
    found: list[int] = []
    lowest = stop if stop is not None and stop < covered else -1
    while heap and (live or (whole and heap[0][1] >= covered)):
        _, node = heappop(heap)
        waiting.discard(node)
        flag = flags[node]
        if not flag & _BELOW:
            live -= 1
        if node < lowest:
            break  # ancestors have lower numbers
        spread = flag & (_BOTH | _BELOW)
        if spread == _BOTH:
            if not flag & _FOUND:
                flags[node] = flag | _FOUND
                found.append(node)
            spread |= _BELOW
            if node == stop:
                break
        for parent in ancestry.parents(node):
            before = flags.get(parent, 0)
            after = before | spread
            if after == before:
                continue
            flags[parent] = after
            if parent not in waiting:
                waiting.add(parent)
                heappush(heap, (rank(parent), parent))
                live += not after & _BELOW
            elif after & _BELOW and not before & _BELOW:
                live -= 1
    return [node for node in found if not flags[node] & _BELOW]
