"""What every loaded model offers to the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dsvc.serving.signature import Signature


@dataclass(frozen=True, slots=True)
class Rows:
    """The inputs of one call: `matrix` has a line for each row; where it is None `columns` maps names to values.

    A tensor of more dimensions is one of the `columns`. `count` is the number of rows.
    """

    count: int
    matrix: Any = None
    columns: Mapping[str, Any] | None = None


class Predictor(Protocol):
    """A model that is loaded. `outputs` are the answers that it can give, the usual one first.

    `takes_query` says that it is asked through `answer`, with the whole body of a request of the TensorFlow form, and
    returns the body of the answer.
    """

    framework: str
    signature: Signature | None
    outputs: Sequence[str]
    takes_query: bool

    def predict(self, rows: Rows, output: str) -> Any:
        """Return an array with a row for each row, or a map of names to such arrays."""
        ...

    def answer(self, query: Mapping[str, Any]) -> Any:
        """Return the body of an answer to a body."""
        ...
