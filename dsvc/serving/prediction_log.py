"""A sample of what a model was asked and what it answered, as Parquet files that a later training can read."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from dsvc.errors import RequestError
from dsvc.serving.predictor import Rows

_TOGETHER: Final = 1000  # rows in a file
_PATIENCE: Final = 60  # seconds that rows wait for others, while requests come
_log = logging.getLogger("dsvc.serving")


class CannotLogError(RequestError):
    """A folder that cannot be written to, or no library that writes Parquet."""


class PredictionLog:
    """Writes a share of the requests, whole ones, into a folder; each file is there whole or not at all.

    A row has the inputs by their names, the answers as `predict`, or `predict.NAME` for each of several, and `_time`,
    microseconds since 1970 UTC. A file that cannot be written is lost, which the log of the server says; answers are
    never late because of it.
    """

    def __init__(self, folder: Path, share: float, title: str, names: Sequence[str]) -> None:
        try:
            import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore] # noqa: F401
        except ModuleNotFoundError as error:
            raise CannotLogError("a log of predictions needs pyarrow", hint="pip install 'dsvc[parquet]'") from error
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotLogError(f"{folder} cannot be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise CannotLogError(f"{folder} cannot be written to")
        self._folder, self._share, self._names = folder, share, list(names)
        self._title = title.replace("/", "-").replace(" ", "-")
        self._random = random.Random()  # noqa: S311 - it draws a sample
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log")
        self._waiting: list[tuple[int, dict[str, Any], int]] = []
        self._rows = 0
        self._files = 0
        self._since = time.monotonic()

    def add(self, rows: Rows, found: Any) -> None:
        """Keep a request with its answer, or not."""
        if self._random.random() >= self._share:
            return
        columns = {**self._inputs(rows), **_answers(found)}
        self._waiting.append((time.time_ns() // 1000, columns, rows.count))
        self._rows += rows.count
        if self._rows >= _TOGETHER or time.monotonic() - self._since > _PATIENCE:
            self._send()

    def close(self) -> None:
        """Write what waits."""
        self._send()
        self._writer.shutdown()

    def _send(self) -> None:
        waiting, self._waiting, self._rows, self._since = self._waiting, [], 0, time.monotonic()
        if waiting:
            self._files += 1
            self._writer.submit(self._write, waiting, self._files)

    def _inputs(self, rows: Rows) -> dict[str, Any]:
        if rows.columns is not None:
            return dict(rows.columns)
        width = rows.matrix.shape[1]
        names = self._names if len(self._names) == width else [f"x{at}" for at in range(width)]
        return {name: rows.matrix[:, at] for at, name in enumerate(names)}

    def _write(self, waiting: list[tuple[int, dict[str, Any], int]], number: int) -> None:
        import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore]
        from pyarrow import parquet

        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        path = self._folder / f"{self._title}-{now}-{os.getpid()}-{number}.parquet"
        half = path.with_suffix(".part")
        try:
            names = list(dict.fromkeys(name for _, columns, _ in waiting for name in columns))
            table: dict[str, Any] = {"_time": [at for at, _, count in waiting for _ in range(count)]}
            for name in names:
                table[name] = [
                    value
                    for _, columns, count in waiting
                    for value in (columns[name].tolist() if name in columns else [None] * count)
                ]
            parquet.write_table(pa.table(table), half)
            half.rename(path)
        except Exception:  # noqa: BLE001 - whatever a disk or a library refuses: serving goes on
            _log.exception("%s was not written", path)
            half.unlink(missing_ok=True)


def _answers(found: Any) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return {f"predict.{name}": np.asarray(each) for name, each in found.items()}
    return {"predict": np.asarray(found)}
