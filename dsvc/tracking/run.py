"""A run that this process records: what is logged goes to its journal at once, and into the record at the end."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dsvc.runs import events
from dsvc.runs.journal import EventLog
from dsvc.runs.names import short_key
from dsvc.runs.values import clean_name, clean_text, storable

if TYPE_CHECKING:
    from pathlib import Path

    from dsvc.objects.codec import Value
    from dsvc.runs.names import RunKey

T = TypeVar("T")
PathT = TypeVar("PathT", str, bytes, "os.PathLike[str]")


class Run:
    """A run under way. Each call returns what it was given, so that it can stand inside another one.

    Nothing here waits or fails because of recording: a value that cannot be stored becomes text, and where the disk is
    full a warning says so once.
    """

    def __init__(self, key: RunKey, journal: Path, *, close: Callable[[Run], None]) -> None:
        self.key = key
        self._log = EventLog(journal)
        self._close = close
        self._models: dict[str, Value] = {}
        self._warned = False
        self.error_text = ""
        self.ended = False
        self.is_late = False  # the process ends: threads that go on logging shall not fail

    def __repr__(self) -> str:
        return f"<run {short_key(self.key)}{', ended' if self.ended else ''}>"

    def log(
        self, values: Mapping[str, object] | None = None, /, *, step: int | None = None, **more: object
    ) -> Any:
        """Add a point to one or more series: `run.log(loss=0.3, step=10)`. Without a step it is the next one.

        One value is returned as it is, several as a map.
        """
        given = more if values is None else {**values, **more} if more else values
        event: list[object] = [events.POINTS, time_ns() // 1000, None if step is None else int(step)]
        for name, value in given.items():
            event.append(name if name.isascii() and len(name) < 100 else clean_name(name))
            event.append(value if type(value) is float else storable(value))
        self._append(event)
        return next(iter(given.values())) if len(given) == 1 and values is None else given

    def param(self, name: str, value: T) -> T:
        """Set a parameter."""
        self._append((events.PARAM, clean_name(str(name)), storable(value)))
        return value

    def params(self, values: Mapping[str, T] | None = None, /, **more: T) -> Mapping[str, T]:
        """Set parameters."""
        given = {**(values or {}), **more}
        for name, value in given.items():
            self.param(name, value)
        return given

    def metric(self, name: str, value: T) -> T:
        """Set a metric: one final value, in contrast to the series of `log`."""
        self._append((events.METRIC, clean_name(str(name)), storable(value)))
        return value

    def metrics(self, values: Mapping[str, T] | None = None, /, **more: T) -> Mapping[str, T]:
        """Set metrics."""
        given = {**(values or {}), **more}
        for name, value in given.items():
            self.metric(name, value)
        return given

    def input(self, path: PathT) -> PathT:
        """Say that the run reads this file or folder, and return the path: `open(run.input("train.csv"))`."""
        full = _absolute(path)
        try:
            from dsvc.worktree.index import signature

            sig = signature(os.stat(full))
        except OSError:
            sig = b""
        self._append((events.INPUT, full, sig))
        return path

    def output(self, path: PathT) -> PathT:
        """Say that the run writes this file or folder, and return the path."""
        self._append((events.OUTPUT, _absolute(path)))
        return path

    def label(self, name: str, text: str = "") -> str:
        """Set a label."""
        self._append((events.LABEL, clean_name(str(name)), clean_text(str(text))))
        return text

    def model(self, name: str, path: PathT, *, framework: str = "", **facts: object) -> PathT:
        """Say that the run writes a model: an output with a name and, where it is known, a framework."""
        self.output(path)
        self._models[clean_name(name)] = storable({"path": os.fsdecode(path), "framework": framework, **facts})
        self._append((events.META, "models", dict(self._models)))
        return path

    def profile(self, table: T, *, outputs: object = None, target: str = "") -> T:
        """Record what the data that a model is trained on looks like, to compare with what the model is asked later.

        `table` is a data frame, an array of two dimensions or a map of names to columns, in the order in which the
        model takes them; `outputs` is what the model answers to it, or `target` names the column with what it should
        answer. It counts for every model of this run. A table that has no profile is warned of, and the run goes on.
        """
        from dsvc.errors import DsvcError
        from dsvc.monitoring.profile import profile_fields

        try:
            from dsvc.monitoring.tables import profile_table

            self._append((events.META, "profile", profile_fields(profile_table(table, outputs=outputs, target=target))))
        except (DsvcError, ImportError) as error:
            warnings.warn(f"the run has no profile of its data: {error}", RuntimeWarning, stacklevel=2)
        return table

    def name(self, text: str) -> str:
        """Give the run a name."""
        self._append((events.NAME, clean_name(text)))
        return text

    def description(self, text: str) -> str:
        """Say what the run is for."""
        self._append((events.DESCRIPTION, clean_text(text)))
        return text

    def error(self, text: str) -> str:
        """Say that the run failed, and why."""
        self.error_text = text
        self._append((events.ERROR, clean_text(text)))
        return text

    def end(self, *, error: str = "") -> None:
        """End the run and make its record; a second call does nothing."""
        if self.ended:
            return
        if error:
            self.error(error)
        self.ended = True
        self._log.close()
        self._close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error="" if error is None or _is_plain_exit(error) else error_text(error))

    def _append(self, event: tuple[object, ...] | list[object]) -> None:
        if self.is_late:
            return
        if self.ended:
            raise RuntimeError(f"run {short_key(self.key)} has ended: begin another one with dsvc.start_run()")
        try:
            self._log.append(event)
        except (OSError, ValueError, TypeError, OverflowError) as error:
            if not self._warned:
                self._warned = True
                warnings.warn(f"the run loses what is logged: {error}", RuntimeWarning, stacklevel=3)


def error_text(error: BaseException) -> str:
    """Return an exception as text, the end of its traceback included."""
    import traceback

    lines = traceback.format_exception(error)
    text = "".join(lines)
    return text if len(text) < 8000 else "".join(lines[:1]) + "...\n" + text[-6000:]


def _is_plain_exit(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _absolute(path: str | bytes | os.PathLike[str]) -> bytes:
    return os.path.normpath(os.path.join(os.getcwdb(), os.fsencode(path)))
