"""Record the trainer of Hugging Face's Transformers.

    from dsvc.integrations.transformers import Recorder

    trainer = Trainer(model, args, train_dataset=..., callbacks=[Recorder()])

What the trainer logs and its arguments go to the run under way, or to one that begins here; `report_to="none"` in its
arguments keeps other trackers out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import transformers  # type: ignore[import-not-found, unused-ignore]

import dsvc
from dsvc.tracking.run import Run

_SUMMARY = ("train_", "total_flos")  # of what is logged at the end


class Recorder(transformers.TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Adds points to series whenever the trainer logs; of several processes the first one records."""

    def __init__(self, *, run: Run | None = None) -> None:
        self._given = run
        self._found: Run | None = None

    @property
    def run(self) -> Run:
        """The run that it records."""
        if self._found is None:
            self._found = self._given or dsvc.active_run() or dsvc.start_run()
        return self._found

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Keep the arguments that differ from what they are by themselves, and what the model is."""
        del control, kwargs
        if not state.is_world_process_zero:
            return
        plain = {field.name: field.default for field in fields(args)}
        said = args.to_dict()
        always = ("learning_rate", "per_device_train_batch_size", "num_train_epochs", "seed")
        chosen = {name: v for name, v in said.items() if name in always or v != plain.get(name)}
        self.run.params({name: v for name, v in chosen.items() if isinstance(v, (bool, int, float, str))})
        if model is not None:
            self.run.param("model", type(model).__name__)
            self.run.param("parameters", sum(p.numel() for p in model.parameters()))

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Add points to series; what is logged once at the end becomes metrics."""
        del args, control, kwargs
        if not state.is_world_process_zero or not logs:
            return
        numbers = {name: float(v) for name, v in logs.items() if isinstance(v, (int, float)) and name != "epoch"}
        final = {name: value for name, value in numbers.items() if name.startswith(_SUMMARY)}
        self.run.metrics(final)
        points = {name: value for name, value in numbers.items() if name not in final}
        if points:
            self.run.log(points, step=state.global_step)


def save(trainer: Any, path: str, *, name: str = "", run: Run | None = None) -> str:
    """Let a trainer, or a model itself, write the model into a folder, and record it; return the path."""
    found = run or dsvc.active_run() or dsvc.start_run()
    by_trainer = hasattr(trainer, "save_model")
    (trainer.save_model if by_trainer else trainer.save_pretrained)(os.fspath(path))
    facts = {"framework_version": str(transformers.__version__)}
    model = trainer.model if by_trainer else trainer
    found.model(name or type(model).__name__, path, framework="transformers", **facts)
    return path
