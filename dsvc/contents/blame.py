"""Which commit each line of a text comes from, found by handing unchanged lines from commits to their parents.

As in `git blame` without a search for copies: a commit keeps the lines that none of its parents has in the
same place of the diff. The walk through history is the caller's, so this works on any kind of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from dsvc.contents.text_diff import LineRange, changed_ranges

CommitT = TypeVar("CommitT", bound=Hashable)


class LineOrigin(NamedTuple, Generic[CommitT]):
    """A line of the final text: the commit that it comes from, and its number (from 1) in that commit's text."""

    commit: CommitT
    number: int


class _Lines(NamedTuple):
    """A run of the final text's lines, and where it stands in some commit's text; both count from 0."""

    final: int
    here: int
    size: int


@dataclass(slots=True)
class _Suspect:
    text: bytes
    lines: list[_Lines]


class LineOrigins(Generic[CommitT]):
    """The search for the origin of each line of one text.

    Begins with all lines at the commit that has the final text. `waiting` names the commits that hold lines;
    the caller takes one, each after all of its children that are to be walked, and calls `pass_to_parents`,
    until none waits. What it holds of texts is dropped as soon as a commit is done.
    """

    def __init__(self, commit: CommitT, text: bytes) -> None:
        count = text.count(b"\n") + (bool(text) and not text.endswith(b"\n"))
        self._origins: list[LineOrigin[CommitT] | None] = [None] * count
        self._suspects: dict[CommitT, _Suspect] = {}
        if count:
            self._suspects[commit] = _Suspect(text, [_Lines(0, 0, count)])

    @property
    def waiting(self) -> tuple[CommitT, ...]:
        """The commits that hold lines which may come from their parents, in the order in which they got them."""
        return tuple(self._suspects)

    def text(self, commit: CommitT) -> bytes:
        """Return the text of a waiting commit, for a caller that looks for it under another name in a parent."""
        return self._suspects[commit].text

    def pass_to_parents(self, commit: CommitT, parents: Sequence[tuple[CommitT, bytes]]) -> None:
        """Hand the lines of `commit` that its parents have on to them; the others come from `commit`.

        `parents` are those that have the file, in the commit's order, with their text; none makes the commit
        the origin of all its lines. A parent with the same text takes all. Each line goes to the first
        parent that has it. A commit without lines is passed over.
        """
        suspect = self._suspects.pop(commit, None)
        if suspect is None:
            return
        for parent, text in parents:
            if text == suspect.text:
                self._give(parent, text, suspect.lines)
                return
        left = suspect.lines
        for parent, text in parents:
            if not left:
                return
            passed, left = _split(left, changed_ranges(text, suspect.text))
            self._give(parent, text, passed)
        for lines in left:
            for offset in range(lines.size):
                self._origins[lines.final + offset] = LineOrigin(commit, lines.here + offset + 1)

    def origins(self) -> tuple[LineOrigin[CommitT], ...]:
        """Return where each line comes from, in order; lines that still wait count for the commit they are at."""
        found = list(self._origins)
        for commit, suspect in self._suspects.items():
            for lines in suspect.lines:
                for offset in range(lines.size):
                    found[lines.final + offset] = LineOrigin(commit, lines.here + offset + 1)
        return tuple(origin for origin in found if origin is not None)

    def _give(self, parent: CommitT, text: bytes, lines: list[_Lines]) -> None:
        if not lines:
            return
        known = self._suspects.setdefault(parent, _Suspect(text, []))
        known.lines = _joined(sorted([*known.lines, *lines], key=lambda run: run.here))


def blame(
    commit: CommitT, text: bytes, parents: Callable[[CommitT, bytes], Sequence[tuple[CommitT, bytes]]]
) -> tuple[LineOrigin[CommitT], ...]:
    """Return where each line of `text`, as it stands in `commit`, comes from.

    `parents` tells a commit's parents that have the file, with their text; it is given the commit and its
    text. Commits are taken in the order in which lines reach them: right for any history, but where branches
    of different length meet a commit may be asked for more than once. Use LineOrigins to walk in a better order.
    """
    search = LineOrigins(commit, text)
    while waiting := search.waiting:
        search.pass_to_parents(waiting[0], parents(waiting[0], search.text(waiting[0])))
    return search.origins()


def _joined(runs: list[_Lines]) -> list[_Lines]:
    """Make one of runs that a later change had parted, so that a long history does not leave single lines."""
    joined: list[_Lines] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last is not None and (last.final + last.size, last.here + last.size) == (run.final, run.here):
            joined[-1] = _Lines(last.final, last.here, last.size + run.size)
        else:
            joined.append(run)
    return joined


def _split(runs: list[_Lines], changes: list[LineRange]) -> tuple[list[_Lines], list[_Lines]]:
    """Part runs of lines into those that the old side has too, moved to their place there, and the others.

    `changes` lie between the old text and the new one. Runs may overlap: where branches meet, two lines of the
    final text can have come to the same line.
    """
    ends = [change.new_start + change.new_lines for change in changes]
    passed: list[_Lines] = []
    kept: list[_Lines] = []
    for run in runs:
        final, here, length = run
        end = here + length
        at = bisect_right(ends, here)  # the first change that does not end before the run
        while here < end:
            if at < len(changes) and changes[at].new_start <= here:
                size = min(end, ends[at]) - here
                kept.append(_Lines(final, here, size))
            else:
                before = changes[at - 1] if at else LineRange(0, 0, 0, 0)
                shift = before.old_start + before.old_lines - before.new_start - before.new_lines
                size = (min(end, changes[at].new_start) if at < len(changes) else end) - here
                passed.append(_Lines(final, here + shift, size))
            final += size
            here += size
            while at < len(changes) and ends[at] <= here:
                at += 1
    return passed, kept
