"""Walks over commits as `log` needs them: lazily, newest first, limited to ranges, paths and times.

Two orders. "date": by commit time. "topo": no commit before all of its children, and one line of history after the
other. For the latter a commit's children must be known before it is shown; the commit graph's numbers say how far
down to look for them, so that the first page of a long history costs a page. Without a graph all commits that it
would cover are looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from heapq import heappop, heappush
from typing import Literal, NamedTuple, TypeAlias

from dsvc.history.ancestry import Ancestry
from dsvc.history.pathlimit import PathLimit
from dsvc.objects.ids import CommitId
from dsvc.objects.sortedmap import NodeStore
from dsvc.objects.values import Commit

Order: TypeAlias = Literal["date", "topo"]
Matches: TypeAlias = Callable[[CommitId, Commit], bool]
Parents: TypeAlias = Callable[[int], Sequence[int]]

_SLOP = 5  # commits in a row that are too old before a line of history is given up: clocks differ


class Step(NamedTuple):
    """A commit of a walk. `parents` are those along which the walk goes on.

    Where it is limited to paths and `rewrite` was asked for, they are the nearest commits below that are shown.
    """

    id: CommitId
    parents: tuple[CommitId, ...]


def walk(
    ancestry: Ancestry,
    tips: Sequence[CommitId],
    *,
    hidden: Sequence[CommitId] = (),
    order: Order = "date",
    first_parent: bool = False,
    store: NodeStore | None = None,
    paths: Sequence[bytes] = (),
    rewrite: bool = False,
    since: int | None = None,
    until: int | None = None,
    matches: Matches | None = None,
) -> Iterator[Step]:
    """Yield the commits that `tips` reach and `hidden` do not, each once.

    With `paths` (which need `store`) only commits that changed one of these files or directories, with git's default
    simplification: a merge that equals one parent there is left out and only that parent is followed. `since` and
    `until` are in microseconds, both included. `matches` decides on each remaining commit.
    """
    starts = list(dict.fromkeys(ancestry.node(tip) for tip in tips))
    parents: Parents = ancestry.parents
    if first_parent:
        parents = _first(parents)
    inside: set[int] | None = None
    edge = {ancestry.node(commit_id) for commit_id in hidden}
    if hidden:
        inside = between(ancestry, starts, sorted(edge), parents)
        starts = [start for start in starts if start in inside]
    limit = None
    if paths:
        assert store is not None, "paths are looked up in a store"
        limit = PathLimit(ancestry, store, paths, parents=parents, inside=inside, edge=edge)
        parents = limit.followed
    elif inside is not None:
        parents = _within(parents, inside)
    if since is not None:
        parents = _recent(ancestry, parents, since)
    nodes = _by_date(ancestry, starts, parents) if order == "date" else _by_lines(ancestry, starts, parents)
    for node in nodes:
        if limit is not None and not limit.shown(node):
            continue
        if (since is not None or until is not None) and not _in_time(ancestry.time(node), since, until):
            continue
        commit_id = ancestry.id(node)
        if matches is not None and not matches(commit_id, ancestry.commit(node)):
            continue
        below = limit.rewritten(node) if limit is not None and rewrite else parents(node)
        yield Step(commit_id, tuple(ancestry.id(parent) for parent in below))


def between(ancestry: Ancestry, tips: Sequence[int], hidden: Sequence[int], parents: Parents) -> set[int]:
    """Return the nodes that `tips` reach along `parents` and that are no ancestors of `hidden`."""
    flags: dict[int, bool] = {}  # True: hidden
    heap: list[tuple[int, int]] = []
    waiting: set[int] = set()
    wanted = 0  # waiting nodes that are not hidden

    def push(node: int, *, hide: bool) -> None:
        nonlocal wanted
        before = flags.get(node)
        if before is None or (hide and not before):
            flags[node] = hide
            if node not in waiting:
                waiting.add(node)
                heappush(heap, (ancestry.rank(node), node))
                wanted += not hide
            else:
                wanted -= 1  # it waited as one to be shown

    for node in hidden:
        push(node, hide=True)
    for node in tips:
        push(node, hide=False)
    while heap and (wanted or heap[0][1] >= ancestry.covered):
        _, node = heappop(heap)
        waiting.discard(node)
        hide = flags[node]
        wanted -= not hide
        for parent in ancestry.parents(node) if hide else parents(node):
            push(parent, hide=hide)
    return {node for node, hide in flags.items() if not hide}


def _by_date(ancestry: Ancestry, starts: Sequence[int], parents: Parents) -> Iterator[int]:
    heap: list[tuple[int, int, int]] = []
    seen: set[int] = set()
    count = 0  # among equal times the first to be met comes first, as in git

    def push(node: int) -> None:
        nonlocal count
        if node not in seen:
            seen.add(node)
            count += 1
            heappush(heap, (-ancestry.time(node), count, node))

    for start in starts:
        push(start)
    while heap:
        node = heappop(heap)[2]
        yield node
        for parent in parents(node):
            push(parent)


def _by_lines(ancestry: Ancestry, starts: Sequence[int], parents: Parents) -> Iterator[int]:
    """Yield nodes with all children before parents, going down one line as long as possible."""
    children: defaultdict[int, int] = defaultdict(int)  # how many known children have not been shown
    heap = [(ancestry.rank(start), start) for start in starts]
    heap.sort()
    known = set(starts)
    shown: set[int] = set()

    def look_down_to(node: int) -> None:
        """Meet every child of a node, which all rank before it, and count the node for its parents."""
        bound = ancestry.rank(node)
        while heap and (heap[0][0] <= bound or heap[0][1] >= ancestry.covered):
            _, at = heappop(heap)
            for parent in parents(at):
                children[parent] += 1
                if parent not in known:
                    known.add(parent)
                    heappush(heap, (ancestry.rank(parent), parent))

    stack = sorted(starts, key=ancestry.time)
    while stack:
        node = stack.pop()
        look_down_to(node)
        if children[node] or node in shown:
            continue  # a child was met only now, and leads here again
        shown.add(node)
        yield node
        below = parents(node)
        for parent in below:
            children[parent] -= 1
            if not children[parent]:
                stack.append(parent)


def _first(parents: Parents) -> Parents:
    return lambda node: parents(node)[:1]


def _within(parents: Parents, nodes: Collection[int]) -> Parents:
    return lambda node: [parent for parent in parents(node) if parent in nodes]


def _recent(ancestry: Ancestry, parents: Parents, since: int) -> Parents:
    old: dict[int, int] = {}  # how many commits in a row are too old

    def followed(node: int) -> Sequence[int]:
        count = old.get(node, 0) + 1 if ancestry.time(node) < since else 0
        if count > _SLOP:
            return ()
        below = parents(node)
        for parent in below:
            old[parent] = min(old.get(parent, count), count)
        return below

    return followed


def _in_time(time: int, since: int | None, until: int | None) -> bool:
    return (since is None or time >= since) and (until is None or time <= until)
