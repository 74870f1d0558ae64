"""What a gate says of numbers, and what is none."""

from __future__ import annotations

import math

import pytest

from dsvc.delivery.gates import BadGateError, Gate, Numbers

NEW = Numbers({"acc": 0.93, "val-acc": 0.5, "val.loss": math.nan, "n": 3}, {"lr": 0.1, "name": "x", "on": True})
BASE = Numbers({"acc": 0.91}, {})


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("metrics.acc >= 0.9", True),
        ("metrics.acc > 0.93", False),
        ("metrics.acc >= base.metrics.acc - 0.01", True),
        ("metrics.acc > base.metrics.acc * 1.1", False),
        ('metrics["val-acc"] == 0.5', True),
        ("0 < metrics.acc < 1 and params.lr <= 0.1", True),
        ("metrics.acc > 1 or metrics.n == 3", True),
        ("not metrics.acc < 0.5", True),
        ("abs(metrics.acc - base.metrics.acc) < 0.05", True),
        ("min(metrics.acc, 2) - -1 > +1.9", True),
        ('params.name == "x"', True),
        ("metrics.val.loss < 3", False),
        ("not metrics.val.loss > 3", False),  # whatever is asked, NaN does not pass
        ("metrics.f1 > 0", False),
        ("metrics.acc / 0 > 1", False),
        ("params.name > 1", False),
        ("params.on + 1 > 0", False),
        ("metrics.acc > base.metrics.f1", None),
    ],
)
def test_what_holds(text: str, passed: bool | None):
    assert Gate(text).judge(NEW, BASE).passed is passed


def test_the_reason_has_the_values():
    reason = Gate("metrics.acc >= base.metrics.acc").judge(NEW, BASE).reason
    assert reason == "metrics.acc = 0.93, base.metrics.acc = 0.91"
    assert Gate("metrics.f1 > 0").judge(NEW, BASE).reason == "there is no metrics.f1"
    assert "no base.metrics.acc to compare with" in Gate("metrics.acc > base.metrics.acc").judge(NEW, None).reason


@pytest.mark.parametrize(
    "text",
    [
        "", "metrics.acc", "metrics.acc >", "1 if 1 else 2", "metrics.acc in [1]", "foo.bar > 1", "base.x > 1",
        "__import__('os').system('true') == 0", "metrics.acc > (lambda: 1)()", "metrics.acc ** 2 > 1", "metrics > 1",
        "[].append > 1", "metrics.acc > 1; 2", "a := 1", "metrics[params.name] > 1", "min() > 1", "x" * 2000,
        "(" * 500 + "1" + ")" * 500,
    ],
)  # fmt: skip
def test_what_is_none(text: str):
    with pytest.raises(BadGateError, match="is no gate"):
        Gate(text)
