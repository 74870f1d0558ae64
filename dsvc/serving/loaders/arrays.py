"""Rows of a request in the forms that libraries take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsvc.serving.predictor import Rows
from dsvc.serving.refusals import Refusal
from dsvc.serving.signature import Field, Signature, Type, numbered


class TensorModel:
    """What models have in common that are asked through `predict` only."""

    takes_query = False

    def answer(self, query: Mapping[str, Any]) -> Any:
        """Never called: bodies are read by the server."""
        raise NotImplementedError


class RowLimits(NamedTuple):
    """How many rows a model takes at once; `most` is None where there is no limit."""

    fewest: int = 0
    most: int | None = None

    def __str__(self) -> str:
        if self.fewest == self.most:
            return str(self.most)
        if self.most is None:
            return f"{self.fewest} or more"
        return f"{self.fewest} to {self.most}"


def in_parts(ask: Callable[[Rows], Any], rows: Rows, limits: RowLimits) -> Any:
    """Ask a model in parts of as many rows as it takes, about alike in size, and return what it says to all of them.

    Raises Refusal where the rows cannot be shared out so.
    """
    count = rows.count
    parts = -(-count // max(limits.most, 1)) if limits.most is not None and count else 1
    if count // parts < limits.fewest:
        raise Refusal(f"the model takes {limits} rows at once, as it was exported: {count} cannot be shared out")
    if parts == 1:
        return ask(rows)
    found = []
    for at in range(parts):
        part = slice(count * at // parts, count * (at + 1) // parts)
        matrix = rows.matrix[part] if rows.matrix is not None else None
        columns = {name: each[part] for name, each in rows.columns.items()} if rows.columns is not None else None
        found.append(ask(Rows(part.stop - part.start, matrix, columns)))
    if isinstance(found[0], dict):
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    return np.concatenate(found)


class Tensor(NamedTuple):
    """An input as a model declares it; -1 in `shape` is any length."""

    name: str
    kind: Type
    dtype: str
    shape: tuple[int, ...]


def signature_of_tensors(tensors: Sequence[Tensor]) -> Signature:
    """Return what a model with these inputs takes: a table where each row is one of plain values, and else tensors."""
    first = tensors[0]
    if len(tensors) == 1 and len(first.shape) == 2 and first.shape[1] > 0:
        return Signature(tuple(Field(each.name, first.kind) for each in numbered(first.shape[1])), tensor=first.name)
    if all(len(each.shape) == 2 and each.shape[1] == 1 for each in tensors):
        return Signature(tuple(Field(each.name, each.kind) for each in tensors))
    return Signature(tuple(Field(each.name, each.kind, shape=each.shape) for each in tensors))


def feed_of(rows: Rows, tensors: Sequence[Tensor]) -> dict[str, Any]:
    """Return rows as a map of inputs to arrays, each of the type and as many dimensions as the model declares."""
    if len(tensors) == 1:
        given = {tensors[0].name: matrix_of(rows)}
    else:
        given = columns_of(rows, [each.name for each in tensors])
    feed = {}
    for each in tensors:
        values = np.asarray(given[each.name], dtype=each.dtype)
        if len(each.shape) <= 2 and values.ndim <= 2:
            values = values.ravel() if len(each.shape) == 1 else values.reshape(len(values), -1)
        feed[each.name] = values
    return feed


def matrix_of(rows: Rows) -> Any:
    """Return rows as an array with a line a row: numbers where all are, and anything otherwise."""
    if rows.matrix is not None:
        return rows.matrix
    columns = list((rows.columns or {}).values())
    if len(columns) == 1:
        return columns[0] if columns[0].ndim > 1 else columns[0].reshape(-1, 1)
    if any(each.ndim != 1 for each in columns):
        raise Refusal("the model takes one table, not several tensors")
    return np.column_stack([each.astype(object) for each in columns])


def columns_of(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    """Return rows as a map of names to columns."""
    if rows.columns is not None:
        return dict(rows.columns)
    given = names if len(names) == rows.matrix.shape[1] else [f"x{at}" for at in range(rows.matrix.shape[1])]
    return {name: rows.matrix[:, at] for at, name in enumerate(given)}


def frame_of(rows: Rows, names: Sequence[str]) -> Any:
    """Return rows as a table of pandas."""
    import pandas as pd  # type: ignore[import-not-found, import-untyped, unused-ignore]

    if rows.matrix is not None and len(names) == rows.matrix.shape[1]:
        return pd.DataFrame(rows.matrix, columns=list(names))
    return pd.DataFrame(columns_of(rows, names))
