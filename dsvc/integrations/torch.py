"""Record the training of PyTorch.

    from dsvc.integrations.torch import Recorder, save

    recorder = Recorder(model, optimizer, epochs=3)
    for batch in recorder.steps(loader):
        loss = ...
        recorder.log(loss=loss)
    save(model, "model.pt", name="churn")

All of it goes to the run under way, or to one that begins here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import dsvc
from dsvc.tracking.run import Run

T = TypeVar("T")
PathT = TypeVar("PathT", str, "os.PathLike[str]")


class Recorder:
    """Counts steps, and records what a model and its optimizer are set to.

    Recorded are the class of the model, the number of its parameters, the settings of the optimizer, and `settings`.
    """

    def __init__(self, model: Any = None, optimizer: Any = None, *, run: Run | None = None, **settings: object) -> None:
        self._run = run or dsvc.active_run() or dsvc.start_run()
        self._optimizer = optimizer
        self.step = 0
        if model is not None:
            self._run.param("model", type(model).__name__)
            self._run.param("parameters", sum(p.numel() for p in model.parameters()))
        if optimizer is not None:
            self._run.param("optimizer", type(optimizer).__name__)
            plain = (bool, int, float, tuple)
            self._run.params({name: v for name, v in optimizer.defaults.items() if isinstance(v, plain)})
        self._run.params(settings)

    def steps(self, batches: Iterable[T]) -> Iterator[T]:
        """Yield the batches, and count a step for each."""
        for batch in batches:
            yield batch
            self.step += 1

    def log(self, **values: Any) -> None:
        """Add a point to series at the present step; a tensor with one element is its number.

        The learning rate of the optimizer is logged along as `lr`.
        """
        import torch  # type: ignore[import-not-found, unused-ignore]

        points = {name: v.item() if isinstance(v, torch.Tensor) and v.numel() == 1 else v for name, v in values.items()}
        if self._optimizer is not None:
            points.setdefault("lr", float(self._optimizer.param_groups[0]["lr"]))
        self._run.log(points, step=self.step)


def save(model: Any, path: PathT, *, name: str = "", run: Run | None = None) -> PathT:
    """Write the state of a module, and record it as a model; return the path.

    A path that ends with `.safetensors` is written in that form, which is read without running code that is in it.
    """
    import torch  # type: ignore[import-not-found, unused-ignore]

    found = run or dsvc.active_run() or dsvc.start_run()
    text = os.fspath(path)
    if text.endswith(".safetensors"):
        from safetensors.torch import save_model  # type: ignore[import-not-found, unused-ignore]

        save_model(model, text)
    else:
        torch.save(model.state_dict(), text)
    facts = {"framework_version": str(torch.__version__), "module": type(model).__name__}
    found.model(name or type(model).__name__, text, framework="torch", **facts)
    return path
