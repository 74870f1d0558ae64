"""Take metrics of a run from the files that its command wrote."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from dsvc.errors import DsvcError
from dsvc.runs import events
from dsvc.runs.journal import EventLog, Journal
from dsvc.runs.metrics import is_table, read_metrics, read_points
from dsvc.runs.tensorboard import find_event_files, is_event_file, write_scalars


def take_metrics(journal: Journal, paths: Iterable[Path], *, began: int) -> list[str]:
    """Add what is in these files to a run that began at `began` (nanoseconds since 1970); return what is to be told.

    Of a folder the event files of TensorBoard count. A file that is older than the run is left alone: it is of another
    one.
    """
    problems: list[str] = []
    files: list[Path] = []
    log = EventLog(journal.path)
    try:
        for path in paths:
            try:
                if path.is_dir():
                    files += find_event_files(path)
                    continue
                if path.stat().st_mtime_ns < began - _CLOCK_SLACK:
                    continue
                if is_event_file(path):
                    files.append(path)
                elif is_table(path):
                    now = time.time_ns() // 1000
                    for step, values in read_points(path):
                        pairs = [word for pair in values.items() for word in pair]
                        log.append((events.POINTS, now, step, *pairs))
                else:
                    for name, value in read_metrics(path).items():
                        log.append((events.METRIC, name, value))
            except FileNotFoundError:
                problems.append(f"there is no file of metrics {path.name}")
            except (DsvcError, OSError) as error:
                problems.append(str(error))
        problems += write_scalars(journal.path, files, began=began)
    finally:
        log.close()
    return problems


_CLOCK_SLACK = 10_000_000  # nanoseconds by which the time of a change may lag behind the clock
