"""Make the profile of a table that arrives in pieces, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dsvc.errors import RequestError
from dsvc.monitoring.binning import category, is_missing
from dsvc.monitoring.profile import Column, Kind, Profile, Type

MOST_COLUMNS: Final = 2000
_SAMPLE: Final = 65_536  # rows
_CELLS: Final = 1 << 22  # numbers in the sample, 32 MB
_DISTINCT: Final = 10_000  # categories of one column that are counted
_SHOWN: Final = 20  # categories that stand in the profile
_LABELS: Final = 50  # different integers that are taken for classes, of outputs
_DECILES: Final = tuple(n / 10 for n in range(1, 10))
_SEED: Final = 20_260_131


class TooManyColumnsError(RequestError):
    """A table that has more columns than a profile."""


class NoTableError(RequestError):
    """A value or a file that is no table."""


class Profiler:
    """Takes pieces of a table, each a map of names to columns; all have the same names.

    `labels` says that whole numbers are classes where there are few of them.
    """

    def __init__(self, *, labels: bool = False) -> None:
        self._labels = labels
        self._rows = 0
        self._columns: dict[str, _Numbers | _Texts | _Unknown] = {}
        self._sample: _Sample | None = None

    def add(self, piece: Mapping[str, Any]) -> None:
        """Take the next rows.

        Raises:
            TooManyColumnsError. NoTableError: when the columns are others than before, or of different lengths.
        """
        if not self._columns:
            self._begin(piece)
        if list(piece) != list(self._columns):
            raise NoTableError("the pieces of a table have different columns")
        lengths = {len(values) for values in piece.values()}
        if len(lengths) != 1:
            raise NoTableError("the columns of a table have different lengths")
        count = lengths.pop()
        numbers = []
        for name, values in piece.items():
            known = self._columns[name]
            if isinstance(known, _Unknown):
                known = self._columns[name] = known.learn(values, labels=self._labels)
            if isinstance(known, (_Numbers, _Texts)):
                known.add(values)
            numbers.append(known.last if isinstance(known, _Numbers) else np.full(count, np.nan))
        if self._sample is not None:
            self._sample.add(np.column_stack(numbers))
        self._rows += count

    def _begin(self, piece: Mapping[str, Any]) -> None:
        if not piece:
            raise NoTableError("a table has no columns")
        if len(piece) > MOST_COLUMNS:
            raise TooManyColumnsError(
                f"a table has {len(piece)} columns, a profile at most {MOST_COLUMNS}", hint="profile some of them"
            )
        self._columns = {name: _Unknown() for name in piece}
        self._sample = _Sample(min(_SAMPLE, _CELLS // len(piece)), len(piece))

    def columns(self) -> tuple[Column, ...]:
        """Return what the columns looked like."""
        found = []
        for at, (name, column) in enumerate(self._columns.items()):
            if isinstance(column, _Unknown):
                found.append(Column(name, "other", "string", 0, column.missing))
            elif isinstance(column, _Texts):
                found.append(column.column(name))
            else:
                assert self._sample is not None
                found.append(column.column(name, self._sample.rows[:, at]))
        return tuple(found)

    def finish(self) -> Profile:
        """Return the profile of all rows."""
        return Profile(self._rows, self.columns())


class _Sample:
    """Rows that are drawn with the same chance each: those whose random keys are the smallest."""

    def __init__(self, most: int, width: int) -> None:
        self._most = most
        self._random = np.random.default_rng(_SEED)
        self._keys = np.empty(0)
        self.rows = np.empty((0, width))

    def add(self, rows: Any) -> None:
        keys = self._random.random(len(rows))
        if len(self._keys) == self._most:
            few = keys < self._keys.max()
            keys, rows = keys[few], rows[few]
        self._keys = np.concatenate([self._keys, keys])
        self.rows = np.concatenate([self.rows, rows])
        if len(self._keys) > self._most:
            kept = np.argpartition(self._keys, self._most)[: self._most]
            kept.sort()
            self._keys, self.rows = self._keys[kept], self.rows[kept]


class _Unknown:
    """A column of which every value was missing so far."""

    missing = 0

    def learn(self, values: Any, *, labels: bool) -> _Numbers | _Texts | _Unknown:
        kind, type_of = _kind(values)
        if kind == "other":
            self.missing += len(values)
            return self
        as_labels = labels and type_of in ("integer", "boolean") and len(set(values.tolist())) <= _LABELS
        found: _Numbers | _Texts = _Texts(type_of) if kind == "category" or as_labels else _Numbers(type_of)
        found.missing = self.missing
        return found


class _Numbers:
    """Moments of a column of numbers; Chan, Golub and LeVeque 1979 for adding those of a piece."""

    def __init__(self, type_of: Type) -> None:
        self.missing = 0
        self.last: Any = None
        self._type: Type = type_of
        self._count = self._finite = 0
        self._mean = self._squares = 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, values: Any) -> None:
        numbers = _floats(values)
        self.last = numbers
        there = numbers[~np.isnan(numbers)]
        self.missing += len(numbers) - len(there)
        self._count += len(there)
        if self._type == "integer" and values.dtype.kind == "f" and (there != np.floor(there)).any():
            self._type = "float"
        finite = there[np.isfinite(there)]
        if not len(finite):
            return
        with np.errstate(over="ignore", invalid="ignore"):  # near the largest numbers there is no mean
            count, mean = len(finite), float(finite.mean())
            squares = float(((finite - mean) ** 2).sum())
        total, apart = self._finite + count, mean - self._mean
        self._mean += apart * count / total
        self._squares += squares + apart * apart * self._finite * count / total
        self._finite = total
        self._low, self._high = min(self._low, float(finite.min())), max(self._high, float(finite.max()))

    def column(self, name: str, sample: Any) -> Column:
        sample = sample[~np.isnan(sample)]
        finite = sample[np.isfinite(sample)]
        if not len(finite):
            return Column(name, "other", self._type, self._count, self.missing)
        edges = np.unique(np.quantile(finite, _DECILES, method="inverted_cdf"))
        bins = np.bincount(np.searchsorted(edges, sample, side="left"), minlength=len(edges) + 1)
        counts = np.rint(bins * (self._count / len(sample))).astype(int)
        return Column(
            name,
            "number",
            self._type,
            self._count,
            self.missing,
            low=self._low,
            high=self._high,
            mean=self._mean if math.isfinite(self._mean) else None,
            deviation=math.sqrt(self._squares / self._finite) if math.isfinite(self._squares) else None,
            edges=tuple(map(float, edges)),
            counts=tuple(map(int, counts)),
        )


class _Texts:
    """Counts of categories."""

    def __init__(self, type_of: Type) -> None:
        self.missing = 0
        self._type: Type = type_of
        self._counts: Counter[str] = Counter()
        self._other = 0

    def add(self, values: Any) -> None:
        for value, count in Counter(values.tolist()).items():
            if is_missing(value):
                self.missing += count
                continue
            text = category(value)[:200]
            if text in self._counts or len(self._counts) < _DISTINCT:
                self._counts[text] += count
            else:
                self._other += count

    def column(self, name: str) -> Column:
        ordered = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        shown, rest = tuple(ordered[:_SHOWN]), sum(count for _, count in ordered[_SHOWN:])
        total = sum(self._counts.values()) + self._other
        return Column(name, "category", self._type, total, self.missing, values=shown, other=rest + self._other)


def _kind(values: Any) -> tuple[Kind, Type]:
    """Say what a column holds, by the values that are there; `other` where none is."""
    letter = values.dtype.kind
    if letter == "b":
        return "number", "boolean"
    if letter in "iu":
        return "number", "integer"
    if letter == "f":
        return "number", "float"
    if letter in "US":
        return "category", "string"
    there = next((value for value in values.tolist() if not is_missing(value)), None)
    if there is None:
        return "other", "string"
    if isinstance(there, bool):
        return "number", "boolean"
    if isinstance(there, int):
        return "number", "integer"
    return ("number", "float") if isinstance(there, float) or hasattr(there, "as_tuple") else ("category", "string")


def _floats(values: Any) -> Any:
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    return np.array([_float(value) for value in values.tolist()])


def _float(value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
