"""Compare a whole table with a profile: for models that answer a file at a time, and have no window that slides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsvc.errors import RequestError
from dsvc.monitoring.drift import Drift
from dsvc.monitoring.monitor import Counted, Side, drift_of
from dsvc.monitoring.profile import Column, Profile
from dsvc.monitoring.tables import MissingColumnError, read_pieces

_NAMED = 10  # columns that an error names


class TooFewRowsError(RequestError):
    """A table that is too small to tell drift."""


@dataclass(frozen=True, slots=True)
class CheckedColumn:
    """A column of the profile, how far the table is from it, and the shares of missing values there and here."""

    side: Side
    column: Column
    drift: Drift
    missing: float
    missing_before: float


def check_file(
    profile: Profile, path: Path, *, header: bool = True, min_samples: int
) -> tuple[int, list[CheckedColumn]]:
    """Return how many rows a file in CSV or Parquet has, and how far its columns are from the profile.

    All inputs of the profile must be there; what the model answered is compared where the table has it.

    Raises:
        MissingColumnError. TooFewRowsError: below `min_samples`. NoTableError. OSError.
    """
    # What was text in training stays text, such as codes that happen to be all digits in this file.
    texts = {column.name for column in (*profile.columns, *profile.outputs) if column.type == "string"}
    rows, counted = _count(profile, read_pieces(path, header=header, texts=texts))
    if rows < min_samples:
        raise TooFewRowsError(
            f"{path} has {rows:,} rows, and drift is told of {min_samples:,} at least",
            hint="--min-samples N asks for fewer; with few rows chance alone looks like drift",
        )
    found = []
    for each in counted:
        drift, column = drift_of(each.binner, each.counts), each.binner.column
        if drift is not None:
            before = column.missing / (column.count + column.missing)
            found.append(CheckedColumn(each.side, column, drift, float(each.counts[-1]) / rows, before))
    return rows, found


def _count(profile: Profile, pieces: Iterable[Mapping[str, Any]]) -> tuple[int, list[Counted]]:
    inputs = [Counted(column, "input") for column in profile.columns if column.kind != "other"]
    outputs = [Counted(column, "output") for column in profile.outputs if column.kind != "other"]
    rows, watched = 0, [*inputs, *outputs]
    for piece in pieces:
        if not rows:
            lacking = [each.binner.column.name for each in inputs if each.binner.column.name not in piece]
            if lacking:
                more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
                raise MissingColumnError(
                    f"the table has no column {', '.join(map(repr, lacking[:_NAMED]))}{more}, which the model has",
                    hint=f"it has {', '.join(list(piece)[:_NAMED])}",
                )
            watched = [*inputs, *(each for each in outputs if each.binner.column.name in piece)]
        for each in watched:
            each.add(piece[each.binner.column.name])
        rows += len(next(iter(piece.values())))
    return rows, watched
