"""Models of Keras, and SavedModels of TensorFlow."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np

from dsvc.serving.files import UntrustedModelError, find_file
from dsvc.serving.loaders.arrays import TensorModel, columns_of, matrix_of
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel


def load(served: ServedModel, *, trusted: bool) -> TensorModel:
    """Return the model of a folder.

    A file of Keras is loaded in its safe mode, which refuses lambdas, unless somebody vouches for it.
    """
    if any(name.endswith("saved_model.pb") for name in served.files):
        if not trusted:
            raise UntrustedModelError("a SavedModel")
        import tensorflow as tf  # type: ignore[import-not-found, import-untyped, unused-ignore]

        folder = served.path(find_file(served, "saved_model.pb")).parent
        return SavedModel(tf, tf.saved_model.load(str(folder)))
    _choose_backend()
    import keras  # type: ignore[import-not-found, import-untyped, unused-ignore]

    path = str(served.path(find_file(served, ".keras")))
    return KerasModel(keras.saving.load_model(path, compile=False, safe_mode=not trusted))


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
    signature = None

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Call the model with one array, or with its inputs by name."""
        single = rows.matrix is not None or len(rows.columns or ()) == 1
        given = np.asarray(matrix_of(rows), dtype=np.float32) if single else columns_of(rows, ())
        found = self._model.predict_on_batch(given)
        if isinstance(found, dict):
            return {name: np.asarray(each) for name, each in found.items()}
        return np.asarray(found)


class SavedModel(TensorModel):
    """The signature `serving_default` of a SavedModel."""

    framework = "tensorflow"
    outputs = ("predict",)
    signature = None

    def __init__(self, tensorflow: Any, model: Any) -> None:
        self._tensorflow, self._model = tensorflow, model
        self._call = model.signatures["serving_default"]
        self._specs = self._call.structured_input_signature[1]

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Call the signature with its inputs by name."""
        given = {next(iter(self._specs)): matrix_of(rows)} if len(self._specs) == 1 else columns_of(rows, ())
        tensors = {
            name: self._tensorflow.constant(given[name], dtype=spec.dtype) for name, spec in self._specs.items()
        }
        found = {name: each.numpy() for name, each in self._call(**tensors).items()}
        return next(iter(found.values())) if len(found) == 1 else found
