"""The lines that join commits in `log --graph`: a pure function of commits and their parents, in the order shown.

Each commit has a row in which its mark stands. Rows before it make room for a merge of three and more parents, rows
after it draw the edges to its parents and let lanes move to the left, by at most one column a row, except for one lane
a row, which may run flat. The forms are those of `git log --graph`, so that what reads them reads these.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Generic, NamedTuple, TypeVar

CommitT = TypeVar("CommitT", bound=Hashable)

COLORS: Final = 6
MERGE_EDGES: Final = "/|\\"


class Cell(NamedTuple):
    """One character of a row and the colour of the lane it belongs to, None for the mark of a commit and for blanks."""

    character: str
    color: int | None = None


Row = tuple[Cell, ...]
_BLANK = Cell(" ")


class _Stage(Enum):
    PADDING = auto()
    ROOM = auto()
    COMMIT = auto()
    EDGES = auto()
    COLLAPSE = auto()


@dataclass(frozen=True, slots=True)
class _Lane(Generic[CommitT]):
    """A line that leads down to a commit."""

    commit: CommitT
    color: int


class GraphLines(Generic[CommitT]):
    """Draws one commit after the other: `begin` a commit, take `rows_to_commit`, then `next_row` for each line of text.

    When the text is done, `rest` gives the rows that are still needed before the next commit.
    """

    def __init__(self) -> None:
        self._stage = self._last_stage = _Stage.PADDING
        self._lanes: list[_Lane[CommitT]] = []
        self._next: list[_Lane[CommitT]] = []
        self._where: dict[CommitT, int] = {}
        self._mapping: list[int] = []  # screen column -> number of the lane in `_next` that runs there, or -1
        self._old_mapping: list[int] = []
        self._commit: CommitT | None = None
        self._parents: Sequence[CommitT] = ()
        self._at = self._last_at = 0  # the lane of the commit, and of the one before
        self._edges_added = self._last_edges_added = 0  # lanes that the commit adds, and those the one before added
        self._skew = 1  # 0 where the first parent of a merge is in a lane to the left of it, so that its edge is '/'
        self._room = 0
        self._width = 0
        self._color = COLORS - 1

    def begin(self, commit: CommitT, parents: Sequence[CommitT]) -> None:
        """Go on to a commit; `parents` are those that are shown, or stand for ones that are left out."""
        self._commit, self._parents = commit, parents
        self._last_at = self._at
        self._place()
        self._room = 0
        self._stage = _Stage.ROOM if self._needs_room() else _Stage.COMMIT

    def rows_to_commit(self) -> Iterator[tuple[Row, bool]]:
        """Yield rows up to the commit's own, which is the last and comes with True."""
        shown = False
        while not shown:
            shown = self._stage is _Stage.COMMIT
            yield self.next_row(), shown

    def next_row(self) -> Row:
        """Return the next row; lanes that simply go on when the commit is finished."""
        match self._stage:
            case _Stage.PADDING:
                row = [cell for lane in self._next for cell in (Cell("|", lane.color), _BLANK)]
            case _Stage.ROOM:
                row = self._room_row()
            case _Stage.COMMIT:
                row = self._commit_row()
            case _Stage.EDGES:
                row = self._edge_row()
            case _Stage.COLLAPSE:
                row = self._collapse_row()
        row += [_BLANK] * (self._width - len(row))
        return tuple(row)

    def rest(self) -> Iterator[Row]:
        """Yield the rows that are left until the lanes stand where the next commit needs them."""
        while self._stage is not _Stage.PADDING:
            yield self.next_row()

    def _go(self, stage: _Stage) -> None:
        self._last_stage, self._stage = self._stage, stage

    # Where lanes go.

    def _place(self) -> None:
        """Take the lanes that came to the last commit as those that come to this one, and find where each goes on."""
        commit, parents = self._commit, self._parents
        self._lanes, self._next, self._where = self._next, [], {}
        self._mapping = [-1] * (2 * (len(self._lanes) + len(parents)))
        self._width = 0
        self._last_edges_added, self._edges_added = self._edges_added, 0
        found = False
        for number, lane in enumerate(self._lanes):
            if lane.commit == commit:
                found = True
                self._place_commit(number, known=True)
            else:
                self._lead(lane.commit, None)
        if not found:
            self._place_commit(len(self._lanes), known=False)
        while len(self._mapping) > 1 and self._mapping[-1] < 0:
            self._mapping.pop()

    def _place_commit(self, number: int, *, known: bool) -> None:
        self._at = number
        self._skew = -1
        for parent in self._parents:
            if len(self._parents) > 1 or not known:
                self._color = (self._color + 1) % COLORS
            self._lead(parent, number)
        if not self._parents:
            self._width += 2

    def _lead(self, commit: CommitT, start: int | None) -> None:
        """Let a lane go on to a commit; `start` is the lane of the commit whose parent that is, None for others."""
        to = self._where.get(commit)
        if to is None:
            to = self._where[commit] = len(self._next)
            color = next((lane.color for lane in self._lanes if lane.commit == commit), self._color)
            self._next.append(_Lane(commit, color))
        if start is not None and len(self._parents) > 1 and self._skew == -1:
            distance = start - to
            shift = 2 * distance - 3 if distance > 1 else 1
            self._skew = 0 if distance > 0 else 1
            self._edges_added = len(self._parents) + self._skew - 2
            column = self._width + (self._skew - 1) * shift
            self._width += 2 * self._skew
        elif self._edges_added > 0 and to == self._mapping[self._width - 2]:
            column = self._width - 2  # the last lane of the merge and this one lead to the same commit: they join
            self._edges_added = -1
        else:
            column = self._width
            self._width += 2
        self._mapping[column] = to

    def _is_settled(self) -> bool:
        return all(to < 0 or to == column // 2 for column, to in enumerate(self._mapping))

    # Rows.

    def _dashes(self) -> int:
        return len(self._parents) + self._skew - 3

    def _needs_room(self) -> bool:
        return len(self._parents) >= 3 and self._at < len(self._lanes) - 1 and self._room < self._dashes() * 2

    def _room_row(self) -> list[Cell]:
        """Part the lanes to the right of a merge of many parents."""
        row: list[Cell] = []
        for number, lane in enumerate(self._lanes):
            if number == self._at:
                row += [Cell("|", lane.color), *[_BLANK] * self._room]
            elif number < self._at:
                row.append(Cell("|", lane.color))
            elif self._room == 0:
                slanted = self._last_stage is _Stage.EDGES and self._last_at < number
                row.append(Cell("\\" if slanted else "|", lane.color))
            else:
                row.append(Cell("\\", lane.color))
            row.append(_BLANK)
        self._room += 1
        if not self._needs_room():
            self._go(_Stage.COMMIT)
        return row

    def _commit_row(self) -> list[Cell]:
        row: list[Cell] = []
        for number in range(max(len(self._lanes), self._at + 1)):
            if number == self._at:
                row.append(Cell("*"))
                row += self._dashed_edges()
            else:
                row.append(Cell(self._beside_commit(number), self._lanes[number].color))
            row.append(_BLANK)
        if len(self._parents) > 1:
            self._go(_Stage.EDGES)
        else:
            self._go(_Stage.PADDING if self._is_settled() else _Stage.COLLAPSE)
        return row

    def _dashed_edges(self) -> Iterator[Cell]:
        count = self._dashes() if len(self._parents) > 2 else 0
        for number in range(count):
            column = (self._at + number + 2) * 2
            to = self._mapping[column] if column < len(self._mapping) else -1
            color = self._next[to].color if to >= 0 else None
            yield Cell("-", color)
            yield Cell("." if number == count - 1 else "-", color)

    def _beside_commit(self, number: int) -> str:
        """The form of another lane in the row of a commit, so that it joins what stands above."""
        if number > self._at and self._edges_added > 1:
            return "\\"
        if number > self._at and self._edges_added == 1:
            after_merge = self._last_stage is _Stage.EDGES and self._last_edges_added > 0 and self._last_at < number
            return "\\" if after_merge else "|"
        if self._last_stage is _Stage.COLLAPSE:
            before = self._old_mapping[2 * number + 1] if 2 * number + 1 < len(self._old_mapping) else -1
            now = self._mapping[2 * number] if 2 * number < len(self._mapping) else -1
            if before == number and now < number:
                return "/"
        return "|"

    def _edge_row(self) -> list[Cell]:
        """Draw the edges from a merge to its parents."""
        row: list[Cell] = []
        first = self._parents[0]
        first_lane: _Lane[CommitT] | None = None
        for number in range(max(len(self._lanes), self._at + 1)):
            if number == self._at:
                row += self._edges()
                continue
            lane = self._lanes[number]
            if number > self._at:
                row += [Cell("\\" if self._edges_added > 0 else "|", lane.color), _BLANK]
            else:
                row.append(Cell("|", lane.color))
                if self._skew != 0 or number != self._at - 1:
                    row.append(Cell("_", first_lane.color) if first_lane is not None else _BLANK)
            if lane.commit == first:
                first_lane = lane
        self._go(_Stage.PADDING if self._is_settled() else _Stage.COLLAPSE)
        return row

    def _edges(self) -> Iterator[Cell]:
        form = self._skew
        for number, parent in enumerate(self._parents):
            yield Cell(MERGE_EDGES[form], self._next[self._where[parent]].color)
            if form < 2:
                form += 1
            elif self._edges_added > 0 or number < len(self._parents) - 1:
                yield _BLANK
        if self._edges_added == 0:
            yield _BLANK

    def _collapse_row(self) -> list[Cell]:
        """Let lanes move to the left, towards where they have to be."""
        old = self._mapping
        new = [-1] * len(old)
        flat, flat_to = -1, -1  # the column up to which one lane runs flat in this row, and where it leads
        for column, to in enumerate(old):
            if to < 0:
                continue
            if to * 2 == column:
                new[column] = to
                continue
            left = new[column - 1]
            if left == to:
                continue  # it joins the lane beside it, which leads to the same commit
            crossing = left >= 0
            new[column - 1 - crossing] = to
            if flat == -1:
                flat, flat_to = column - crossing, to
                for between in range(to * 2 + 3, column - 2, 2):
                    new[between] = to
        self._old_mapping = list(new)
        if new[-1] < 0:
            new.pop()
        row: list[Cell] = []
        ran_flat = False
        for column, to in enumerate(new):
            if to < 0:
                row.append(_BLANK)
            elif to * 2 == column:
                row.append(Cell("|", self._next[to].color))
            elif to == flat_to and column != flat - 1:
                if column != to * 2 + 3:
                    new[column] = -1
                ran_flat = True
                row.append(Cell("_", self._next[to].color))
            else:
                if ran_flat and column < flat:
                    new[column] = -1
                row.append(Cell("/", self._next[to].color))
        self._mapping = new
        if self._is_settled():
            self._go(_Stage.PADDING)
        else:
            self._last_stage = _Stage.COLLAPSE
        return row
