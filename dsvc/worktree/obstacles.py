"""What stands in the way of a checkout: files and datasets whose content is not stored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from dsvc.errors import RequestError

_SHOWN = 10
FOLDER = "a folder with files that are not part of any commit"
PARENT = "a file or link stands where a folder is needed"
LAST_COPY = "its content was purged, and this may be the last copy: remove it, or move it elsewhere"
NEW = "not part of any commit"
IGNORED = "ignored, and not part of any commit"
_HINT = "commit them or put them aside with 'dsvc stash', then run the same command again"
Checked = dict[bytes, "bool | None"]  # paths that were looked at: a folder, something else, or nothing (None)


class Obstacle(NamedTuple):
    """A path that a checkout would destroy, and why it may not."""

    path: bytes
    reason: str


class InTheWayError(RequestError):
    """Files whose content is not stored stand where a checkout would write."""

    def __init__(self, obstacles: Sequence[Obstacle]) -> None:
        lines = [f"\n  {os.fsdecode(o.path)}: {o.reason}" for o in obstacles[:_SHOWN]]
        more = f"\n  and {len(obstacles) - _SHOWN} more" if len(obstacles) > _SHOWN else ""
        super().__init__(
            f"these files would be overwritten and their content is not stored:{''.join(lines)}{more}",
            hint=_hint(obstacles),
            details={"paths": [os.fsdecode(o.path) for o in obstacles]},
        )
        self.obstacles = tuple(obstacles)


def _hint(obstacles: Sequence[Obstacle]) -> str:
    """Say what makes way: of what is ignored neither a commit nor a stash takes anything."""
    ignored = sum(obstacle.reason == IGNORED for obstacle in obstacles)
    if not ignored:
        return _HINT
    if ignored == len(obstacles):
        return "move them elsewhere, for commits and stashes leave out what is ignored, then run the same command again"
    return f"move what is ignored elsewhere; as to the others, {_HINT}"


def blocking_parent(path: bytes, checked: Checked) -> bytes:
    """Return the topmost parent that is no folder and exists, or an empty path; all parents were looked at."""
    at = path.rpartition(b"/")[0]
    while (known := checked[at]) is None:
        at = at.rpartition(b"/")[0]
    return b"" if known else at
