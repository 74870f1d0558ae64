"""Estimators of scikit-learn, written by skops or joblib."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from dsvc.serving.files import CannotLoadError, UntrustedModelError, find_file
from dsvc.serving.loaders.arrays import TensorModel, frame_of, matrix_of
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.refusals import Refusal
from dsvc.serving.signature import Field, Signature, numbered

_ANSWERS: Final = ("predict", "predict_proba", "decision_function", "transform")


def load(served: ServedModel, *, trusted: bool) -> SklearnModel:
    """Return the estimator of a folder.

    A file of skops names the types in it, and only those that skops knows are made, unless somebody vouches for it.
    """
    name = find_file(served, ".skops", ".joblib", ".pkl", ".pickle")
    path = str(served.path(name))
    if name.endswith(".skops"):
        from skops import io  # type: ignore[import-not-found, import-untyped, unused-ignore]

        unknown = io.get_untrusted_types(file=path)
        if unknown and not trusted:
            raise UntrustedModelError(f"{name} holds {', '.join(map(str, unknown[:5]))}, which skops does not know. It")
        estimator = io.load(path, trusted=unknown)
    else:
        if not trusted:
            raise UntrustedModelError(name)
        import joblib  # type: ignore[import-untyped, import-not-found, unused-ignore]

        estimator = joblib.load(path)
    return SklearnModel(estimator)


class SklearnModel(TensorModel):
    """An estimator; what it answers is what its methods return."""

    framework = "sklearn"

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        names = getattr(estimator, "feature_names_in_", None)
        count = getattr(estimator, "n_features_in_", None)
        self._names = [str(name) for name in names] if names is not None else []
        fields: Sequence[Field] = tuple(map(Field, self._names)) if self._names else numbered(count or 0)
        self.signature = Signature(tuple(fields)) if fields else None
        self.outputs = [name for name in _ANSWERS if hasattr(estimator, name)]
        if not self.outputs:
            raise CannotLoadError(f"a {type(estimator).__name__} neither predicts nor transforms")
        self._as_frame = bool(self._names) and not self._takes_arrays()
        if self._as_frame:  # columns are chosen by name, and need not be numbers: a profile knows
            self.signature = None
        # An array in the order of the names is what the estimator gets on purpose.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")

    def _takes_arrays(self) -> bool:
        """Find out whether an estimator that learned names is content with an array, which is faster."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                getattr(self.estimator, self.outputs[0])(np.zeros((1, len(self._names))))
        except Exception:  # noqa: BLE001 - it chooses columns by name, say
            return False
        return True

    def predict(self, rows: Rows, output: str) -> Any:
        """Call the method that `output` names."""
        ask = getattr(self.estimator, output)
        try:
            if self._names and (self._as_frame or rows.matrix is None):
                return ask(frame_of(rows, self._names))
            return ask(matrix_of(rows))
        except ValueError as error:
            raise Refusal(f"the model does not take these rows: {str(error).splitlines()[0]}") from error
