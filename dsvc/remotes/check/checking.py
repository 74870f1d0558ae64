"""Whether a live place does what a repository relies on, and how fast: found out by trying, in a corner of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dsvc.errors import DsvcError, RemoteError
from dsvc.progress import Progress
from dsvc.remotes.check.measuring import Latency, Throughput, measure_latency, measure_throughput
from dsvc.remotes.check.trial import Trial, TrialBackend
from dsvc.storage.backend import Backend
from dsvc.storage.conformance import CHECKS

Outcome = Literal["passed", "failed", "skipped"]
Open = Callable[[bool], Backend]

CONDITIONS = "conditional writes"
_NEED_CONDITIONS = frozenset({"cells", "races"})
_OPEN = 3  # connections that stand for other machines
_QUICK_BLOB, _BLOB = 4 << 20, 16 << 20  # bytes
_QUICK_COUNT, _COUNT = 7, 25
_QUICK_SECONDS, _SECONDS = 1.5, 6.0  # for each measurement


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one check, and how long it took; `message` says what is wrong or why it was left out."""

    name: str
    outcome: Outcome
    seconds: float
    message: str = ""


@dataclass(slots=True)
class PlaceReport:
    """What was found out. `conditional_writes` and `clock_skew` (seconds ahead, possible error) are None where a
    place knows no such thing. `removed` says whether everything that was written could be removed.
    """

    checks: list[Check] = field(default_factory=list)
    latency: Mapping[str, Latency] = field(default_factory=dict)
    up: Throughput | None = None
    down: Throughput | None = None
    conditional_writes: bool | None = None
    clock_skew: tuple[float, float] | None = None
    removed: bool = True

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(check.outcome != "failed" for check in self.checks)


def check_place(
    opened: Open, scratch: Path, *, single_writer: bool = False, quick: bool = False, progress: Progress
) -> PlaceReport:
    """Try everything that a backend must do, then time it; whatever was written is removed at the end in any case.

    `opened` connects once more to the same place; its argument says that conditions on writes need not be kept.
    `single_writer` says that only one machine ever writes there. `scratch` is a folder for temporary files.

    Raises:
        RemoteError: when the place cannot be reached, or not any more.
    """
    report = PlaceReport()
    places = _Places(opened, Trial())
    try:
        places.first.read_cell("head")  # raises where nothing can be asked
        progress.start("Checking", total_items=len(CHECKS), unit="checks")
        _conditions(report, places.first, single_writer=single_writer)
        places.unconditional = report.conditional_writes is False
        for name, check in CHECKS.items():
            if places.unconditional and name in _NEED_CONDITIONS:
                report.checks.append(Check(name, "skipped", 0.0, "needs conditional writes"))
            else:
                report.checks.append(_try(name, check, places, scratch))
            progress.advance(items=1)
        progress.start("Measuring")
        _measure(report, TrialBackend(places.first, places.trial), quick=quick)
        skew = getattr(places.first, "clock_skew", None)
        report.clock_skew = skew() if skew is not None else None
    finally:
        progress.finish()
        report.removed = places.leave()
    return report


class _Places:
    """Connections to one place: the `first`, and others that stand for other machines."""

    def __init__(self, opened: Open, trial: Trial) -> None:
        self._opened = opened
        self.trial = trial
        self.unconditional = False
        self.first = opened(True)  # noqa: FBT003
        self._others: list[Backend] = []
        self._turn = 0

    def machine(self) -> Backend:
        """Give one after the other of a few connections, each of which knows nothing of the others."""
        self._turn += 1
        if len(self._others) < _OPEN:
            self._others.append(self._opened(self.unconditional))
            return TrialBackend(self._others[-1], self.trial)
        return TrialBackend(self._others[self._turn % _OPEN], self.trial)

    def leave(self) -> bool:
        """Close all, then remove what was written, over a new connection: nobody writes any more by then."""
        self.trial.end()
        for backend in (*self._others, self.first):
            backend.close()
        if not self.trial.used:
            return True
        try:
            backend = self._opened(True)  # noqa: FBT003
        except RemoteError:
            return False
        try:
            return self.trial.remove(backend)
        finally:
            backend.close()


def _try(name: str, check: Callable[[Callable[[], Backend], Path], None], places: _Places, scratch: Path) -> Check:
    start = time.perf_counter()
    try:
        check(places.machine, scratch)
    except DsvcError as error:
        places.first.read_cell("head")  # raises where the reason is that the place is gone
        return Check(name, "failed", time.perf_counter() - start, error.message)
    return Check(name, "passed", time.perf_counter() - start)


def _conditions(report: PlaceReport, first: Backend, *, single_writer: bool) -> None:
    """Find out whether a bucket keeps conditions on writes, on which cells depend there."""
    find_out = getattr(first, "conditional_writes", None)
    if find_out is None:
        return
    start = time.perf_counter()
    try:
        found = find_out()
    except RemoteError as error:
        first.read_cell("head")
        report.checks.append(Check(CONDITIONS, "failed", time.perf_counter() - start, error.message))
        return
    report.conditional_writes = found.kept
    outcome: Outcome = "passed" if found.kept else "skipped" if single_writer else "failed"
    message = ""
    if not found.kept:
        meaning = "; one machine alone may write here" if single_writer else ": writers would overwrite each other"
        message = f"the store {found.found}{meaning}"
    report.checks.append(Check(CONDITIONS, outcome, time.perf_counter() - start, message))


def _measure(report: PlaceReport, backend: Backend, *, quick: bool) -> None:
    """Time what works; a place whose checks failed may refuse this too, and then has no figures."""
    seconds = _QUICK_SECONDS if quick else _SECONDS
    try:
        report.latency = measure_latency(backend, count=_QUICK_COUNT if quick else _COUNT, seconds=seconds)
        most = _QUICK_BLOB if quick else _BLOB
        report.up, report.down = measure_throughput(backend, most=most, seconds=seconds)
    except DsvcError:
        if report.passed:
            raise


__all__ = ["CONDITIONS", "Check", "Latency", "PlaceReport", "Throughput", "check_place"]
