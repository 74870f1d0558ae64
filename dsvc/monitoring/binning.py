"""Put values into the bins of a profile's column."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsvc.monitoring.profile import Column


class Binner:
    """Finds the bin of each value: those of the column, then others (of categories), then missing."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self._edges = np.array(column.edges)
        self._known = {text: at for at, (text, _) in enumerate(column.values)}
        self.is_number = column.kind == "number"
        self.size = len(column.counts) + 1 if self.is_number else len(self._known) + 2

    @property
    def reference(self) -> list[float]:
        """The counts of the reference in these bins."""
        column = self.column
        if self.is_number:
            scale = column.count / (sum(column.counts) or 1)
            return [*(n * scale for n in column.counts), float(column.missing)]
        return [*(float(n) for _, n in column.values), float(column.other), float(column.missing)]

    @property
    def labels(self) -> list[str]:
        """Names of the categories, with that of the others."""
        return [*self._known, "other"]

    def bins(self, values: Any) -> Any:
        """Return the bin of each value of a one-dimensional array."""
        if self.is_number:
            numbers = values if values.dtype.kind == "f" else _numbers(values)
            found = np.searchsorted(self._edges, numbers, side="left")
            missing = np.isnan(numbers)
            if missing.any():
                found[missing] = self.size - 1
            return found
        known, other, missing_bin = self._known, self.size - 2, self.size - 1
        return np.fromiter(
            (missing_bin if is_missing(v) else known.get(category(v), other) for v in values.tolist()),
            dtype=np.intp,
            count=len(values),
        )


def is_missing(value: object) -> bool:
    """Say whether a value is none, or no number."""
    return value is None or value != value  # noqa: PLR0124 - only NaN differs from itself


def category(value: object) -> str:
    """Return the text of a category; 1.0 and 1 are one."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _numbers(values: Any) -> Any:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([_number(value) for value in values.tolist()])


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
