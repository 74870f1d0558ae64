"""Models of Keras, and SavedModels of TensorFlow."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np

from dsvc.serving.files import CannotLoadError, UntrustedModelError, find_file
from dsvc.serving.loaders.arrays import (
    Tensor,
    TensorModel,
    columns_of,
    feed_of,
    matrix_of,
    signature_of_tensors,
)
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.signature import Type


def load(served: ServedModel, *, trusted: bool) -> TensorModel:
    """Return the model of a folder.

    A file of Keras is loaded in its safe mode, which refuses lambdas, unless somebody vouches for it.
    """
    if any(name.endswith("saved_model.pb") for name in served.files):
        if not trusted:
            raise UntrustedModelError("a SavedModel")
        import tensorflow as tf  # type: ignore[import-not-found, import-untyped, unused-ignore]

        folder = served.path(find_file(served, "saved_model.pb")).parent
        return SavedModel(tf, *_signature_to_call(tf.saved_model.load(str(folder))))
    _choose_backend()
    import keras  # type: ignore[import-not-found, import-untyped, unused-ignore]

    path = str(served.path(find_file(served, ".keras")))
    return KerasModel(keras.saving.load_model(path, compile=False, safe_mode=not trusted))


def _signature_to_call(model: Any) -> tuple[Any, Any]:
    """Return a SavedModel, which its variables live by, and its usual signature, or the only one that it has."""
    signatures = model.signatures
    name = "serving_default" if "serving_default" in signatures or len(signatures) != 1 else next(iter(signatures))
    if name not in signatures:
        known = f"the signatures {', '.join(sorted(signatures))}" if signatures else "no signature"
        raise CannotLoadError(f"the SavedModel has {known}, and is called by {name}: save it with that one")
    return model, signatures[name]


def _choose_backend() -> None:
    """Let Keras compute with what is installed: where nothing is said it wants TensorFlow, and fails without."""
    if "KERAS_BACKEND" not in os.environ and find_spec("tensorflow") is None:
        for name in ("torch", "jax"):
            if find_spec(name) is not None:
                os.environ["KERAS_BACKEND"] = name
                return


class KerasModel(TensorModel):
    """A model of Keras, with whatever computes for it."""

    framework = "keras"
    outputs = ("predict",)

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tensors = _inputs_of(model)
        self.signature = signature_of_tensors(self._tensors) if self._tensors else None

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Call the model with one array, or with its inputs by name."""
        if self._tensors:
            feed = feed_of(rows, self._tensors)
            given = feed if len(feed) > 1 else next(iter(feed.values()))
        else:
            single = rows.matrix is not None or len(rows.columns or ()) == 1
            given = np.asarray(matrix_of(rows), dtype=np.float32) if single else columns_of(rows, ())
        found = self._model.predict_on_batch(given)
        if isinstance(found, dict):
            return {name: np.asarray(each) for name, each in found.items()}
        return np.asarray(found)


def _inputs_of(model: Any) -> list[Tensor]:
    """Return what a model declares to take; one that is a class of its own may declare nothing."""
    given = getattr(model, "inputs", None) or []
    by_name = getattr(model, "input", None)
    named = by_name.items() if isinstance(by_name, dict) else [(each.name, each) for each in given]
    return [_tensor(name, each.dtype, each.shape) for name, each in named]


def _tensor(name: str, dtype: Any, shape: Any) -> Tensor:
    called = str(getattr(dtype, "name", dtype))
    kind: Type = "float"
    if called in ("string", "bool"):
        kind = "string" if called == "string" else "boolean"
    elif "int" in called:
        kind = "integer"
    numpy_name = {"string": "O", "bfloat16": "f4"}.get(called, called)
    return Tensor(name, kind, numpy_name, tuple(-1 if n is None else int(n) for n in shape))


class SavedModel(TensorModel):
    """The signature `serving_default` of a SavedModel."""

    framework = "tensorflow"

    def __init__(self, tensorflow: Any, model: Any, call: Any) -> None:
        self._tensorflow, self._model, self._call = tensorflow, model, call
        self._specs = call.structured_input_signature[1]
        several = sorted(call.structured_outputs) if len(call.structured_outputs) > 1 else []
        self.outputs = ("predict", *several)
        self._tensors: list[Tensor] = []
        if self._specs and all(spec.shape.rank is not None for spec in self._specs.values()):
            self._tensors = [_tensor(name, spec.dtype, spec.shape) for name, spec in self._specs.items()]
        self.signature = signature_of_tensors(self._tensors) if self._tensors else None

    def predict(self, rows: Rows, output: str) -> Any:
        """Call the signature with its inputs by name; `predict` is all outputs."""
        given: dict[str, Any] = {}
        if self._tensors:
            given = feed_of(rows, self._tensors)
        else:
            given = {next(iter(self._specs)): matrix_of(rows)} if len(self._specs) == 1 else columns_of(rows, ())
        tensors = {
            name: self._tensorflow.constant(given[name], dtype=spec.dtype) for name, spec in self._specs.items()
        }
        found = {name: each.numpy() for name, each in self._call(**tensors).items()}
        if output in found:
            return found[output]
        return next(iter(found.values())) if len(found) == 1 else found
