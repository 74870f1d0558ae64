"""Record estimators of scikit-learn.

    from dsvc.integrations.sklearn import fit, save

    model = fit(LogisticRegression(C=0.5), X_train, y_train, test=(X_test, y_test))
    save(model, "model.joblib", name="iris")

All of it goes to the run under way, or to one that begins here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import perf_counter
from typing import Any, TypeVar

import dsvc
from dsvc.tracking.run import Run

Estimator = TypeVar("Estimator")
PathT = TypeVar("PathT", str, "os.PathLike[str]")


def fit(
    estimator: Estimator, x: Any, y: Any = None, *, test: tuple[Any, Any] | None = None, run: Run | None = None
) -> Estimator:
    """Fit an estimator and record its parameters, how long it took, and its scores; return it.

    `score` is that on the data it was fitted to, `test_score` that on `test`, a pair of the same form. Of a search over
    parameters the mean score of each candidate is a series, and `best_params` and `best_score` are kept.
    """
    found = run or dsvc.active_run() or dsvc.start_run()
    model: Any = estimator
    found.params({name: value for name, value in model.get_params(deep=True).items() if _is_plain(value)})
    found.param("estimator", type(estimator).__name__)
    began = perf_counter()
    model.fit(x, y)
    found.metric("fit_seconds", perf_counter() - began)
    if hasattr(model, "score") and y is not None:
        found.metric("score", float(model.score(x, y)))
        if test is not None:
            found.metric("test_score", float(model.score(*test)))
    results = getattr(model, "cv_results_", None)
    if isinstance(results, Mapping) and "mean_test_score" in results:
        for step, score in enumerate(results["mean_test_score"]):
            found.log(mean_test_score=float(score), step=step)
        found.metric("best_score", float(model.best_score_))
        found.param("best_params", model.best_params_)
    return estimator


def save(estimator: Any, path: PathT, *, name: str = "", run: Run | None = None) -> PathT:
    """Write an estimator, record it as a model, and return the path.

    It is written by skops where the path ends so, else by joblib. A file of skops is read without running code in it.
    """
    import sklearn  # type: ignore[import-untyped, import-not-found, unused-ignore]

    found = run or dsvc.active_run() or dsvc.start_run()
    text = os.fspath(path)
    if text.endswith(".skops"):
        from skops import io  # type: ignore[import-not-found, import-untyped, unused-ignore]

        io.dump(estimator, text)
        form = "skops"
    else:
        import joblib  # type: ignore[import-untyped, import-not-found, unused-ignore]

        joblib.dump(estimator, text)
        form = "joblib"
    facts = {"framework_version": sklearn.__version__, "format": form, "estimator": type(estimator).__name__}
    found.model(name or type(estimator).__name__, text, framework="sklearn", **facts)
    return path


def _is_plain(value: object) -> bool:
    """Say whether a parameter says something by itself, and is no estimator or function."""
    return value is None or isinstance(value, (bool, int, float, str, tuple, list, dict))
