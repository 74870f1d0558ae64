"""Which cells of two notebooks are the same cell, in order: an alignment of the highest total likeness.

Equal cells at both ends are taken first. What lies between is aligned by dynamic programming (Needleman and Wunsch
1970) over the likeness of each pair; very long middles are first cut at cells that are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from dsvc.contents.notebooks.model import Cell

ENOUGH = 0.4
"""How alike, of 1, two cells must be to count as versions of one."""

_TABLE = 40_000  # pairs that are compared at once


class Pair(NamedTuple):
    """Places of a cell on both sides; None where a side does not have it."""

    old: int | None
    new: int | None


def align(old: Sequence[Cell], new: Sequence[Cell]) -> list[Pair]:
    """Return all cells of both sides in order, those that belong together as one pair."""
    head = 0
    while head < min(len(old), len(new)) and _equal(old[head], new[head]):
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and _equal(old[-1 - tail], new[-1 - tail]):
        tail += 1
    pairs = [Pair(number, number) for number in range(head)]
    pairs += _middle(old, new, (head, len(old) - tail), (head, len(new) - tail))
    pairs += [Pair(len(old) - n, len(new) - n) for n in range(tail, 0, -1)]
    return pairs


def likeness(a: Cell, b: Cell) -> float:
    """Return how alike two cells are, from 0 to a little above 1; below ENOUGH they are different cells."""
    if a.source == b.source and a.kind == b.kind:
        return (1.0 if a.source else 0.5) + 0.1 * (a.id is not None and a.id == b.id) + 0.05 * (a.outputs == b.outputs)
    if a.id is not None and a.id == b.id:
        return 0.9
    most = max(len(a.tokens), len(b.tokens))
    if not most or min(len(a.tokens), len(b.tokens)) < ENOUGH * most / 2:
        return 0.0
    found = 2 * len(a.tokens & b.tokens) / (len(a.tokens) + len(b.tokens))
    return found if a.kind == b.kind else found * 0.6


def _equal(a: Cell, b: Cell) -> bool:
    return a.kind == b.kind and a.source == b.source and (a.id == b.id or a.id is None or b.id is None)


def _middle(
    old: Sequence[Cell], new: Sequence[Cell], rows: tuple[int, int], columns: tuple[int, int]
) -> Iterator[Pair]:
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    if height * width <= _TABLE:
        yield from _best(old, new, rows, columns)
        return
    keys = [[(cell.kind, cell.source) for cell in side[a:b]] for side, (a, b) in ((old, rows), (new, columns))]
    matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
    row, column = rows[0], columns[0]
    for block in matcher.get_matching_blocks():
        at, there = rows[0] + block.a, columns[0] + block.b
        yield from _gap(old, new, (row, at), (column, there))
        yield from (Pair(at + n, there + n) for n in range(block.size))
        row, column = at + block.size, there + block.size


def _gap(old: Sequence[Cell], new: Sequence[Cell], rows: tuple[int, int], columns: tuple[int, int]) -> Iterator[Pair]:
    if (rows[1] - rows[0]) * (columns[1] - columns[0]) <= _TABLE:
        yield from _best(old, new, rows, columns)
        return
    yield from (Pair(row, None) for row in range(*rows))  # nothing in common, and too much to look at each pair
    yield from (Pair(None, column) for column in range(*columns))


def _best(old: Sequence[Cell], new: Sequence[Cell], rows: tuple[int, int], columns: tuple[int, int]) -> list[Pair]:
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    like = [[likeness(old[row], new[column]) for column in range(*columns)] for row in range(*rows)]
    totals = [[0.0] * (width + 1) for _ in range(height + 1)]
    for row in range(height - 1, -1, -1):
        line, below, alike = totals[row], totals[row + 1], like[row]
        for column in range(width - 1, -1, -1):
            best = max(below[column], line[column + 1])
            score = alike[column]
            if score >= ENOUGH and score + below[column + 1] > best:
                best = score + below[column + 1]
            line[column] = best
    pairs: list[Pair] = []
    row = column = 0
    while row < height and column < width:
        score = like[row][column]
        if score >= ENOUGH and totals[row][column] == score + totals[row + 1][column + 1]:
            pairs.append(Pair(rows[0] + row, columns[0] + column))
            row, column = row + 1, column + 1
        elif totals[row + 1][column] >= totals[row][column + 1]:
            pairs.append(Pair(rows[0] + row, None))
            row += 1
        else:
            pairs.append(Pair(None, columns[0] + column))
            column += 1
    pairs += [Pair(rows[0] + n, None) for n in range(row, height)]
    pairs += [Pair(None, columns[0] + n) for n in range(column, width)]
    return pairs
