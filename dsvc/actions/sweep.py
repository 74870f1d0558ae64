"""Try combinations of parameters: a run for each, and which one is best."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsvc.actions.runs import open_runs
from dsvc.errors import RequestError
from dsvc.pipelines.space import Choice, Range, Trial, at_random, filled, grid
from dsvc.runs.names import RunKey
from dsvc.runs.where import column
from dsvc.workspace import Workspace

SWEEP = "sweep"  # label of its runs
TRIAL = "DSVC_SWEEP_TRIAL"  # variable: the number of the trial, from 1


class NoOptunaError(RequestError):
    """What asks for the next trial is not installed."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to try, and what counts.

    `count` trials at random, or None for the whole grid; with `asks_optuna` it proposes them. `metric` is a column
    such as `metrics.acc`, `lowest` says that less is better. `patience`: so many trials without a better one end it.
    """

    words: Sequence[str]
    space: Mapping[str, Choice | Range]
    name: str
    count: int | None = None
    seed: int = 0
    asks_optuna: bool = False
    metric: str = ""
    lowest: bool = False
    patience: int | None = None
    jobs: int = 1
    options: Sequence[str] = ()  # of `dsvc run`


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial: its number, its parameters, its run, how its command ended, and the metric, None where it has none."""

    number: int
    params: Trial
    run: RunKey | None
    exit_code: int
    value: float | None = None


@dataclass(slots=True)
class _Best:
    lowest: bool
    value: float | None = None
    since: int = 0
    results: list[TrialResult] = field(default_factory=list)

    def note(self, result: TrialResult) -> None:
        self.results.append(result)
        self.since += 1
        if result.value is not None and (
            self.value is None or (result.value < self.value if self.lowest else result.value > self.value)
        ):
            self.value, self.since = result.value, 0


def sweep(
    workspace: Workspace,
    request: Sweep,
    *,
    directory: Path,
    environment: Mapping[str, str],
    tell: Callable[[TrialResult], None],
    output: int | None = None,
) -> list[TrialResult]:
    """Run a command for each trial; return the results, the best one first where there is a metric.

    A trial that fails counts as one without the metric. What the commands print goes to the descriptor `output`, or
    where this process prints.

    Raises:
        UsageError: for a grid without end. NoOptunaError. BadConditionError: for a column that no run can have.
    """
    read = column(request.metric) if request.metric else None
    best = _Best(request.lowest)
    proposals = _Optuna(request) if request.asks_optuna else _Listed(request)
    with ThreadPoolExecutor(max(1, request.jobs), thread_name_prefix="dsvc-trial") as pool:
        running: dict[Future[int], tuple[int, Trial, Any]] = {}
        number, more = 0, True
        while more or running:
            while more and len(running) < max(1, request.jobs):
                if request.patience is not None and best.since >= request.patience:
                    more = False
                    break
                asked = proposals.ask()
                if asked is None:
                    more = False
                    break
                number += 1
                words = _command(request, asked[0], number)
                variables = {**environment, TRIAL: str(number)}
                running[pool.submit(_execute, words, directory, variables, output)] = (number, *asked)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                which, params, handle = running.pop(future)
                workspace.repo.refresh()
                run, value = _outcome(workspace, request.name, which, read)
                proposals.told(handle, value)
                result = TrialResult(which, params, run, future.result(), value)
                best.note(result)
                tell(result)
    return _ordered(best.results, lowest=request.lowest)


def _ordered(results: Sequence[TrialResult], *, lowest: bool) -> list[TrialResult]:
    def rank(result: TrialResult) -> tuple[bool, float, int]:
        value = result.value
        return value is None, 0.0 if value is None else value if lowest else -value, result.number

    return sorted(results, key=rank)


def _command(request: Sweep, trial: Trial, number: int) -> list[str]:
    import json

    words = [sys.executable, "-m", "dsvc", "run", "--quiet", *request.options]
    words += [] if request.jobs <= 1 else ["--declared-outputs"]
    words += [f"--label={SWEEP}={request.name}", f"--label=trial={number}"]
    words += [f"--param={name}={json.dumps(value)}" for name, value in trial.items()]
    return [*words, "--", *filled(request.words, trial)]


def _execute(words: Sequence[str], directory: Path, environment: Mapping[str, str], output: int | None) -> int:
    return subprocess.run(
        words, cwd=directory, env=dict(environment), stdout=output, stdin=subprocess.DEVNULL, check=False
    ).returncode


def _outcome(
    workspace: Workspace, name: str, number: int, read: Callable[[Any], Any] | None
) -> tuple[RunKey | None, float | None]:
    """Return the run of a trial, and what it has as the metric."""
    with open_runs(workspace) as index:
        row = next(
            (
                row
                for row in index.summaries()
                if row.labels.get(SWEEP) == name and row.labels.get("trial") == str(number)
            ),
            None,
        )
    if row is None:
        return None, None
    value = read(row) if read is not None and row.state == "done" else None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return row.key, None
    return row.key, float(value)


class _Listed:
    def __init__(self, request: Sweep) -> None:
        self._trials: Iterator[Trial] = (
            grid(request.space) if request.count is None else at_random(request.space, request.count, seed=request.seed)
        )

    def ask(self) -> tuple[Trial, Any] | None:
        trial = next(self._trials, None)
        return None if trial is None else (trial, None)

    def told(self, handle: Any, value: float | None) -> None:
        """Nothing follows from it."""


class _Optuna:
    """Asks Optuna for the next trial, and tells it what came of those before."""

    def __init__(self, request: Sweep) -> None:
        try:
            import optuna  # type: ignore[import-not-found, unused-ignore]
        except ModuleNotFoundError as error:
            raise NoOptunaError("Optuna is not installed", hint="pip install optuna, or leave --optuna out") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=request.seed)
        direction = "minimize" if request.lowest else "maximize"
        self._study = optuna.create_study(direction=direction, sampler=sampler)
        self._failed = optuna.trial.TrialState.FAIL
        self._space, self._left = request.space, request.count or 0

    def ask(self) -> tuple[Trial, Any] | None:
        if not self._left:
            return None
        self._left -= 1
        trial = self._study.ask()
        return {name: what.suggest(trial, name) for name, what in self._space.items()}, trial

    def told(self, handle: Any, value: float | None) -> None:
        if value is None:
            self._study.tell(handle, state=self._failed)
        else:
            self._study.tell(handle, value)


def default_name() -> str:
    """Return a name for a sweep that was given none."""
    return os.urandom(4).hex()
