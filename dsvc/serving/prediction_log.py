"""A sample of what a model was asked and what it answered, for a later training."""

from __future__ import annotations

import logging
import os
import random
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from dsvc.errors import RequestError
from dsvc.serving.journal import Facts, Journal, take_up
from dsvc.serving.predictor import Rows
from dsvc.serving.protocols import plain

_ROWS: Final = 20_000  # in a file
_BYTES: Final = 16 << 20  # of a journal, from which one table is made
_PATIENCE: Final = 600.0  # seconds until a file is finished
_PAUSE: Final = 0.5  # seconds that requests wait to be written
_WAITING: Final = 2_000_000  # values that may wait: 16 MB of numbers
_log = logging.getLogger("dsvc.serving")


class CannotLogError(RequestError):
    """A folder that cannot be written to."""


class PredictionLog:
    """Writes a share of the requests, whole ones, into a folder, by a thread of its own.

    A row has the inputs by their names, the answers as `predict`, or `predict.NAME` for each of several. What is
    written survives the end of this process, however it ends; files of servers that were killed are taken up. A request
    for which there is no room because the disk is slow or full is left out: answers are never late, and memory does not
    grow. `counts` has the rows that were kept and those that were dropped.
    """

    def __init__(
        self,
        folder: Path,
        share: float,
        facts: Facts,
        names: Sequence[str],
        *,
        rows: int = _ROWS,
        patience: float = _PATIENCE,
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotLogError(f"{folder} cannot be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise CannotLogError(f"{folder} cannot be written to")
        self._folder, self._share, self._names, self._facts = folder, share, list(names), facts
        self._most, self._patience = rows, patience
        self.counts: Counter[str] = Counter(kept=0, dropped=0)
        self._random = random.Random()  # noqa: S311 - it draws a sample
        self._queue: deque[tuple[int, int, dict[str, Any]]] = deque()
        self._size = 0  # values in the queue, and being written
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._journal: Journal | None = None
        self._since = 0.0
        self._failing = False
        self._writer = threading.Thread(target=self._work, name="log", daemon=True)
        self._writer.start()

    def add(self, rows: Rows, found: Any) -> None:
        """Keep a request with its answer, or not."""
        if self._random.random() >= self._share:
            return
        columns = {**self._inputs(rows), **_answers(found)}
        size = rows.count * len(columns)
        with self._lock:
            if self._size and self._size + size > _WAITING:
                self.counts["dropped"] += rows.count
                return
            self._size += size
        self._queue.append((time.time_ns() // 1000, rows.count, columns))

    def close(self) -> None:
        """Write what waits, and finish the file."""
        self._closed.set()
        self._writer.join()

    def _inputs(self, rows: Rows) -> dict[str, Any]:
        if rows.columns is not None:
            return dict(rows.columns)
        width = rows.matrix.shape[1]
        names = self._names if len(self._names) == width else [f"x{at}" for at in range(width)]
        return {name: rows.matrix[:, at] for at, name in enumerate(names)}

    def _work(self) -> None:
        self._guarded(partial(take_up, self._folder))
        while True:
            last = self._closed.wait(_PAUSE)
            while self._queue:
                moment, count, columns = self._queue.popleft()
                kept = self._guarded(partial(self._write, moment, count, columns))
                self.counts["kept" if kept else "dropped"] += count
                with self._lock:
                    self._size -= count * len(columns)
                if not kept and not last:
                    break
            journal = self._journal
            if journal is not None:
                self._guarded(journal.flush)
                if last or time.monotonic() - self._since > self._patience:
                    self._guarded(self._finish)
            if last:
                return

    def _write(self, moment: int, count: int, columns: Mapping[str, Any]) -> None:
        lists = {name: plain(values) for name, values in columns.items()}
        if self._journal is None:
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            title = f"{self._facts['model']}-{self._facts['version']}".replace("/", "-").replace(" ", "-")
            # Servers in containers have the same process id.
            self._journal = Journal(self._folder / f"{title}-{now}-{secrets.token_hex(4)}.journal", self._facts)
            self._since = time.monotonic()
        self._journal.add(moment, count, lists)
        if self._journal.rows >= self._most or self._journal.size >= _BYTES:
            self._finish()

    def _finish(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.finish()

    def _guarded(self, call: Any) -> bool:
        """Whatever a disk or a library refuses: serving goes on, and the log of the server says it once."""
        try:
            call()
        except Exception:  # noqa: BLE001
            if not self._failing:
                _log.exception("the log of predictions cannot be written to %s", self._folder)
            self._failing = True
            return False
        self._failing = False
        return True


def _answers(found: Any) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return {f"predict.{name}": each for name, each in found.items()}
    return {"predict": found}
