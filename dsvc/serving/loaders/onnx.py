"""Models in the ONNX format, run by ONNX Runtime."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dsvc.serving.files import find_file
from dsvc.serving.loaders.arrays import RowLimits, TensorModel, columns_of, in_parts, matrix_of
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.signature import Field, Signature, Type, numbered

_TYPES: Final = {
    "tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2", "tensor(int64)": "i8",
    "tensor(int32)": "i4", "tensor(int8)": "i1", "tensor(uint8)": "u1", "tensor(bool)": "?", "tensor(string)": "O",
}  # fmt: skip


def load(served: ServedModel, *, trusted: bool) -> OnnxModel:  # noqa: ARG001 - it runs no code of the model's
    """Return the model of a folder."""
    import onnxruntime  # type: ignore[import-not-found, import-untyped, unused-ignore]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    path = str(served.path(find_file(served, ".onnx")))
    return OnnxModel(onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers()))


class OnnxModel(TensorModel):
    """A session; its answers are the outputs of the graph."""

    framework = "onnx"

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = session.get_inputs()
        self.outputs = [output.name for output in session.get_outputs()]
        self.signature = Signature(self._fields())
        sizes = {each.shape[0] if each.shape and isinstance(each.shape[0], int) else None for each in self._inputs}
        size = sizes.pop() if len(sizes) == 1 and self.signature.is_table else None
        self._limits = RowLimits(size, size) if size is not None else RowLimits()

    def _fields(self) -> tuple[Field, ...]:
        first = self._inputs[0]
        if len(self._inputs) == 1 and len(first.shape) == 2 and isinstance(first.shape[1], int):
            kind = _kind(first.type)
            return tuple(Field(each.name, kind) for each in numbered(first.shape[1]))
        if all(len(each.shape) == 2 and each.shape[1] == 1 for each in self._inputs):
            return tuple(Field(each.name, _kind(each.type)) for each in self._inputs)
        return tuple(
            Field(each.name, _kind(each.type), shape=tuple(n if isinstance(n, int) else -1 for n in each.shape))
            for each in self._inputs
        )

    def predict(self, rows: Rows, output: str) -> Any:
        """Compute one output of the graph, which may take one row at once, or another fixed number."""
        return in_parts(lambda part: self._run(part, output), rows, self._limits)

    def _run(self, rows: Rows, output: str) -> Any:
        if len(self._inputs) == 1:
            feed = {self._inputs[0].name: matrix_of(rows)}
        else:
            given = columns_of(rows, [each.name for each in self._inputs])
            feed = {each.name: given[each.name] for each in self._inputs}
            feed = {
                each.name: feed[each.name].reshape(-1, 1) if len(each.shape) == 2 else feed[each.name]
                for each in self._inputs
            }
        cast = {each.name: np.asarray(feed[each.name], dtype=_TYPES.get(each.type, "f4")) for each in self._inputs}
        (found,) = self._session.run([output], cast)
        return found


def _kind(name: str) -> Type:
    if name == "tensor(string)":
        return "string"
    if name == "tensor(bool)":
        return "boolean"
    return "integer" if "int" in name else "float"
