"""Conditions on runs, as people write them."""

from __future__ import annotations

import math

import pytest

from dsvc.objects.ids import RunId
from dsvc.runs.names import RunKey
from dsvc.runs.summary import Summary, pack_summary, unpack_summary
from dsvc.runs.where import BadConditionError, column, parse_condition

RUN = Summary(
    key=RunKey(bytes(range(16))),
    run_id=RunId(b"\x11" * 32),
    state="failed",
    start=1_769_857_200_000_000,
    zone=60,
    elapsed=2_500_000,
    name="baseline",
    description="",
    command="python train.py",
    user="Ada <ada@example.org>",
    authority="workload",
    exit_code=3,
    params={"lr": 0.1, "big": 2**70, "model.layers": 3, "name": "resnet", "on": True, "odd name": 1, "v": "1.10"},
    metrics={"acc": 0.9, "loss": math.nan, "inf": math.inf, "none": None},
    labels={"kind": "test", "done": ""},
)

TRUE = [
    "metrics.acc > 0.8", "metrics.acc >= 0.9 and params.lr < 1", "params.lr = 0.1", "params.lr == 0.1",
    "params.lr != 0.2", "not params.lr > 1", "params.lr in (0.1, 0.01)", "params.lr not in (1, 2)", "state = failed",
    "state in (failed, killed)", "name ~ BASE", "command ~ 'train.py'", "params.model.layers = 3", "params.on",
    "params.on = true", "`params.odd name` = 1", "params.`odd name` = 1", "params.big > 1e20",
    f"params.big = {2**70}", "metrics.inf > 1e300", "metrics.loss = nan", "labels.kind = test", "labels.done",
    "exit_code = 3", "elapsed > 2", "start > 2026-01-01",
    "start < '2027-01-01T00:00:00+00:00'", "(params.lr > 1 or metrics.acc > 0.5)",
    "params.lr > 1 or metrics.acc > 0.5 and state = failed", "not (state = done)", "p.lr = 0.1", "metric.acc > 0",
    "user ~ ada", "params.v = 1.10", "params.v = '1.10'", "metrics.none = null",
]  # fmt: skip
FALSE = [
    "metrics.acc > 0.9", "metrics.missing > 0", "metrics.missing < 0", "metrics.missing != 0", "params.missing",
    "metrics.loss > 0", "metrics.loss < 0", "params.name > 3", "params.on = 1", "labels.missing", "params.lr in (1, 2)",
    "state = done", "exit_code = 0", "metrics.none > 0", "not params.on",
]  # fmt: skip
BAD = [
    "", "metrics.acc >", "> 3", "metrics.acc > 0.9 0.8", "nonsense = 1", "(state = done", "state = done)", "state in 1",
    "state not 3", "a.b.c = 1", "state = done and", "__import__('os')", "state = 'unclosed",
    "(" * 100 + "state" + ")" * 100,
    "params. = ", "metrics.acc > > 3", "\x00", "lambda: 0", "state = done; drop table runs",
]  # fmt: skip


@pytest.mark.parametrize("text", TRUE)
def test_true(text):
    assert parse_condition(text)(RUN) is True


@pytest.mark.parametrize("text", FALSE)
def test_false(text):
    assert parse_condition(text)(RUN) is False


@pytest.mark.parametrize("text", BAD)
def test_not_understood(text):
    with pytest.raises(BadConditionError):
        parse_condition(text)


def test_columns():
    assert column("metrics.acc")(RUN) == 0.9
    assert column("params.nothing")(RUN) is None
    with pytest.raises(BadConditionError):
        column("acc")


def test_a_summary_survives_packing():
    back = unpack_summary(pack_summary(RUN))
    assert math.isnan(back.metrics["loss"])
    assert {**back.metrics, "loss": 0} == {**RUN.metrics, "loss": 0}
    assert (back.params, back.labels, back.key, back.exit_code) == (RUN.params, RUN.labels, RUN.key, RUN.exit_code)
