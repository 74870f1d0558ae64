"""Python code that stands in the model: a `predictor.py`, and Dotscience's `custom_predict.py`."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import math
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from dsvc.serving.files import CUSTOM, PREDICTOR, CannotLoadError, UntrustedModelError
from dsvc.serving.loaders.arrays import columns_of, frame_of, matrix_of
from dsvc.serving.predictor import Predictor, Rows
from dsvc.serving.record import ServedModel
from dsvc.serving.signature import Field, Signature, Type

_TYPES: Final[Mapping[Any, Type]] = {float: "float", int: "integer", bool: "boolean", str: "string"}


def load(served: ServedModel, *, trusted: bool) -> PythonModel:
    """Return what `predictor.py` defines: a class `Predictor` with a method `predict`, or a function `predict`.

    The class is called with the folder of the model if it takes an argument, and without one otherwise.
    """
    module = _module(served, PREDICTOR, trusted=trusted)
    made = getattr(module, "Predictor", None)
    if isinstance(made, type):
        takes = inspect.signature(made).parameters
        ask = getattr(made(served.folder) if takes else made(), "predict", None)
    else:
        ask = getattr(module, "predict", None)
    if not callable(ask):
        raise CannotLoadError(f"{PREDICTOR} has neither a class Predictor with a method predict nor a function predict")
    return PythonModel(ask)


def load_custom(served: ServedModel, model: Predictor | None, *, trusted: bool) -> CustomModel:
    """Return what `custom_predict.py` defines: `predict(model, query)`, which gets the body and returns the answer."""
    ask = getattr(_module(served, CUSTOM, trusted=trusted), "predict", None)
    if not callable(ask):
        raise CannotLoadError(f"{CUSTOM} has no function predict(model, query)")
    return CustomModel(ask, model)


def _module(served: ServedModel, name: str, *, trusted: bool) -> Any:
    if not served.has(name):
        raise CannotLoadError(f"the model has no {name}")
    if not trusted:
        raise UntrustedModelError(name)
    folder = str(served.folder.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # it may import what stands beside it
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), served.path(name))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CannotLoadError(f"{name} fails: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = before
    return module


class PythonModel:
    """A function that is given what its type hint asks for.

    `list[Row]` with a dataclass or TypedDict `Row` gives rows of that form, and the signature too; `dict` gives
    columns, `list[dict]` and `list` rows, pandas' DataFrame a table, anything else an array. A field of a dataclass
    that has a default, or one of a TypedDict that is NotRequired, may be missing or null, and is left to the form then.
    """

    framework = "python"
    outputs = ("predict",)
    takes_query = False

    def __init__(self, ask: Any) -> None:
        self._ask = ask
        try:
            hints = typing.get_type_hints(ask)
        except (NameError, TypeError):
            hints = {}
        hints.pop("return", None)
        self._hint = next(iter(hints.values()), None)
        self._row = next(iter(typing.get_args(self._hint)), None) if typing.get_origin(self._hint) is list else None
        self._left_out = _may_be_left_out(self._row)
        self.signature = self._signature()
        self._names = [each.name for each in self.signature.inputs] if self.signature else []

    def _signature(self) -> Signature | None:
        row = self._row
        if not (dataclasses.is_dataclass(row) or typing.is_typeddict(row)):
            return None
        fields = []
        for name, hint in typing.get_type_hints(row).items():
            arms = typing.get_args(hint)
            kind = next((arm for arm in arms if arm is not type(None)), hint)
            if kind not in _TYPES:
                raise CannotLoadError(f"the field {name!r} of {row.__name__} is no float, int, bool or str")  # type: ignore[union-attr]
            fields.append(Field(name, _TYPES[kind], optional=name in self._left_out or type(None) in arms))
        return Signature(tuple(fields))

    def predict(self, rows: Rows, output: str) -> Any:  # noqa: ARG002 - there is one
        """Call the function and return an array of its answers, or a map of such arrays."""
        found = self._ask(self._given(rows))
        if isinstance(found, Mapping):
            return {str(name): _array(each) for name, each in found.items()}
        return _array(found)

    def _given(self, rows: Rows) -> Any:
        hint = self._hint
        if typing.get_origin(hint) is dict or hint is dict:
            return columns_of(rows, self._names)
        if getattr(hint, "__name__", "") == "DataFrame":
            return frame_of(rows, self._names)
        if self._row is not None or hint is list:
            if self.signature is not None or self._row is dict or typing.get_origin(self._row) is dict:
                return self._rows(rows)
            return matrix_of(rows).tolist()
        return matrix_of(rows) if rows.matrix is not None or len(rows.columns or ()) == 1 else columns_of(rows, ())

    def _rows(self, rows: Rows) -> list[Any]:
        columns = columns_of(rows, self._names)
        kinds = {each.name: each.type for each in self.signature.inputs} if self.signature else {}
        plain = {name: _typed(each.tolist(), kinds.get(name)) for name, each in columns.items()}
        pairs = [zip(plain, values, strict=True) for values in zip(*plain.values(), strict=True)]
        maps = [{name: one for name, one in row if one is not None or name not in self._left_out} for row in pairs]
        make: Any = self._row
        return [make(**each) for each in maps] if isinstance(make, type) and dataclasses.is_dataclass(make) else maps

    def answer(self, query: Mapping[str, Any]) -> Any:
        """Never called: bodies are read by the server."""
        raise NotImplementedError


class CustomModel:
    """Dotscience's form: a function of the model and the body of a request."""

    takes_query = True

    def __init__(self, ask: Any, model: Predictor | None) -> None:
        self._ask, self._inner = ask, model
        self.framework = model.framework if model is not None else "python"
        self.signature = model.signature if model is not None else None
        self.outputs: Sequence[str] = model.outputs if model is not None else ()
        self._model = getattr(model, "estimator", model)

    def predict(self, rows: Rows, output: str) -> Any:
        """Ask the model itself, which the Open Inference Protocol does."""
        if self._inner is None:
            raise NotImplementedError
        return self._inner.predict(rows, output)

    def answer(self, query: Mapping[str, Any]) -> Any:
        """Return what the function returns."""
        return self._ask(self._model, query)


def _may_be_left_out(row: Any) -> frozenset[str]:
    if dataclasses.is_dataclass(row):
        missing = dataclasses.MISSING
        fields = dataclasses.fields(row)
        return frozenset(each.name for each in fields if (each.default, each.default_factory) != (missing, missing))
    return frozenset(getattr(row, "__optional_keys__", ()))


def _typed(values: list[Any], kind: Type | None) -> list[Any]:
    make = {"integer": int, "boolean": bool, "float": float}.get(kind or "")
    return values if make is None else [None if math.isnan(value) else make(value) for value in values]


def _array(found: Any) -> Any:
    if isinstance(found, list) and found and isinstance(found[0], Mapping):
        return np.array(found, dtype=object)
    return np.asarray(found)
