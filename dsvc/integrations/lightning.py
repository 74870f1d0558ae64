"""Record the training of Lightning.

    from dsvc.integrations.lightning import Recorder

    trainer = lightning.Trainer(max_epochs=3, logger=Recorder())

`self.log(...)` of a module and its hyperparameters go to the run under way, or to one that begins here; so does the
best checkpoint, as a model. The package `pytorch_lightning` is taken where `lightning` is not installed.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import dsvc
from dsvc.runs.names import short_key
from dsvc.tracking.run import Run

try:
    import lightning.pytorch as library  # type: ignore[import-not-found, unused-ignore]
    from lightning.pytorch.loggers.logger import Logger  # type: ignore[import-not-found, unused-ignore]
    from lightning.pytorch.utilities import rank_zero_only  # type: ignore[import-not-found, unused-ignore]
except ModuleNotFoundError:
    import pytorch_lightning as library  # type: ignore[import-not-found, unused-ignore]
    from pytorch_lightning.loggers.logger import Logger  # type: ignore[import-not-found, unused-ignore]
    from pytorch_lightning.utilities import rank_zero_only  # type: ignore[import-not-found, unused-ignore]


class Recorder(Logger):  # type: ignore[misc, unused-ignore]
    """A logger of Lightning; of several processes the first one records."""

    def __init__(self, *, name: str = "", run: Run | None = None) -> None:
        super().__init__()
        self._name = name
        self._given = run
        self._found: Run | None = None
        self._checkpoints: Any = None

    @property
    def run(self) -> Run:
        """The run that it records."""
        if self._found is None:
            self._found = self._given or dsvc.active_run() or dsvc.start_run(self._name)
        return self._found

    @property
    def name(self) -> str:
        """What checkpoints lie below, beside `version`."""
        return self._name or "dsvc"

    @property
    def version(self) -> str:
        """The first digits of the run."""
        return short_key(self.run.key)

    @rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Keep hyperparameters."""
        del args, kwargs
        self.run.params(vars(params) if isinstance(params, Namespace) else dict(params))

    @rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a point to series."""
        points = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        if points:
            self.run.log(points, step=step)

    @rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Remember who writes checkpoints."""
        self._checkpoints = checkpoint_callback

    @rank_zero_only  # type: ignore[untyped-decorator, unused-ignore]
    def finalize(self, status: str) -> None:
        """Keep the best checkpoint, and say when training failed; the run goes on."""
        if status == "failed":
            self.run.error("Lightning says that training failed")
        path = getattr(self._checkpoints, "best_model_path", "")
        if path and os.path.exists(path):
            score = getattr(self._checkpoints, "best_model_score", None)
            if score is not None:
                self.run.metric(f"best_{self._checkpoints.monitor}", float(score))
            self.run.model(
                self._name or "checkpoint", path, framework="lightning", framework_version=str(library.__version__)
            )
