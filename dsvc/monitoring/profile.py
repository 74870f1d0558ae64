"""The profile of a table: what its columns looked like, as a reference to compare with. See docs/formats/profile.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal

from dsvc.errors import RequestError

VERSION: Final = 1
Kind = Literal["number", "category", "other"]
Type = Literal["float", "integer", "boolean", "string"]


class BadProfileError(RequestError):
    """A value that is no profile of a known version."""

    def __init__(self, what: str) -> None:
        super().__init__(f"a profile is not of its form: {what}", hint="dsvc profile PATH makes one")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `count` values are there, `missing` are not.

    Of numbers `edges` ascend and `counts`, one more, say how many lie up to and with each edge, the last how many lie
    above. Of categories `values` are the most frequent ones with their counts, and `other` is how many are of none of
    them. Counts of a sample are scaled: they add up to `count` but for rounding.
    """

    name: str
    kind: Kind
    type: Type
    count: int
    missing: int = 0
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    deviation: float | None = None
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    other: int = 0

    @property
    def shares(self) -> list[float]:
        """The share of the rows in each bin or category, then in others (of categories), then of missing values."""
        bins = list(self.counts) if self.kind == "number" else [*(n for _, n in self.values), self.other]
        bins.append(self.missing)
        total = sum(bins)
        return [n / total for n in bins] if total else [0.0 for _ in bins]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a table of `rows` rows looked like, and what a model answered to it."""

    rows: int
    columns: tuple[Column, ...]
    outputs: tuple[Column, ...] = field(default=())

    def signature(self) -> dict[str, Any]:
        """Return the signature that follows from it: each column an input."""
        found: dict[str, Any] = {"inputs": [_input(column) for column in self.columns if column.kind != "other"]}
        found["outputs"] = [{"name": column.name, "type": column.type} for column in self.outputs]
        return found


def _input(column: Column) -> dict[str, Any]:
    said: dict[str, Any] = {"name": column.name, "type": column.type}
    return {**said, "optional": True} if column.missing else said


def profile_fields(profile: Profile) -> dict[str, Any]:
    """Return a profile as plain values, as it stands in records and JSON documents."""
    fields: dict[str, Any] = {
        "profile_version": VERSION,
        "rows": profile.rows,
        "columns": [_column_fields(column) for column in profile.columns],
    }
    if profile.outputs:
        fields["outputs"] = [_column_fields(column) for column in profile.outputs]
    return fields


def _column_fields(column: Column) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "type": column.type,
        "count": column.count,
        "missing": column.missing,
    }
    if column.kind == "number":
        numbers = {"min": column.low, "max": column.high, "mean": column.mean, "std": column.deviation}
        fields |= {name: value for name, value in numbers.items() if value is not None}
        fields |= {"edges": list(column.edges), "counts": list(column.counts)}
    elif column.kind == "category":
        fields |= {"values": [list(pair) for pair in column.values], "other": column.other}
    return fields


def parse_profile(fields: object) -> Profile:
    """Return the profile that plain values describe; unknown fields are ignored.

    Raises:
        BadProfileError: when they describe none, or one of a later version.
    """
    if not isinstance(fields, Mapping):
        raise BadProfileError("it is no map")
    version = fields.get("profile_version")
    if version != VERSION:
        raise BadProfileError(f"it has the version {version!r}, and this dsvc knows {VERSION}")
    return Profile(
        rows=_integer(fields, "rows"),
        columns=_columns(fields.get("columns")),
        outputs=_columns(fields.get("outputs", ())),
    )


def _columns(listed: object) -> tuple[Column, ...]:
    if not isinstance(listed, Sequence) or isinstance(listed, (str, bytes)):
        raise BadProfileError("it lists no columns")
    found = tuple(map(_column, listed))
    if len({column.name for column in found}) != len(found):
        raise BadProfileError("two columns have one name")
    return found


def _column(fields: object) -> Column:
    match fields:
        case {"name": str(name), "kind": ("number" | "category" | "other") as kind, "type": str(kind_of_value)}:
            pass
        case _:
            raise BadProfileError("a column has no name, kind or type")
    assert isinstance(fields, Mapping)
    if kind_of_value not in ("float", "integer", "boolean", "string"):
        raise BadProfileError(f"{name!r} has the unknown type {kind_of_value!r}")
    edges = tuple(_number(each, name) for each in _list(fields, "edges"))
    counts = tuple(_count(each, name) for each in _list(fields, "counts"))
    if kind == "number" and (len(counts) != len(edges) + 1 or any(a >= b for a, b in pairwise(edges))):
        raise BadProfileError(f"the bins of {name!r} do not ascend, or have another number of counts")
    values = []
    for pair in _list(fields, "values"):
        match pair:
            case [str(text), int(number)] if not isinstance(number, bool) and number >= 0:
                values.append((text, number))
            case _:
                raise BadProfileError(f"{name!r} has a category without a count")
    return Column(
        name=name,
        kind=kind,
        type=kind_of_value,  # type: ignore[arg-type]
        count=_integer(fields, "count"),
        missing=_integer(fields, "missing"),
        low=_optional(fields, "min", name),
        high=_optional(fields, "max", name),
        mean=_optional(fields, "mean", name),
        deviation=_optional(fields, "std", name),
        edges=edges,
        counts=counts,
        values=tuple(values),
        other=_integer(fields, "other") if "other" in fields else 0,
    )


def _list(fields: Mapping[Any, Any], name: str) -> Sequence[object]:
    value = fields.get(name, ())
    if not isinstance(value, (list, tuple)):
        raise BadProfileError(f"{name!r} is no list")
    return value


def _integer(fields: Mapping[Any, Any], name: str) -> int:
    return _count(fields.get(name), name)


def _count(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadProfileError(f"{name!r} has no valid count")
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadProfileError(f"{name!r} has a number that is none")
    return float(value)


def _optional(fields: Mapping[Any, Any], key: str, name: str) -> float | None:
    return _number(fields[key], name) if fields.get(key) is not None else None
