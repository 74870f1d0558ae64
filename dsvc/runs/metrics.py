"""Metrics that a command leaves in files: JSON, YAML and TOML as names and values, CSV and TSV as series."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dsvc.objects.codec import Value
from dsvc.runs.params import BadParamsError, parse_value, read_params_file
from dsvc.runs.values import clean_name

STEPS: Final = ("step", "epoch", "iteration")  # names of columns that count
_ROWS = 1_000_000
_TABLES = {".csv": ",", ".tsv": "\t"}


def is_table(path: Path) -> bool:
    """Say whether the rows of a file are points of series."""
    return path.suffix.lower() in _TABLES


def read_metrics(path: Path) -> dict[str, Value]:
    """Return names and values of a file.

    Raises:
        BadParamsError: when it cannot be read or holds none.
    """
    return read_params_file(path)


def read_points(path: Path) -> Iterator[tuple[int, dict[str, Value]]]:
    """Yield step and values of each row: those that are numbers. The step is that of a column of such a name.

    Raises:
        BadParamsError: when it cannot be read.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.DictReader(file, delimiter=_TABLES[path.suffix.lower()])):
                if number == _ROWS:
                    raise BadParamsError(f"{path.name} has more than {_ROWS:,} rows; the rest is left out")
                values = {clean_name(name): parse_value(text) for name, text in row.items() if name and text}
                step = next((values.pop(name) for name in STEPS if name in values), number)
                numbers = {name: v for name, v in values.items() if _is_number(v)}
                if numbers:
                    yield int(step) if isinstance(step, (int, float)) and math.isfinite(step) else number, numbers
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadParamsError(f"{path.name} cannot be read for metrics: {error}") from error


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
