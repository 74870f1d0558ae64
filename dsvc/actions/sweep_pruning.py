"""End a trial of a sweep early when it falls behind, as its run is followed through its journal.

The rule is that of median stopping (Golovin et al., Google Vizier, KDD 2017, section 3.2): a trial ends at a point at
which the best value that it had is worse than the median of the running means that the other trials had there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

from dsvc.actions.runs import get_run
from dsvc.errors import DsvcError
from dsvc.runs import events
from dsvc.runs.journal import Journal, read_events, running
from dsvc.runs.names import RunKey
from dsvc.runs.record import decode_run
from dsvc.runs.series import read_series
from dsvc.runs.values import is_finite
from dsvc.workspace import Workspace

LEAST = 3  # other trials that have come so far
_MOST = 64 << 20  # bytes of a journal that is read again and again


@dataclass(slots=True)
class Pruner:
    """Knows the points that the trials of a sweep logged of one series; `grace` points are never judged."""

    series: str
    lowest: bool
    grace: int
    _done: list[list[float]] = field(default_factory=list)
    _sizes: dict[Path, int] = field(default_factory=dict)

    def take(self, workspace: Workspace, key: RunKey) -> None:
        """Take in a trial that has come to its end by itself."""
        with suppress(DsvcError):
            run, _ = get_run(workspace, key)
            for series in run.series:
                if series.name == self.series and run.series_file is not None:
                    points = read_series(workspace.repo.store, run.series_file, series)
                    self._done.append([float(point.value) for point in points if is_finite(point.value)])

    @property
    def has_points(self) -> bool:
        """Whether any trial that came to its end has logged the series."""
        return bool(self._done)

    def falls_behind(self, journals: Path, is_run: Callable[[RunKey, Mapping[str, str]], bool]) -> bool:
        """Say whether the trial whose run `is_run` knows by its key and labels is to end."""
        if len(self._done) < LEAST:
            return False
        for journal in running(journals):
            if not is_of(journal, is_run):
                continue
            with suppress(OSError):
                size = sum(entry.stat().st_size for entry in journal.path.iterdir() if entry.name.startswith("events"))
                if size == self._sizes.get(journal.path) or size > _MOST:
                    return False
                self._sizes[journal.path] = size
                return self.is_behind(self._logged(journal.path))
        return False

    def is_behind(self, values: list[float]) -> bool:
        """Say whether a trial that has logged these values, in order, is to end."""
        count = len(values)
        if count < max(self.grace, 1):
            return False
        others = [fmean(other[:count]) for other in self._done if len(other) >= count]
        if len(others) < LEAST:
            return False
        return min(values) > median(others) if self.lowest else max(values) < median(others)

    def _logged(self, path: Path) -> list[float]:
        found: list[float] = []
        for event in read_events(path):
            if event[0] == events.POINTS:
                words = event[3:]
                for name, value in zip(words[::2], words[1::2], strict=False):
                    if name == self.series and is_finite(value):
                        found.append(float(value))
        return found


def is_of(journal: Journal, is_run: Callable[[RunKey, Mapping[str, str]], bool]) -> bool:
    """Say whether the run of a journal is one that `is_run` knows by its key and labels."""
    begin = journal.begin()
    payload = begin.get("run") if begin is not None else None
    if not isinstance(payload, bytes):
        return False
    with suppress(DsvcError):
        run = decode_run(payload)
        return is_run(run.key, run.labels)
    return False
