"""Tests of whether two samples of counts are of one distribution; all assume that rows are independent of each other.

Chi-squared and its distribution: M. Abramowitz and I. A. Stegun, 26.4; the incomplete gamma function by its series and
its continued fraction, ibid. 6.5. Kolmogorov-Smirnov for two samples with the correction of M. A. Stephens, 1970.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

_EXPECTED: Final = 5  # rows that a class should have by expectation, below which classes are joined (Cochran, 1954)
_TERMS: Final = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """`statistic` by the name of its test, and the chance to see one as large in two samples of one distribution."""

    test: Literal["chi-squared", "kolmogorov-smirnov"]
    statistic: float
    p: float


def compare_classes(a: Sequence[float], b: Sequence[float]) -> Difference | None:
    """Compare counts of the same classes by chi-squared; rare classes are joined. None where nothing is to be compared.

    Two samples that share their only class do not differ: p is 1.
    """
    there, here = sum(a), sum(b)
    if not there or not here:
        return None
    smaller = min(there, here) / (there + here)
    pairs = sorted((pair for pair in zip(a, b, strict=True) if sum(pair)), key=sum)
    joined: list[tuple[float, float]] = []
    rare = (0.0, 0.0)
    for x, y in pairs:
        if (x + y) * smaller < _EXPECTED:
            rare = rare[0] + x, rare[1] + y
        else:
            joined.append((x, y))
    if sum(rare):
        if sum(rare) * smaller < _EXPECTED and joined:
            smallest = joined.pop(0)
            rare = rare[0] + smallest[0], rare[1] + smallest[1]
        joined.append(rare)
    if len(joined) < 2:
        return Difference("chi-squared", 0.0, 1.0)
    total, found = there + here, 0.0
    for x, y in joined:
        for seen, size in ((x, there), (y, here)):
            expected = (x + y) * size / total
            found += (seen - expected) ** 2 / expected
    return Difference("chi-squared", found, _upper_gamma((len(joined) - 1) / 2, found / 2))


def compare_numbers(
    a: Sequence[float], b: Sequence[float], a_edges: Sequence[float], b_edges: Sequence[float]
) -> Difference | None:
    """Compare numbers by Kolmogorov-Smirnov; `a` counts those in the bins of `a_edges`, and those above the last.

    Where the edges differ, numbers are taken as even between two of them, and compared where both have bins; that the
    largest difference is looked for at edges only makes p too large and never too small. None where nothing can be
    compared.
    """
    there, here = sum(a), sum(b)
    if not there or not here or not a_edges or not b_edges:
        return None
    low, high = max(a_edges[0], b_edges[0]), min(a_edges[-1], b_edges[-1])
    points = [edge for edge in sorted({*a_edges, *b_edges}) if low <= edge <= high]
    if not points:  # the ranges do not meet
        points = [low, high]
    largest = max(abs(_share(a, a_edges, point) - _share(b, b_edges, point)) for point in points)
    root = math.sqrt(there * here / (there + here))
    return Difference("kolmogorov-smirnov", largest, _kolmogorov((root + 0.12 + 0.11 / root) * largest))


def _share(counts: Sequence[float], edges: Sequence[float], point: float) -> float:
    """Return the share of numbers that are at most `point`."""
    at = bisect_right(edges, point)
    below = sum(counts[:at])
    if 0 < at < len(edges) and edges[at - 1] < point:
        below += counts[at] * (point - edges[at - 1]) / (edges[at] - edges[at - 1])
    return below / sum(counts)


def _kolmogorov(value: float) -> float:
    if value < 0.2:
        return 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * k * k * value * value) for k in range(1, 101))
    return min(max(math.fsum(terms), 0.0), 1.0)


def _upper_gamma(a: float, x: float) -> float:
    """Return the regularized upper incomplete gamma function Q(a, x)."""
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, _TERMS):
            term *= x / (a + n)
            total += term
            if term < total * 1e-16:
                break
        return max(0.0, 1 - front * total)
    # The continued fraction, from its front on (W. J. Lentz, 1976).
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    found = d
    for n in range(1, _TERMS):
        an = -n * (n - a)
        b += 2
        d = 1 / (an * d + b or tiny)
        c = b + an / c or tiny
        found *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * found
