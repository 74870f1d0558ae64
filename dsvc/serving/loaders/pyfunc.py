"""Folders of MLflow, through its flavour that all of them have."""

from __future__ import annotations

from typing import Any

from dsvc.serving.files import UntrustedModelError, find_file
from dsvc.serving.loaders.arrays import Tensor, TensorModel, feed_of, frame_of, matrix_of, signature_of_tensors
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.refusals import Refusal
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
        self._tensors: list[Tensor] = []
        self._types: dict[str, Any] = {}
        if schema is None:
            return
        if schema.is_tensor_spec():
            self._tensors = [
                Tensor(each.name or "inputs", _kind(each.type.name), each.type.str, tuple(map(int, each.shape)))
                for each in schema.inputs
            ]
            self._unnamed = len(self._tensors) == 1 and schema.inputs[0].name is None
            self.signature = signature_of_tensors(self._tensors)
        elif all(schema.input_names()) and all(hasattr(each, "to_pandas") for each in schema.input_types()):
            optional = {each.name for each in schema.inputs if not each.required}
            self._types = {str(n): t for n, t in zip(schema.input_names(), schema.input_types(), strict=True)}
            fields = (Field(name, _kind(str(kind)), name in optional) for name, kind in self._types.items())
            self.signature = Signature(tuple(fields))

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Call the model with a table of pandas, or with an array where it has no names."""
        found = self._asked(self._given(rows))
        if hasattr(found, "columns"):
            return {str(name): found[name].to_numpy() for name in found.columns}
        return found.to_numpy() if hasattr(found, "to_numpy") else found

    def _given(self, rows: Rows) -> Any:
        if self._tensors:
            feed = feed_of(rows, self._tensors)
            return feed[self._tensors[0].name] if self._unnamed else feed
        if not self._types:
            return matrix_of(rows)
        frame = frame_of(rows, list(self._types))
        for name, kind in self._types.items():  # MLflow takes neither 1.0 for 1 nor numbers of another width
            if name not in frame or _kind(str(kind)) == "string":
                continue
            if frame[name].isna().all():
                frame = frame.drop(columns=name)
            elif not frame[name].isna().any():
                frame[name] = frame[name].astype(kind.to_pandas())
        return frame

    def _asked(self, given: Any) -> Any:
        from mlflow import exceptions  # type: ignore[import-not-found, import-untyped, unused-ignore]

        try:
            return self._model.predict(given)
        except exceptions.MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            reason = str(error).rpartition("Error: ")[2].strip()
            raise Refusal(f"MLflow: {reason[:300]}") from error


def _kind(name: str) -> Type:
    low = name.lower().removeprefix("datatype.")
    if low == "long" or "int" in low:
        return "integer"
    if low.startswith(("str", "datetime", "object")):
        return "string"
    return "boolean" if low.startswith("bool") else "float"
