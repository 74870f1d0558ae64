"""The name of a commit by the nearest tag: `v1.2-14-g3f9c2a1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from dsvc.history.ancestry import Ancestry
from dsvc.history.walk import between
from dsvc.objects.ids import CommitId

CANDIDATES = 10


@dataclass(frozen=True, slots=True)
class Description:
    """The tag nearest to a commit and how many commits the commit has that the tagged one has not."""

    tag: str
    tagged: CommitId
    depth: int

    def text(self, commit_id: CommitId, *, digits: int = 10, long: bool = False) -> str:
        """Return what people read; a commit that is tagged itself is named by the tag alone unless `long`."""
        if not self.depth and not long:
            return self.tag
        return f"{self.tag}-{self.depth}-g{commit_id.hex()[:digits]}"


def describe(
    ancestry: Ancestry,
    commit_id: CommitId,
    tags: Mapping[CommitId, str],
    *,
    first_parent: bool = False,
    candidates: int = CANDIDATES,
) -> Description | None:
    """Return the description of a commit by `tags` (commit to the name to use for it), None where no tag is below.

    Of the first `candidates` tags that a walk by commit time meets, the one wins of which fewest commits are missing.
    """
    def parents(node: int) -> Sequence[int]:
        below = ancestry.parents(node)
        return below[:1] if first_parent else below

    start = ancestry.node(commit_id)
    heap = [(-ancestry.time(start), start)]
    seen = {start}
    found: list[int] = []
    while heap and len(found) < candidates:
        _, node = heappop(heap)
        if ancestry.id(node) in tags:
            found.append(node)
            if node == start:
                break
        for parent in parents(node):
            if parent not in seen:
                seen.add(parent)
                heappush(heap, (-ancestry.time(parent), parent))
    best: Description | None = None
    for node in found:
        depth = len(between(ancestry, [start], [node], parents))
        if best is None or depth < best.depth:
            tagged = ancestry.id(node)
            best = Description(tags[tagged], tagged, depth)
    return best
