"""Record the training of Keras.

    from dsvc.integrations.keras import Recorder, save

    model.fit(x, y, epochs=3, callbacks=[Recorder()])
    save(model, "model.keras", name="churn")

All of it goes to the run under way, or to one that begins here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import keras  # type: ignore[import-not-found, unused-ignore]

import dsvc
from dsvc.runs.values import shortest
from dsvc.tracking.run import Run

PathT = TypeVar("PathT", str, "os.PathLike[str]")


class Recorder(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Adds a point to a series for each epoch, with `batches` for each batch too (`batch/loss`)."""

    def __init__(self, *, batches: bool = False, run: Run | None = None, **settings: object) -> None:
        super().__init__()
        self._run = run or dsvc.active_run() or dsvc.start_run()
        self._batches, self._step = batches, 0
        self._run.params(settings)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Keep what the model and its optimizer are set to."""
        del logs
        found = self._run
        found.params({"model": type(self.model).__name__, "parameters": self.model.count_params()})
        found.params({name: value for name, value in (self.params or {}).items() if _is_plain(value)})
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            found.param("optimizer", type(optimizer).__name__)
            settings = optimizer.get_config()
            plain = {name: value for name, value in settings.items() if _is_plain(value) and name != "name"}
            found.params({name: _short(value) for name, value in plain.items()})

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log a batch, where that was asked for."""
        del batch
        if self._batches and logs:
            self._run.log({f"batch/{name}": float(value) for name, value in logs.items()}, step=self._step)
        self._step += 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log an epoch."""
        if logs:
            self._run.log({name: float(value) for name, value in logs.items()}, step=epoch)


def save(model: Any, path: PathT, *, name: str = "", run: Run | None = None) -> PathT:
    """Write a model in Keras' own form, and record it; return the path."""
    found = run or dsvc.active_run() or dsvc.start_run()
    model.save(os.fspath(path))
    facts = {"framework_version": str(keras.__version__), "backend": str(keras.backend.backend())}
    found.model(name or model.name, os.fspath(path), framework="keras", **facts)
    return path


def _short(value: object) -> object:
    return shortest(value) if isinstance(value, float) and abs(value) < 1e30 else value  # Keras has 32-bit floats


def _is_plain(value: object) -> bool:
    return value is not None and isinstance(value, (bool, int, float, str))
