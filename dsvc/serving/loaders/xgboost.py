"""Boosters of XGBoost in its own formats (UBJSON, JSON), which hold no code."""

from __future__ import annotations

from typing import Any

from dsvc.serving.files import find_file
from dsvc.serving.loaders.arrays import TensorModel, matrix_of
from dsvc.serving.predictor import Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.signature import Field, Signature, numbered


def load(served: ServedModel, *, trusted: bool) -> XgboostModel:  # noqa: ARG001 - it runs no code of the model's
    """Return the booster of a folder."""
    import xgboost  # type: ignore[import-not-found, import-untyped, unused-ignore]

    booster = xgboost.Booster()
    booster.load_model(str(served.path(find_file(served, ".ubj", ".xgb", ".json", ".model"))))
    return XgboostModel(booster)


class XgboostModel(TensorModel):
    """A booster; a missing value is one to it."""

    framework = "xgboost"
    outputs = ("predict",)

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        names = booster.feature_names
        fields = [Field(name, optional=True) for name in names or ()]
        fields = fields or [Field(each.name, optional=True) for each in numbered(booster.num_features())]
        self.signature = Signature(tuple(fields))

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Return the predictions of the booster's objective."""
        return self._booster.inplace_predict(matrix_of(rows), validate_features=False)
