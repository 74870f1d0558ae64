"""Three measures of how far one distribution is from another, on the bins of a reference.

`reference` and `window` are counts in the same bins. Formulas: population stability index, the symmetric sum of
(p - q) ln(p / q), as in credit scoring; Jensen-Shannon distance, J. Lin 1991, with logarithms to the base 2; the
statistic of Kolmogorov and Smirnov, the largest difference of the distribution functions, here at the edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_HALF: Final = 0.5  # is added to each count, so that an empty bin has a logarithm (Jeffreys)


@dataclass(frozen=True, slots=True)
class Drift:
    """PSI is 0 or more, beyond 0.2 a change that people look at; the others are from 0 to 1. `ks` only of numbers."""

    psi: float
    js: float
    ks: float | None


def measure(reference: Sequence[float], window: Sequence[float], *, ordered: int = 0) -> Drift:
    """Compare counts; the first `ordered` bins are in order (of numbers), the rest, such as missing values, are not.

    Raises:
        ValueError: when one has no counts, or they have different numbers of bins.
    """
    if len(reference) != len(window) or not sum(reference) or not sum(window):
        raise ValueError("two distributions need the same bins, and some counts each")
    return Drift(
        _stability(reference, window), _distance(reference, window), _largest(reference, window, ordered)
    )


def _stability(reference: Sequence[float], window: Sequence[float]) -> float:
    """The index without what chance alone gives: (bins - 1) (1 / rows there + 1 / rows here) on average.

    For two samples of one distribution the index times n m / (n + m) is about chi-squared with bins - 1 degrees of
    freedom (B. Yurdakul and J. Naranjo, 2020), which is why 200 rows in 20 bins would look like drift.
    """
    used = [(a, b) for a, b in zip(reference, window, strict=True) if a or b]
    there, here = sum(a for a, _ in used), sum(b for _, b in used)
    extra = _HALF * len(used)
    total = 0.0
    for a, b in used:
        p, q = (a + _HALF) / (there + extra), (b + _HALF) / (here + extra)
        total += (p - q) * math.log(p / q)
    return max(0.0, total - (len(used) - 1) * (1 / there + 1 / here))


def _distance(reference: Sequence[float], window: Sequence[float]) -> float:
    there, here = sum(reference), sum(window)
    total = 0.0
    for a, b in zip(reference, window, strict=True):
        p, q = a / there, b / here
        middle = (p + q) / 2
        total += (p * math.log2(p / middle) if p else 0.0) + (q * math.log2(q / middle) if q else 0.0)
    return math.sqrt(min(max(total / 2, 0.0), 1.0))


def _largest(reference: Sequence[float], window: Sequence[float], ordered: int) -> float | None:
    there, here = sum(reference[:ordered]), sum(window[:ordered])
    if not ordered or not there or not here:
        return None
    p = q = largest = 0.0
    for a, b in zip(reference[:ordered], window[:ordered], strict=True):
        p, q = p + a / there, q + b / here
        largest = max(largest, abs(p - q))
    return min(largest, 1.0)
