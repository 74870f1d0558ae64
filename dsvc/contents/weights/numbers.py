"""Numbers of tensors: how far two are apart, their mean, the sum of two changes. NumPy is imported when it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsvc.contents.driver import UnfitError
from dsvc.contents.weights.tensors import Tensor

Way = Literal["mean", "task"]

_TYPES = {
    "BOOL": "u1", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4",
    "F32": "<f4", "I64": "<i8", "U64": "<u8", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip
_FLOATS = {"F16", "BF16", "F32", "F64"}


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two tensors are apart: the Euclidean norm of the difference, that of the old one, the largest step."""

    norm: float
    old_norm: float
    largest: float

    @property
    def relative(self) -> float | None:
        """The norm of the difference as a part of that of the old tensor; None where that is zero."""
        return self.norm / self.old_norm if self.old_norm else None


def distance(old: Tensor, new: Tensor) -> Distance | None:
    """Return how far two tensors of one type and shape are apart; None without NumPy and for types it does not know."""
    if old.dtype not in _TYPES or old.order or new.order:
        return None
    try:
        import numpy as np
    except ImportError:
        return None
    squares = olds = largest = 0.0
    with np.errstate(all="ignore"):
        for a, b in zip(_floats(np, old), _floats(np, new), strict=True):
            step = b - a
            squares += float(np.dot(step, step))
            olds += float(np.dot(a, a))
            largest = max(largest, float(np.max(np.abs(step), initial=0.0)))
    return Distance(squares**0.5, olds**0.5, largest)


def combined(base: Tensor | None, ours: Tensor, theirs: Tensor, way: Way) -> Iterator[bytes]:
    """Yield the mean of two tensors, or base + (ours - base) + (theirs - base), in the type they have.

    Raises:
        UnfitError: for types that are no floats, and without NumPy.
    """
    if ours.dtype not in _FLOATS or ours.order or theirs.order or (base is not None and base.order):
        raise UnfitError(f"{way} of {ours.dtype}")
    try:
        import numpy as np
    except ImportError as error:
        raise UnfitError(f"{way} needs NumPy: pip install numpy") from error
    if way == "mean" or base is None:
        for a, b in zip(_floats(np, ours), _floats(np, theirs), strict=True):
            yield _bytes(np, (a + b) / 2, ours.dtype)
        return
    for o, a, b in zip(_floats(np, base), _floats(np, ours), _floats(np, theirs), strict=True):
        yield _bytes(np, a + b - o, ours.dtype)


def _floats(np: Any, tensor: Tensor) -> Iterator[Any]:
    """Yield the elements as 64-bit floats in pieces of the same length for tensors of one type and shape."""
    kind = np.dtype(_TYPES[tensor.dtype])
    size = (1 << 18) * kind.itemsize
    waiting = b""
    for piece in tensor.pieces():
        waiting += piece
        while len(waiting) >= size:
            yield _converted(np, waiting[:size], kind, tensor.dtype)
            waiting = waiting[size:]
    if waiting:
        yield _converted(np, waiting, kind, tensor.dtype)


def _converted(np: Any, data: bytes, kind: Any, dtype: str) -> Any:
    found = np.frombuffer(data, dtype=kind)
    if dtype == "BF16":
        found = (found.astype(np.uint32) << 16).view(np.float32)
    return found.astype(np.float64)


def _bytes(np: Any, values: Any, dtype: str) -> bytes:
    if dtype != "BF16":
        return bytes(values.astype(np.dtype(_TYPES[dtype])).tobytes())
    bits = values.astype(np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16  # to nearest, ties to even
    return bytes(np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2").tobytes())


def equal(a: Tensor, b: Tensor) -> bool:
    """Say whether two tensors are the same: type, shape and bytes."""
    if (a.dtype, a.shape, a.size, a.order) != (b.dtype, b.shape, b.size, b.order):
        return False
    return all(x == y for x, y in zip(_even(a), _even(b), strict=True))


def _even(tensor: Tensor) -> Iterator[bytes]:
    """Yield the bytes in pieces of one length, whatever the pieces they come in."""
    waiting = b""
    for piece in tensor.pieces():
        waiting += piece
        while len(waiting) >= 1 << 20:
            yield waiting[: 1 << 20]
            waiting = waiting[1 << 20 :]
    yield waiting


def all_equal(tensors: Sequence[Tensor | None]) -> bool:
    """Say whether all are there and the same, or all are missing."""
    first = tensors[0]
    return all((a is None) == (first is None) and (a is None or first is None or equal(first, a)) for a in tensors)
