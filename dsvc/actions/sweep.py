"""Try combinations of parameters: a run for each, and which one is best."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsvc.actions.run_begin import journals_of
from dsvc.actions.run_finish import take_up
from dsvc.actions.runs import add_note, open_runs
from dsvc.actions.sweep_earlier import EarlierTrials, NoSuchSweepError, SweepGoesOnError
from dsvc.actions.sweep_pruning import Pruner, is_of
from dsvc.errors import DsvcError, RequestError
from dsvc.pipelines.space import Choice, Range, Trial, at_random, filled, grid
from dsvc.runs.journal import running
from dsvc.runs.names import RunKey
from dsvc.runs.summary import Summary
from dsvc.runs.values import is_finite
from dsvc.runs.where import column
from dsvc.workspace import Workspace

SWEEP = "sweep"  # label of its runs
PRUNED = "pruned"  # label of those that were ended early
_ENDED = 128 + signal.SIGTERM  # exit code of one that was ended early
_LOOKS = 0.5  # seconds between two looks at a trial that may fall behind
TRIAL = "DSVC_SWEEP_TRIAL"  # variable: the number of the trial, from 1


class NoOptunaError(RequestError):
    """What asks for the next trial is not installed."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to try, and what counts.

    `count` trials at random, or None for the whole grid; with `asks_optuna` it proposes them. `metric` is a column
    such as `metrics.acc`, `lowest` says that less is better. `patience`: so many trials without a better one end it.
    `prune`: a trial ends early where, after so many points of that series at least, it falls behind the others.
    `resumes`: a sweep of this name broke off, and what it has done is not done again.
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
    prune: int | None = None
    jobs: int = 1
    options: Sequence[str] = ()  # of `dsvc run`
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial: its number, its parameters, its run, how its command ended, and the metric, None where it has none.

    `pruned` says that it was ended early; the metric does not count then. `earlier`: the sweep that broke off did it.
    """

    number: int
    params: Trial
    run: RunKey | None
    exit_code: int
    value: float | None = None
    pruned: bool = False
    earlier: bool = False


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


@dataclass(frozen=True, slots=True)
class _Going:
    """Tells the trials of a sweep, whatever their number."""

    name: str

    def is_run(self, _key: RunKey, labels: Mapping[str, str]) -> bool:
        return labels.get(SWEEP) == self.name


@dataclass(frozen=True, slots=True)
class _Sought:
    """Tells the run of a trial from those of an earlier sweep of the same name, which may still go on."""

    name: str
    number: int
    before: frozenset[bytes]  # keys of runs that were there, or under way, when this sweep began

    def is_run(self, key: RunKey, labels: Mapping[str, str]) -> bool:
        same = labels.get(SWEEP) == self.name and labels.get("trial") == str(self.number)
        return same and key not in self.before


def sweep(
    workspace: Workspace,
    request: Sweep,
    *,
    directory: Path,
    environment: Mapping[str, str],
    tell: Callable[[TrialResult], None],
    warn: Callable[[str], None] = lambda _text: None,
    output: int | None = None,
) -> list[TrialResult]:
    """Run a command for each trial; return the results, the best one first where there is a metric.

    A trial that fails counts as one without the metric. What the commands print goes to the descriptor `output`, or
    where this process prints.

    Raises:
        UsageError: for a grid without end. NoOptunaError. BadConditionError: for a column that no run can have.
        NoSuchSweepError, SweepGoesOnError: where an earlier one is to go on.
    """
    read = column(request.metric) if request.metric else None
    best = _Best(request.lowest)
    pruner = None
    if request.prune is not None:
        pruner = Pruner(request.metric.rpartition("metrics.")[2], request.lowest, request.prune)
    journals = journals_of(workspace)
    with open_runs(workspace) as index:
        before = frozenset((*index.keys(), *(run.key for run in running(journals))))
    earlier = _earlier(workspace, request, environment)
    proposals = _Optuna(request, earlier.trials()) if request.asks_optuna else _Listed(request)
    with ThreadPoolExecutor(max(1, request.jobs), thread_name_prefix="dsvc-trial") as pool:
        busy: dict[Future[tuple[int, bool]], tuple[_Sought, Trial, Any]] = {}
        number, more = 0, True
        while more or busy:
            while more and len(busy) < max(1, request.jobs):
                if request.patience is not None and best.since >= request.patience:
                    more = False
                    break
                asked = proposals.ask()
                if asked is None:
                    more = False
                    break
                number += 1
                row = earlier.take(asked[0])
                if row is not None:
                    result = _result(number, asked[0], row, read)
                    proposals.told(asked[1], result.value, pruned=result.pruned)
                    if pruner is not None and not result.pruned:
                        pruner.take(workspace, row.key)
                    best.note(result)
                    tell(result)
                    continue
                words = _command(request, asked[0], number)
                variables = {**environment, TRIAL: str(number)}
                seek = _Sought(request.name, number, before)
                behind = _watcher(pruner, journals, seek)
                busy[pool.submit(_execute, words, directory, variables, output, behind)] = (seek, *asked)
            if not busy:
                break
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                seek, params, handle = busy.pop(future)
                row = _recorded(workspace, seek)
                code, pruned = future.result()
                run, done = (row.key, row.state == "done") if row is not None else (None, False)
                found = read(row) if read is not None and row is not None and done else None
                value = float(found) if is_finite(found) else None
                if pruned and done:  # it came to its end before it was ended
                    code, pruned = 0, False
                proposals.told(handle, value, pruned=pruned)
                if run is not None and pruned:
                    add_note(workspace, run, labels={PRUNED: ""})
                elif run is not None and pruner is not None and code == 0:
                    pruner.take(workspace, run)
                result = TrialResult(seek.number, params, run, code, value, pruned)
                best.note(result)
                tell(result)
    if pruner is not None and not pruner.has_points and any(result.exit_code == 0 for result in best.results):
        warn(f"no trial logged a series {pruner.series}, so none was ended early")
    return _ordered(best.results, lowest=request.lowest)


def _earlier(workspace: Workspace, request: Sweep, environment: Mapping[str, str]) -> EarlierTrials:
    """Return what need not run again: nothing where the sweep is a new one."""
    names = list(request.space)
    if not request.resumes:
        return EarlierTrials((), names, request.words, environment)
    take_up(workspace)
    workspace.repo.refresh()
    going = _Going(request.name)
    if any(is_of(journal, going.is_run) for journal in running(journals_of(workspace))):
        raise SweepGoesOnError(
            f"a trial of the sweep {request.name} is still running",
            hint="'dsvc runs' lists it once it has ended; then go on",
        )
    with open_runs(workspace) as index:
        rows = [row for row in index.summaries() if row.labels.get(SWEEP) == request.name]
    if not rows:
        raise NoSuchSweepError(
            f"there is no sweep {request.name}", hint="dsvc runs --columns what,labels.sweep shows their names"
        )
    rows = [row for row in rows if row.state == "done" or PRUNED in row.labels]
    return EarlierTrials(rows, names, request.words, environment)


def _result(number: int, trial: Trial, row: Summary, read: Callable[[Summary], Any] | None) -> TrialResult:
    """Return the result of a trial that an earlier sweep did."""
    pruned = row.state != "done"
    found = read(row) if read is not None and not pruned else None
    value = float(found) if is_finite(found) else None
    return TrialResult(number, trial, row.key, 0 if not pruned else _ENDED, value, pruned, earlier=True)


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


def _watcher(pruner: Pruner | None, journals: Path, sought: _Sought) -> Callable[[], bool] | None:
    return None if pruner is None else lambda: pruner.falls_behind(journals, sought.is_run)


def _execute(
    words: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    output: int | None,
    behind: Callable[[], bool] | None,
) -> tuple[int, bool]:
    """Run a command; return its exit code, and whether it was ended because it was `behind`."""
    pruned = False
    with subprocess.Popen(
        words, cwd=directory, env=dict(environment), stdout=output, stdin=subprocess.DEVNULL
    ) as process:
        while True:
            try:
                return process.wait(None if behind is None or pruned else _LOOKS), pruned
            except subprocess.TimeoutExpired:
                if behind is not None and behind():
                    pruned = True
                    process.terminate()  # which 'dsvc run' hands on to the command


def _recorded(workspace: Workspace, sought: _Sought) -> Summary | None:
    """Return the run of a trial; what was killed at its very end left it to others to make the record."""
    for again in (False, True):
        if again:
            with suppress(DsvcError, OSError):
                take_up(workspace)
        workspace.repo.refresh()
        with open_runs(workspace) as index:
            found = next((row for row in index.summaries() if sought.is_run(row.key, row.labels)), None)
        if found is not None:
            return found
    return None


class _Listed:
    def __init__(self, request: Sweep) -> None:
        self._trials: Iterator[Trial] = (
            grid(request.space) if request.count is None else at_random(request.space, request.count, seed=request.seed)
        )

    def ask(self) -> tuple[Trial, Any] | None:
        trial = next(self._trials, None)
        return None if trial is None else (trial, None)

    def told(self, handle: Any, value: float | None, *, pruned: bool) -> None:
        """Nothing follows from it."""


class _Optuna:
    """Asks Optuna for the next trial, and tells it what came of those before."""

    def __init__(self, request: Sweep, earlier: Sequence[Trial] = ()) -> None:
        try:
            import optuna  # type: ignore[import-not-found, unused-ignore]
        except ModuleNotFoundError as error:
            raise NoOptunaError("Optuna is not installed", hint="pip install optuna, or leave --optuna out") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # What went before is proposed again, which costs no run; with the same seed, its first values would come twice.
        sampler = optuna.samplers.TPESampler(seed=request.seed + len(earlier))
        direction = "minimize" if request.lowest else "maximize"
        self._study = optuna.create_study(direction=direction, sampler=sampler)
        self._failed, self._pruned = optuna.trial.TrialState.FAIL, optuna.trial.TrialState.PRUNED
        self._space, self._left = request.space, request.count or 0
        for trial in earlier[: self._left]:
            self._study.enqueue_trial(dict(trial))

    def ask(self) -> tuple[Trial, Any] | None:
        if not self._left:
            return None
        self._left -= 1
        trial = self._study.ask()
        return {name: what.suggest(trial, name) for name, what in self._space.items()}, trial

    def told(self, handle: Any, value: float | None, *, pruned: bool) -> None:
        if value is None:
            self._study.tell(handle, state=self._pruned if pruned else self._failed)
        else:
            self._study.tell(handle, value)


def default_name() -> str:
    """Return a name for a sweep that was given none."""
    return os.urandom(4).hex()
