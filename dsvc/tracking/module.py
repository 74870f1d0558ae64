"""The functions of `import dsvc`: they speak to the run under way, and begin one where there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from dsvc.tracking.run import PathT, Run
from dsvc.tracking.session import Session

T = TypeVar("T")
_sessions: dict[int, Session] = {}


def _session() -> Session:
    """Return the session of this process; one that was forked has its own."""
    found = _sessions.get(os.getpid())
    if found is None:
        _sessions.clear()
        found = _sessions[os.getpid()] = Session()
    return found


def start_run(
    name: str = "",
    *,
    params: Mapping[str, object] | None = None,
    labels: Mapping[str, str] | Sequence[str] = (),
    description: str = "",
    inputs: Sequence[str] = (),
) -> Run:
    """Begin a run: `with dsvc.start_run("baseline", params={"lr": 0.1}) as run: ...`.

    Raises:
        NotARepositoryError: where the current folder is in no repository.
    """
    return _session().start(name, params=params, labels=labels, description=description, inputs=inputs)


def active_run() -> Run | None:
    """Return the run under way, None where there is none."""
    return _session().active()


def end_run(*, error: str = "") -> None:
    """End the run under way; does nothing where there is none."""
    run = active_run()
    if run is not None:
        run.end(error=error)


def log(values: Mapping[str, object] | None = None, /, *, step: int | None = None, **more: object) -> Any:
    """Add a point to one or more series: `dsvc.log(loss=0.3, step=10)`; see `Run.log`."""
    run = _session().active_or_new()
    return run.log(step=step, **more) if values is None else run.log({**values, **more}, step=step)


def param(name: str, value: T) -> T:
    """Set a parameter and return its value."""
    return _session().active_or_new().param(name, value)


def params(values: Mapping[str, T] | None = None, /, **more: T) -> Mapping[str, T]:
    """Set parameters and return them."""
    return _session().active_or_new().params(values, **more)


def metric(name: str, value: T) -> T:
    """Set a metric and return its value."""
    return _session().active_or_new().metric(name, value)


def metrics(values: Mapping[str, T] | None = None, /, **more: T) -> Mapping[str, T]:
    """Set metrics and return them."""
    return _session().active_or_new().metrics(values, **more)


def input(path: PathT) -> PathT:
    """Say that the run reads this file or folder, and return the path."""
    return _session().active_or_new().input(path)


def output(path: PathT) -> PathT:
    """Say that the run writes this file or folder, and return the path."""
    return _session().active_or_new().output(path)


def label(name: str, text: str = "") -> str:
    """Set a label and return its text."""
    return _session().active_or_new().label(name, text)


def model(name: str, path: PathT, *, framework: str = "", **facts: object) -> PathT:
    """Say that the run writes a model, and return the path."""
    return _session().active_or_new().model(name, path, framework=framework, **facts)


def description(text: str) -> str:
    """Say what the run is for, and return the text."""
    return _session().active_or_new().description(text)


def error(text: str) -> str:
    """Say that the run failed and why, and return the text."""
    return _session().active_or_new().error(text)
