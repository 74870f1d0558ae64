"""Statistics of what a model is asked and what it answers, and a sliding window to compare with the reference.

Rows are put aside while requests are answered, and counted together: one at a time would cost as much as the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from dsvc.monitoring.binning import Binner, category, is_missing
from dsvc.monitoring.drift import Drift, measure
from dsvc.monitoring.profile import Column, Profile

Side = Literal["input", "output"]
_TOGETHER: Final = 256  # rows that are put aside
_CLASSES: Final = 50  # different answers that are counted without a reference


@dataclass(frozen=True, slots=True)
class Watched:
    """A column that is counted: `counts` of all time in the bins of `binner`, `total` the sum of its numbers."""

    side: Side
    binner: Binner
    counts: Any
    total: float


class Monitor:
    """Counts inputs and outputs. `names` are the model's inputs in the order of a row.

    Without a profile inputs are not watched, and answers only as far as they are few different ones. It is used by one
    thread at a time.
    """

    def __init__(
        self, profile: Profile | None, names: Sequence[str], *, window: int = 1000, min_samples: int = 200
    ) -> None:
        self.window, self.min_samples = window, min_samples
        self.rows = 0
        self.answers: Counter[str] = Counter()
        columns = [column for column in (profile.columns if profile else ()) if column.kind != "other"]
        by_order = not {column.name for column in columns} & set(names) and len(columns) == len(names)
        self._places = {c.name: at if by_order else list(names).index(c.name) for at, c in enumerate(columns)
                        if by_order or c.name in names}  # fmt: skip
        self._inputs = [Counted(column, "input") for column in columns]
        outputs = [column for column in (profile.outputs if profile else ()) if column.kind != "other"]
        self._output = Counted(outputs[0], "output") if outputs else None
        self._watches = [*self._inputs, *([self._output] if self._output else [])]
        self._ring = np.zeros((window, len(self._watches)), dtype=np.uint16)
        self._matrices: list[Any] = []
        self._answers: list[Any] = []
        self._waiting = 0
        self._whole = [w for w in self._inputs if w.binner.column.name in self._places]

    def observe(self, matrix: Any, columns: Mapping[str, Any] | None, found: Any) -> None:
        """Count rows: a matrix, or columns by name, and the answers to them."""
        if matrix is None:
            self.flush()
            self._count(self._from_columns(columns or {}), _answers(found), len(found))
            return
        self._matrices.append(matrix)
        self._answers.append(_answers(found))
        self._waiting += len(matrix)
        if self._waiting >= _TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Count what was put aside."""
        if not self._waiting:
            return
        matrices, answers, count = self._matrices, self._answers, self._waiting
        self._matrices, self._answers, self._waiting = [], [], 0
        matrix = np.concatenate(matrices) if len(matrices) > 1 else matrices[0]
        whole = [each for each in answers if each is not None]
        try:
            joined = np.concatenate(whole) if whole else None
        except ValueError:
            joined = None
        self._count(matrix, joined if joined is not None and len(joined) == count else None, count)

    def _from_columns(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in columns.items() if each.ndim == 1}

    def _count(self, inputs: Any, answers: Any, count: int) -> None:
        self.rows += count
        last = min(count, self.window)
        slots = np.arange(self.rows - last, self.rows) % self.window
        for at, watch in enumerate(self._inputs):
            values = self._values(inputs, watch.binner.column.name)
            if values is None:
                found = np.full(count, watch.binner.size - 1)
                watch.counts[-1] += count
            else:
                found = watch.add(values)
            self._ring[slots, at] = found[-last:]
        if answers is None:
            if self._output is not None:
                self._ring[slots, -1] = self._output.binner.size - 1
            return
        if self._output is not None:
            self._ring[slots, -1] = self._output.add(answers)[-last:]
        elif answers.dtype.kind != "f":
            self._classes(answers)

    def _values(self, inputs: Any, name: str) -> Any:
        if isinstance(inputs, dict):
            return inputs.get(name)
        place = self._places.get(name)
        return None if place is None or place >= inputs.shape[1] else inputs[:, place]

    def _classes(self, answers: Any) -> None:
        for value, count in Counter(answers.tolist()).items():
            name = "missing" if is_missing(value) else category(value)
            self.answers[name if name in self.answers or len(self.answers) < _CLASSES else "other"] += count

    @property
    def samples(self) -> int:
        """How many rows are in the window."""
        self.flush()
        return min(self.rows, self.window)

    @property
    def watching(self) -> int:
        """How many columns are compared with a reference."""
        return len(self._watches)

    def watched(self) -> Iterator[Watched]:
        """Yield every column with its counts; what was put aside is counted first."""
        self.flush()
        for watch in self._watches:
            yield Watched(watch.side, watch.binner, watch.counts, watch.total)

    def drift(self) -> Iterator[tuple[Side, Column, Drift]]:
        """Yield how far the window is from the reference, for each column; nothing below `min_samples`."""
        self.flush()
        if self.samples < self.min_samples:
            return
        for at, watch in enumerate(self._watches):
            counts = np.bincount(self._ring[: self.samples, at], minlength=watch.binner.size)
            found = drift_of(watch.binner, counts)
            if found is not None:
                yield watch.side, watch.binner.column, found


class Counted:
    """A column and what was counted of it: how many values in each bin of `binner`, and the sum of its numbers."""

    __slots__ = ("binner", "counts", "side", "total")

    def __init__(self, column: Column, side: Side) -> None:
        self.side: Side = side
        self.binner = Binner(column)
        self.counts = np.zeros(self.binner.size, dtype=np.int64)
        self.total = 0.0

    def add(self, values: Any) -> Any:
        """Count values and return their bins."""
        found = self.binner.bins(values)
        self.counts += np.bincount(found, minlength=self.binner.size)
        if self.binner.is_number and values.dtype.kind in "fiub":
            self.total += float(np.nansum(values))
        return found


def drift_of(binner: Binner, counts: Any) -> Drift | None:
    """Return how far counts in the bins of a column are from its reference; None where that has no values."""
    reference = binner.reference
    if not sum(reference):
        return None
    return measure(reference, counts.tolist(), ordered=binner.size - 1 if binner.is_number else 0)


def _answers(found: Any) -> Any:
    """Return answers as one value a row: of several numbers a row the place of the largest; None for anything else."""
    if isinstance(found, Mapping):
        found = next(iter(found.values()), None)
    if not isinstance(found, np.ndarray) or not found.ndim:
        return None
    if found.ndim == 2 and found.shape[1] == 1:
        return found[:, 0]
    if found.ndim == 2 and found.dtype.kind == "f":
        return found.argmax(axis=1)
    return found if found.ndim == 1 else None
