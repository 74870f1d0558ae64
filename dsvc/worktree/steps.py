"""What a checkout does, step by step, once it is decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dsvc.objects.ids import TreeId
from dsvc.objects.tree import Entry
from dsvc.worktree.obstacles import Obstacle

LeavesOut = Callable[[bytes, Entry], bool]


@dataclass(slots=True)
class Plan:
    """What a checkout from one tree to another does to the working copy.

    `writes` are (path, entry) of files, links and empty directories; `removals` are paths of files; `settled` are paths
    that have the wanted content already, with their signatures (None: gone); `folders` may be empty afterwards and go
    then. `leaving` are folders that are no dataset any more, `datasets` those that come to a snapshot, and `not_here`
    those whose snapshot this machine has not. Of `left_out` (path -> file
    id), whose content was purged, only what is in `removals` goes.
    """

    base: TreeId
    target: TreeId
    writes: list[tuple[bytes, Entry]] = field(default_factory=list)
    removals: list[bytes] = field(default_factory=list)
    settled: dict[bytes, bytes | None] = field(default_factory=dict)
    folders: set[bytes] = field(default_factory=set)
    seen: dict[bytes, bytes] = field(default_factory=dict)
    obstacles: list[Obstacle] = field(default_factory=list)
    leaving: list[bytes] = field(default_factory=list)
    datasets: list[tuple[bytes, Entry]] = field(default_factory=list)
    not_here: list[bytes] = field(default_factory=list)
    left_out: dict[bytes, bytes] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """Say whether nothing on disk changes."""
        return not (self.writes or self.removals or self.folders or self.leaving or self.datasets)
