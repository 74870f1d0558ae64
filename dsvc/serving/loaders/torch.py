"""Modules of PyTorch: TorchScript, exported programs, and whole modules that were pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dsvc.serving.files import CannotLoadError, UntrustedModelError, find_file
from dsvc.serving.loaders.arrays import RowLimits, TensorModel, columns_of, in_parts, matrix_of
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel

_ANY = RowLimits()


def load(served: ServedModel, *, trusted: bool) -> TorchModel:
    """Return the module of a folder. All of its forms can run code, so somebody must vouch for it."""
    name = find_file(served, ".pt2", ".ts", ".pt", ".pth")
    if not trusted:
        raise UntrustedModelError(name)
    import torch  # type: ignore[import-not-found, import-untyped, unused-ignore]

    path = str(served.path(name))
    if name.endswith(".pt2"):
        program = torch.export.load(path)
        return TorchModel(program.module(), limits=_row_limits(program))
    try:
        module = torch.jit.load(path, map_location="cpu")
    except RuntimeError:
        module = torch.load(path, map_location="cpu", weights_only=False)
    if not callable(module):
        hint = "save the whole module by torch.jit.script, or add a predictor.py that makes it"
        raise CannotLoadError(f"{name} holds weights and no module", hint=hint)
    return TorchModel(module.eval())


class TorchModel(TensorModel):
    """A module in the mode of evaluation, on the processor; `limits` are those of the rows of each call."""

    framework = "torch"
    outputs = ("predict",)
    signature = None

    def __init__(self, module: Any, *, limits: RowLimits = _ANY) -> None:
        import torch  # type: ignore[import-not-found, import-untyped, unused-ignore]

        self._torch, self._module, self._limits = torch, module, limits
        parameters = getattr(module, "parameters", None)
        first = next(iter(parameters()), None) if parameters is not None else None
        self._type = first.dtype if first is not None else torch.float32

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Call the module with one tensor, or with each input by its name."""
        return in_parts(self._call, rows, self._limits)

    def _call(self, rows: Rows) -> Any:
        with self._torch.no_grad():
            if rows.matrix is not None or len(rows.columns or ()) == 1:
                found = self._module(self._tensor(matrix_of(rows)))
            else:
                found = self._module(**{name: self._tensor(each) for name, each in columns_of(rows, ()).items()})
        if isinstance(found, (tuple, list)):
            found = {f"output{at}": each for at, each in enumerate(found)}
        if isinstance(found, dict):
            return {name: each.numpy() for name, each in found.items()}
        return found.numpy()

    def _tensor(self, values: Any) -> Any:
        tensor = self._torch.from_numpy(np.ascontiguousarray(values))
        return tensor.to(self._type) if tensor.is_floating_point() else tensor


def _row_limits(program: Any) -> RowLimits:
    """Return how many rows an exported program takes at once: one number, or the range of a dynamic dimension."""
    given = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in given and "val" in node.meta]
    found = {_limits(shape[0], program.range_constraints) if shape else RowLimits() for shape in shapes}
    return found.pop() if len(found) == 1 else RowLimits()


def _limits(size: Any, ranges: Mapping[Any, Any]) -> RowLimits:
    if isinstance(size, int):
        return RowLimits(size, size)
    known = ranges.get(size.node.expr)
    if known is None:
        return RowLimits()
    return RowLimits(int(known.lower), int(known.upper) if getattr(known.upper, "is_Integer", False) else None)
