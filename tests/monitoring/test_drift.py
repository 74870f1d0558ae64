"""Measures of drift against their definitions, and that they are quiet where nothing changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from dsvc.monitoring.drift import measure
from dsvc.monitoring.monitor import Monitor
from dsvc.monitoring.rules import PSI
from dsvc.monitoring.tables import profile_table


def test_equal_distributions_do_not_differ():
    found = measure([30, 50, 20], [300, 500, 200], ordered=3)
    assert (found.psi, found.js, found.ks) == (0, 0, 0)


def test_measures_are_those_of_the_literature():
    a, b = [400, 300, 200, 100], [100, 200, 300, 400]
    found = measure(a, b, ordered=4)
    p, q = np.array(a) / 1000, np.array(b) / 1000
    plain = float(((p - q) * np.log(p / q)).sum())
    chance = 3 * (1 / 1000 + 1 / 1000)
    assert found.psi == pytest.approx(plain - chance, rel=0.01)
    assert found.js == pytest.approx(jensenshannon(p, q, base=2), rel=1e-9)
    first, second = (np.repeat(range(4), counts) for counts in (a, b))
    assert found.ks == pytest.approx(ks_2samp(first, second).statistic, rel=1e-9)


def test_distributions_that_share_nothing():
    found = measure([1000, 0], [0, 1000], ordered=2)
    assert (found.js, found.ks) == (1, 1)
    assert found.psi > 5


def test_bins_that_are_in_no_order_have_no_distribution_function():
    assert measure([10, 20], [20, 10]).ks is None


@pytest.mark.parametrize(("a", "b"), [([1], [1, 2]), ([0, 0], [1, 2]), ([1, 2], [0, 0])])
def test_nothing_cannot_be_compared(a, b):
    with pytest.raises(ValueError, match="same bins"):
        measure(a, b)


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer, load_diabetes], ids=["wine", "cancer", "diabetes"])
def test_resamples_of_the_training_data_never_reach_the_threshold(load):
    """Inputs and answers, at the default thresholds, as soon as there are enough rows and with a full window."""
    found = load()
    rows, answers = found.data, found.target
    random = np.random.default_rng(5)
    names = [f"x{at}" for at in range(rows.shape[1])]
    profile = profile_table(rows, outputs=answers)
    for _ in range(20):
        for window in (200, 1000):
            monitor = Monitor(profile, names)
            drawn = random.integers(len(rows), size=window)
            monitor.observe(rows[drawn], None, answers[drawn])
            drifts = [drift.psi for _, _, drift in monitor.drift()]
            assert len(drifts) == len(names) + 1
            assert max(drifts) < PSI / 2  # not by luck


def test_many_categories_do_not_look_like_drift():
    random = np.random.default_rng(6)
    towns = np.array([f"town {at}" for at in range(200)], dtype=object)
    share = 1 / np.arange(1, 201)
    draw = lambda size: {"town": random.choice(towns, size=size, p=share / share.sum())}  # noqa: E731
    profile = profile_table(draw(2000))
    for window in (200, 1000):
        for _ in range(20):
            monitor = Monitor(profile, ["town"])
            monitor.observe(None, draw(window), np.zeros(window))
            assert max(drift.psi for _, _, drift in monitor.drift()) < PSI


def test_a_shift_is_seen_in_its_column_alone():
    rows = load_wine().data
    monitor = Monitor(profile_table(rows), [f"x{at}" for at in range(13)], min_samples=200)
    drawn = rows[np.random.default_rng(5).integers(len(rows), size=400)].copy()
    drawn[:, 3] += 2 * rows[:, 3].std()
    monitor.observe(drawn, None, np.zeros(400))
    found = {column.name: drift.psi for _, column, drift in monitor.drift()}
    assert [name for name, psi in found.items() if psi > PSI] == ["x3"]


def test_below_the_least_number_of_rows_nothing_is_told():
    rows = load_wine().data
    monitor = Monitor(profile_table(rows), [f"x{at}" for at in range(13)], window=300, min_samples=200)
    monitor.observe(rows[:150], None, np.zeros(150))
    assert (monitor.samples, list(monitor.drift())) == (150, [])
    monitor.observe(rows[:50], None, np.zeros(50))
    assert (monitor.samples, len(list(monitor.drift()))) == (200, 13)


def test_the_window_slides():
    rows = load_wine().data
    monitor = Monitor(profile_table(rows), [f"x{at}" for at in range(13)], window=178, min_samples=100)
    monitor.observe(rows + 1000, None, np.zeros(178))
    assert min(drift.psi for _, _, drift in monitor.drift()) > 1
    monitor.observe(rows, None, np.zeros(178))
    assert max(drift.psi for _, _, drift in monitor.drift()) < 0.05


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_counts_do_not_depend_on_how_the_rows_arrive(pieces):
    random = np.random.default_rng(1)
    rows, answers = random.normal(size=(1000, 3)), random.integers(3, size=1000)
    monitor = Monitor(profile_table(rows, outputs=answers), ["x0", "x1", "x2"], window=400, min_samples=10)
    for part, said in zip(np.array_split(rows, pieces), np.array_split(answers, pieces), strict=True):
        monitor.observe(part, None, said)
    for watched in monitor.watched():
        reference = watched.binner.reference
        assert watched.counts.tolist() == pytest.approx(reference, abs=1)
    found = {column.name: drift for _, column, drift in monitor.drift()}
    assert set(found) == {"x0", "x1", "x2", "predict"}
    last = Monitor(profile_table(rows, outputs=answers), ["x0", "x1", "x2"], window=400, min_samples=10)
    last.observe(rows[-400:], None, answers[-400:])
    assert {column.name: drift for _, column, drift in last.drift()} == found


def test_categories_missing_values_and_what_was_never_seen():
    table = {"size": np.array(["s", "m", "l", "m"] * 100, dtype=object), "age": np.array([1.0, 2, 3, math.nan] * 100)}
    monitor = Monitor(profile_table(table), ["size", "age"], min_samples=10)
    given = {"size": np.array(["m", "xl", None], dtype=object), "age": np.array([math.nan, 9.0, 2.0])}
    monitor.observe(None, given, np.array([0.5, 0.5, 0.5]))
    size, age = monitor.watched()
    assert dict(zip([*size.binner.labels, "missing"], size.counts.tolist(), strict=True)) == {
        "m": 1, "l": 0, "s": 0, "other": 1, "missing": 1,
    }  # fmt: skip
    assert (age.counts[-1], age.counts[-2], age.total) == (1, 1, 11)


def test_answers_without_a_reference_are_counted_by_class():
    monitor = Monitor(None, ["x0"])
    monitor.observe(np.zeros((3, 1)), None, np.array(["yes", "no", "yes"]))
    monitor.observe(np.zeros((2, 1)), None, np.array([[0.1, 0.9], [0.8, 0.2]]))
    monitor.flush()
    assert monitor.rows == 5
    assert sum(monitor.answers.values()) in (3, 5)
