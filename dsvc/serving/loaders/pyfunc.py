"""Folders of MLflow, through its flavour that all of them have."""

from __future__ import annotations

from typing import Any

from dsvc.serving.files import UntrustedModelError, find_file
from dsvc.serving.loaders.arrays import TensorModel, frame_of, matrix_of
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.signature import Field, Signature, Type


def load(served: ServedModel, *, trusted: bool) -> PyfuncModel:
    """Return the model of a folder. What MLflow wrote is read by pickle in nearly all flavours."""
    if not trusted:
        raise UntrustedModelError("a folder of MLflow")
    from mlflow import pyfunc  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return PyfuncModel(pyfunc.load_model(str(served.path(find_file(served, "MLmodel")).parent)))


class PyfuncModel(TensorModel):
    """A model of MLflow."""

    framework = "mlflow"
    outputs = ("predict",)

    def __init__(self, model: Any) -> None:
        self._model = model
        schema = model.metadata.get_input_schema()
        self.signature = None
        if schema is not None and not schema.is_tensor_spec() and all(schema.input_names()):
            optional = {each.name for each in schema.inputs if not each.required}
            fields = zip(schema.input_names(), schema.input_types(), strict=True)
            self.signature = Signature(tuple(Field(str(n), _kind(str(t)), n in optional) for n, t in fields))
        self._names = [each.name for each in self.signature.inputs] if self.signature else []

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Call the model with a table of pandas, or with an array where it has no names."""
        found = self._model.predict(frame_of(rows, self._names) if self._names else matrix_of(rows))
        return found.to_numpy() if hasattr(found, "to_numpy") else found


def _kind(name: str) -> Type:
    low = name.lower().removeprefix("datatype.")
    if low in ("long", "integer"):
        return "integer"
    return "boolean" if low == "boolean" else "string" if low in ("string", "datetime") else "float"
