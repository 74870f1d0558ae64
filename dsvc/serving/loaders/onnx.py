"""Models in the ONNX format, run by ONNX Runtime."""

from __future__ import annotations

from typing import Any, Final

from dsvc.serving.files import find_file
from dsvc.serving.loaders.arrays import RowLimits, Tensor, TensorModel, feed_of, in_parts, signature_of_tensors
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.signature import Type

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
        self._tensors = [_tensor(each) for each in session.get_inputs()]
        self.outputs = [output.name for output in session.get_outputs()]
        self.signature = signature_of_tensors(self._tensors)
        sizes = {each.shape[0] if each.shape else -1 for each in self._tensors}
        size = sizes.pop() if len(sizes) == 1 and self.signature.is_table else -1
        self._limits = RowLimits(size, size) if size >= 0 else RowLimits()

    def predict(self, rows: Rows, output: str) -> Any:
        """Compute one output of the graph, which may take one row at once, or another fixed number."""
        return in_parts(lambda part: self._run(part, output), rows, self._limits)

    def _run(self, rows: Rows, output: str) -> Any:
        (found,) = self._session.run([output], feed_of(rows, self._tensors))
        return found


def _tensor(declared: Any) -> Tensor:
    shape = tuple(n if isinstance(n, int) else -1 for n in declared.shape)
    return Tensor(declared.name, _kind(declared.type), _TYPES.get(declared.type, "f4"), shape)


def _kind(name: str) -> Type:
    if name == "tensor(string)":
        return "string"
    if name == "tensor(bool)":
        return "boolean"
    return "integer" if "int" in name else "float"
