"""Version control for machine-learning projects: code, data, models and runs in one history.

Scripts and notebooks record runs with it:

    import dsvc

    with dsvc.start_run("baseline", params={"lr": 0.1}) as run:
        data = open(run.input("data/train.csv"))
        run.log(loss=0.3, step=1)
        run.metric("acc", 0.93)
        run.output("model.pt")

The functions of the module speak to the run under way, and begin one where there is none. Nothing of it is imported
before it is used.
"""

from __future__ import annotations

from dsvc.version import __version__ as __version__

__all__ = [
    "Run",
    "active_run",
    "description",
    "end_run",
    "error",
    "input",
    "label",
    "log",
    "metric",
    "metrics",
    "model",
    "output",
    "param",
    "params",
    "start_run",
]

MYPY = False
if MYPY:  # the module typing would cost every program that imports this five milliseconds
    from typing import Any

    from dsvc.tracking.module import (
        active_run,
        description,
        end_run,
        error,
        input,  # noqa: A004
        label,
        log,
        metric,
        metrics,
        model,
        output,
        param,
        params,
        start_run,
    )
    from dsvc.tracking.run import Run


def __getattr__(name: str) -> Any:
    if name in __all__:
        from dsvc.tracking import module

        return getattr(module, name)
    raise AttributeError(f"module 'dsvc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
