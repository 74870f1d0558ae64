"""Record the training of XGBoost.

    from dsvc.integrations.xgboost import Recorder, save

    booster = xgboost.train(params, train, evals=[(train, "train"), (test, "test")], callbacks=[Recorder(params)])
    save(booster, "model.ubj", name="churn")

All of it goes to the run under way, or to one that begins here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import xgboost  # type: ignore[import-not-found, import-untyped, unused-ignore]

import dsvc
from dsvc.tracking.run import Run

PathT = TypeVar("PathT", str, "os.PathLike[str]")


class Recorder(xgboost.callback.TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Adds a point to a series for each evaluation: `test-logloss`; what comes out last is a metric as well."""

    def __init__(self, params: Mapping[str, object] | None = None, *, run: Run | None = None) -> None:
        super().__init__()
        self._run = run or dsvc.active_run() or dsvc.start_run()
        self._run.params(dict(params or {}))

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
        """Log what was evaluated; training goes on."""
        del model
        pairs = [(f"{data}-{name}", values) for data, found in evals_log.items() for name, values in found.items()]
        points = {name: _number(values[-1]) for name, values in pairs}
        if points:
            self._run.log(points, step=epoch)
        return False

    def after_training(self, model: Any) -> Any:
        """Keep which round was best, where that was looked for."""
        for name in ("best_iteration", "best_score"):
            try:
                value = getattr(model, name)
            except AttributeError:  # nothing was looked for
                continue
            self._run.metric(name, value)
        return model


def save(booster: Any, path: PathT, *, name: str = "xgboost", run: Run | None = None) -> PathT:
    """Write a booster or an estimator in XGBoost's own form, and record it as a model; return the path."""
    found = run or dsvc.active_run() or dsvc.start_run()
    booster.save_model(os.fspath(path))
    found.model(name, os.fspath(path), framework="xgboost", framework_version=xgboost.__version__)
    return path


def _number(value: Any) -> float:
    return float(value[0]) if isinstance(value, tuple) else float(value)  # with its deviation, from cross validation
