"""Three-way merge of notebooks. The result is a notebook again, also where conflicts are left in it.

Sources are merged by lines, with markers inside of the cell. Outputs belong to the source that printed them: where the
merged source is that of one side its outputs are taken, and where it is that of neither and somebody ran the cell again
they are dropped. Counters and what editors note (such as `collapsed`) never conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dsvc.contents.driver import MergeLabels, UnfitError
from dsvc.contents.keyed import ABSENT, KeyMerge
from dsvc.contents.notebooks.match import align
from dsvc.contents.notebooks.model import Cell, Json, Notebook, settle_ids, with_cells, with_source, write
from dsvc.contents.notebooks.outputs import content_of
from dsvc.contents.sizes import counted
from dsvc.contents.text_merge import TextMergeFailedError, merge

_UNIMPORTANT = ("language_info", "kernelspec", "collapsed", "scrolled", "execution", "ExecuteTime", "signature")


@dataclass(slots=True)
class Merged:
    """The bytes of the merged notebook, the conflicts left in it, and notes."""

    content: bytes
    conflicts: int
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Work:
    labels: MergeLabels
    cells: list[Json] = field(default_factory=list)
    conflicts: int = 0
    notes: list[str] = field(default_factory=list)
    dropped: int = 0
    both_added: bool = False

    def conflict(self, text: str) -> None:
        self.conflicts += 1
        self.notes.append(text)


def merge_notebooks(base: Notebook | None, ours: Notebook, theirs: Notebook, labels: MergeLabels) -> Merged:
    """Merge two notebooks over the one they come from.

    Raises:
        UnfitError: for versions of the format that name things otherwise.
    """
    if len({side.major for side in (base, ours, theirs) if side is not None}) > 1:
        raise UnfitError("the sides are of different major versions of the format")
    work = _Work(labels)
    old: Sequence[Cell] = base.cells if base is not None else ()
    _merge_cells(old, ours.cells, theirs.cells, work)
    raw = _merge_rest(base, ours, theirs, work)
    minor = max(side.minor for side in (ours, theirs))
    if "nbformat_minor" in raw:
        raw["nbformat_minor"] = minor
    cells = work.cells
    if ours.major == 4:
        cells = settle_ids([_proper(cell) for cell in cells], wanted=minor >= 5)
    if work.dropped:
        work.notes.append(f"outputs of {counted(work.dropped, 'cell')} were dropped: nobody ran the merged source yet")
    if work.both_added:
        work.notes.append("both sides added cells in one place: ours stand first")
    return Merged(write(with_cells(raw, ours.major, cells), ours.form), work.conflicts, tuple(work.notes))


def _merge_cells(base: Sequence[Cell], ours: Sequence[Cell], theirs: Sequence[Cell], work: _Work) -> None:
    ours_at, ours_added = _by_base(base, ours)
    theirs_at, theirs_added = _by_base(base, theirs)
    for place in range(len(base) + 1):
        _insert(ours_added[place], theirs_added[place], work)
        if place == len(base):
            break
        a, b = ours_at[place], theirs_at[place]
        if a is not None and b is not None:
            work.cells.append(_merge_cell(base[place], a, b, work))
        elif a is not None or b is not None:
            _removed(base[place], a, b, work)


def _by_base(base: Sequence[Cell], side: Sequence[Cell]) -> tuple[list[Cell | None], list[list[Cell]]]:
    """Return what became of each cell of the base, and what was added before each of them and at the end."""
    at: list[Cell | None] = [None] * len(base)
    added: list[list[Cell]] = [[] for _ in range(len(base) + 1)]
    place = 0
    for old, new in align(base, side):
        if old is not None:
            at[old] = side[new] if new is not None else None
            place = old + 1
        elif new is not None:
            added[place].append(side[new])
    return at, added


def _insert(ours: list[Cell], theirs: list[Cell], work: _Work) -> None:
    if not ours or not theirs:
        work.cells += [cell.raw for cell in (*ours, *theirs)]
        return
    pending: list[Cell] = []
    for a, b in align(ours, theirs):
        if b is None:
            assert a is not None
            work.cells.append(ours[a].raw)
            work.both_added = work.both_added or bool(theirs)
        elif a is None:
            pending.append(theirs[b])
            continue
        else:
            work.cells += [cell.raw for cell in pending]
            pending = []
            work.cells.append(_merge_cell(None, ours[a], theirs[b], work))
    work.both_added = work.both_added or bool(pending)
    work.cells += [cell.raw for cell in pending]


def _removed(base: Cell, ours: Cell | None, theirs: Cell | None, work: _Work) -> None:
    """Take a removal, or mark what the other side did to the source meanwhile."""
    kept = ours or theirs
    assert kept is not None
    if (kept.source, kept.kind) == (base.source, base.kind):
        return
    favor = work.labels.favor
    if favor is not None:
        side = {"ours": ours, "theirs": theirs, "base": base}[favor]
        if side is not None:
            work.cells.append(side.raw)
        return
    sides = [side.source if side is not None else "" for side in (ours, theirs)]
    source, _ = _merge_text(base.source, sides[0], sides[1], work.labels)
    work.cells.append(with_source(kept.raw, kept.source_key, source))
    who = ("ours", "theirs") if ours is None else ("theirs", "ours")
    work.conflict(f"cell {len(work.cells)}: removed by {who[0]}, changed by {who[1]}")


def _merge_cell(base: Cell | None, ours: Cell, theirs: Cell, work: _Work) -> Json:
    number = len(work.cells) + 1
    kind, text, key = ours.kind, ours.source, ours.source_key
    if ours.kind != theirs.kind and base is not None and base.kind == ours.kind:
        kind, key = theirs.kind, theirs.source_key
    text, conflicts = _merge_text(base.source if base is not None else "", ours.source, theirs.source, work.labels)
    for _ in range(bool(conflicts)):
        work.conflict(f"{kind} cell {number}: source")
    outputs = _merge_outputs(base, ours, theirs, text, work) if kind == "code" else None

    def settle(name: str, old: Any, mine: Any, other: Any) -> Any:
        return _settled(name, (old, mine, other), work, f"cell {number}: {name}")

    fields = KeyMerge(settle)
    named = {"outputs", ours.counter_key, "id", "cell_type", ours.source_key, theirs.source_key}
    rest = [{k: v for k, v in c.raw.items() if k not in named} if c is not None else {} for c in (base, ours, theirs)]
    merged = fields.merge(rest[0], rest[1], rest[2])
    shape = (ours if key == ours.source_key else theirs).raw
    raw: Json = {k: merged.get(k, v) for k, v in shape.items() if k in named or k in merged}
    raw |= {k: v for k, v in merged.items() if k not in raw}
    raw = {**with_source(raw | {key: shape.get(key, [])}, key, text), "cell_type": kind}
    for side in (base, theirs, ours):
        if side is not None and side.id is not None:
            raw["id"] = side.id
    if outputs is not None:
        written = zip(("outputs", ours.counter_key), outputs, strict=True)
        raw |= {name: value for name, value in written if name in ours.raw or name in theirs.raw}
    return raw


def _merge_outputs(base: Cell | None, ours: Cell, theirs: Cell, source: str, work: _Work) -> tuple[list[Json], Any]:
    """Return outputs and counter for a merged source."""
    shown = [[content_of(o) for o in side.outputs] if side is not None else None for side in (base, ours, theirs)]
    if shown[1] == shown[2]:
        return ours.outputs, _merge_counter(base, ours, theirs)
    if source == ours.source == theirs.source:
        chosen = theirs if shown[0] == shown[1] else ours
        return chosen.outputs, chosen.counter
    if source == theirs.source:
        return theirs.outputs, theirs.counter
    if source == ours.source:
        return ours.outputs, ours.counter
    work.dropped += 1
    return [], None


def _merge_counter(base: Cell | None, ours: Cell, theirs: Cell) -> Any:
    return theirs.counter if base is not None and ours.counter == base.counter else ours.counter


def _merge_text(base: str, ours: str, theirs: str, labels: MergeLabels) -> tuple[str, int]:
    if theirs in (ours, base):
        return ours, 0
    if ours == base:
        return theirs, 0
    if labels.favor == "base":
        return base, 0
    ended = [text + "\n" if text and not text.endswith("\n") else text for text in (base, ours, theirs)]
    try:
        merged = merge(
            *(text.encode("utf-8", "surrogatepass") for text in ended),
            base_label=labels.base,
            ours_label=labels.ours,
            theirs_label=labels.theirs,
            style="diff3" if labels.show_base else "merge",
            favor=labels.favor,
        )
    except TextMergeFailedError as error:
        raise UnfitError(str(error)) from error
    text = merged.content.decode("utf-8", "surrogatepass")
    # Sources seldom end in a line end; that of the side which changed it counts.
    open_end = not (theirs if ours.endswith("\n") == base.endswith("\n") else ours).endswith("\n")
    return text.removesuffix("\n") if open_end else text, merged.conflicts


def _merge_rest(base: Notebook | None, ours: Notebook, theirs: Notebook, work: _Work) -> Json:
    """Merge what is said of the whole notebook."""
    left_out = ("cells", "worksheets", "nbformat", "nbformat_minor")

    def rest(side: Notebook | None) -> Json:
        return {key: value for key, value in side.raw.items() if key not in left_out} if side is not None else {}

    def settle(name: str, old: Any, mine: Any, other: Any) -> Any:
        return _settled(name, (old, mine, other), work, f"notebook: {name}")

    merged = KeyMerge(settle).merge(rest(base), rest(ours), rest(theirs))
    shape = {key: merged.get(key, value) for key, value in ours.raw.items() if key in left_out or key in merged}
    return shape | {key: value for key, value in merged.items() if key not in shape}


def _settled(name: str, sides: tuple[Any, Any, Any], work: _Work, text: str) -> Any:
    old, mine, other = sides
    favor = work.labels.favor
    if favor is not None:
        return {"ours": mine, "theirs": other, "base": old}[favor]
    if any(part in _UNIMPORTANT for part in name.replace("[", ".").split(".")):
        if mine is ABSENT:
            return other
        if "language_info" not in name:
            work.notes.append(f"{text} is ours")
        return mine
    work.conflict(f"{text}: ours is kept")
    return mine if mine is not ABSENT else other


def _proper(cell: Json) -> Json:
    """Return a cell with the fields that its type must have, and without those that it must not have (format 4)."""
    if cell["cell_type"] != "code":
        return {key: value for key, value in cell.items() if key not in ("outputs", "execution_count")}
    cell = {key: value for key, value in cell.items() if key != "attachments"}
    return {**cell, "outputs": cell.get("outputs", []), "execution_count": cell.get("execution_count")}


