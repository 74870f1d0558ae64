"""Tests of difference against SciPy's, and how often they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from dsvc.monitoring.comparison import compare_classes, compare_numbers


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([50, 60, 70], [55, 40, 90]),
        ([500, 500], [400, 600]),
        ([10, 20, 30, 40] * 5, [40, 30, 20, 10] * 5),
        ([9] * 40, [8] * 40),
    ],
)
def test_chi_squared_is_that_of_scipy(a, b):
    found = compare_classes(a, b)
    wanted = chi2_contingency([a, b], correction=False)
    assert found.statistic == pytest.approx(wanted.statistic, rel=1e-9)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-6, abs=1e-300)


def test_rare_classes_are_joined():
    found = compare_classes([500, 500, 1, 0, 2, 0, 1], [500, 480, 0, 3, 0, 1, 1])
    wanted = chi2_contingency([[500, 504], [500, 485]], correction=False)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-6)


def test_what_cannot_be_compared():
    assert compare_classes([1, 2], [0, 0]) is None
    assert compare_classes([100, 0], [70, 0]).p == 1
    assert compare_numbers([1, 2], [0, 0], [5.0], [5.0]) is None
    assert compare_numbers([1], [1], [], []) is None


def counts(values, edges):
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1).tolist()


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_numbers_on_fine_bins_are_compared_as_scipy_does(shift):
    random = np.random.default_rng(3)
    a, b = random.normal(size=900), random.normal(shift, size=700)
    edges = np.linspace(-4, 4, 4001).tolist()
    found = compare_numbers(counts(a, edges), counts(b, edges), edges, edges)
    wanted = ks_2samp(a, b, method="asymp")
    assert found.statistic == pytest.approx(wanted.statistic, abs=0.003)
    assert found.p == pytest.approx(wanted.pvalue, rel=0.2, abs=0.02)


def test_other_deciles_are_no_difference_and_a_shift_is_one():
    """Two versions of a model were fitted to other data, so their answers are counted on other deciles."""
    random = np.random.default_rng(4)
    first, second = (np.quantile(random.normal(size=400), np.linspace(0, 1, 11)).tolist() for _ in range(2))
    a, b = random.normal(size=1000), random.normal(size=1000)
    assert compare_numbers(counts(a, first), counts(b, second), first, second).p > 0.05
    assert compare_numbers(counts(a, first), counts(b + 0.5, second), first, second).p < 1e-6
    far = [edge + 50 for edge in second]
    assert compare_numbers(counts(a, first), counts(a + 50, far), first, far).p < 1e-9


def test_equal_distributions_are_seldom_told_apart():
    random = np.random.default_rng(5)
    edges = np.quantile(random.normal(size=5000), np.linspace(0, 1, 11)).tolist()
    share = [0.5, 0.3, 0.15, 0.05]
    classes = [compare_classes(random.multinomial(300, share), random.multinomial(500, share)).p for _ in range(3000)]
    pairs = [(counts(random.normal(size=300), edges), counts(random.normal(size=500), edges)) for _ in range(200)]
    numbers = [compare_numbers(a, b, edges, edges).p for a, b in pairs]
    assert 0.03 < np.mean(np.array(classes) < 0.05) < 0.065
    assert np.mean(np.array(numbers) < 0.05) < 0.08
