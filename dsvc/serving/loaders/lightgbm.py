"""Boosters of LightGBM in its text format, which holds no code."""

from __future__ import annotations

from typing import Any

from dsvc.serving.files import find_file
from dsvc.serving.loaders.arrays import TensorModel, matrix_of
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.signature import Field, Signature


def load(served: ServedModel, *, trusted: bool) -> LightgbmModel:  # noqa: ARG001 - it runs no code of the model's
    """Return the booster of a folder."""
    import lightgbm  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return LightgbmModel(lightgbm.Booster(model_file=str(served.path(find_file(served, ".lgb", ".txt", ".model")))))


class LightgbmModel(TensorModel):
    """A booster; a missing value is one to it."""

    framework = "lightgbm"
    outputs = ("predict",)

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        self.signature = Signature(tuple(Field(name, optional=True) for name in booster.feature_name()))

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Return the predictions of the booster's objective."""
        return self._booster.predict(matrix_of(rows))
