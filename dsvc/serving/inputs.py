"""Check the inputs of a request by the model's signature, and bring them into the form that models take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from dsvc.serving.predictor import Rows
from dsvc.serving.refusals import Refusal
from dsvc.serving.signature import Field, Signature

_NUMERIC: Final = "biuf"  # kinds of numpy's types
_DATATYPES: Final = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1", "INT16": "i2",
    "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8", "BYTES": "O",
}  # fmt: skip
_DIMENSIONS: Final = 32  # that numpy's arrays can have, at least


class InputReader:
    """Reads the inputs of one model. Every method raises Refusal, which says the row and the column, and why."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._fields = signature.inputs
        self._names = [field.name for field in self._fields]
        self._positions = {name: at for at, name in enumerate(self._names)}
        self._whole = [at for at, field in enumerate(self._fields) if field.type in ("integer", "boolean")]

    def instances(self, instances: object) -> Rows:
        """Read the row form of TensorFlow Serving: a list of rows, each a list in order, or a map of names."""
        if not isinstance(instances, list) or not instances:
            raise Refusal("'instances' is no list with at least one row")
        if not self._fields:
            return _anything(instances)
        if not self._signature.is_table:
            return self._tensor_rows(instances)
        tensor = self._signature.tensor
        if tensor and all(isinstance(row, dict) and list(row) == [tensor] for row in instances):
            instances = [row[tensor] for row in instances]
        if self._signature.is_numeric:
            rows = self._numbers(instances)
            if rows is not None:
                return rows
        return self._checked([self._row(row, at) for at, row in enumerate(instances)])

    def columns(self, columns: object) -> Rows:
        """Read the column form of TensorFlow Serving: a map of names to lists, or the list of the only input."""
        if isinstance(columns, list):
            if len(self._fields) > 1 and self._signature.is_table:
                return self.instances(columns)
            return self.instances(columns)
        if not isinstance(columns, dict) or not columns:
            raise Refusal("'inputs' is neither a list nor a map of names to lists")
        lengths = {len(each) if isinstance(each, list) else -1 for each in columns.values()}
        if lengths in ({-1}, {0}) or len(lengths) != 1:
            raise Refusal("the lists in 'inputs' have different lengths, or are none")
        if self._signature.is_table:
            names = list(columns)
            return self.instances([dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)])
        if not self._fields:
            return Rows(lengths.pop(), None, {name: np.asarray(each) for name, each in columns.items()})
        self._check_names(columns)
        return self._tensors({name: _array(each, name) for name, each in columns.items()})

    def tensors(self, tensors: object) -> Rows:
        """Read the inputs of the Open Inference Protocol: one tensor of all columns, or one for each input."""
        if not isinstance(tensors, list) or not tensors:
            raise Refusal("'inputs' is no list with at least one tensor")
        named = dict(map(_tensor, tensors))
        if len(named) != len(tensors):
            raise Refusal("two tensors of 'inputs' have one name")
        if not self._fields:
            first = next(iter(named.values()))
            if len(named) == 1 and first.ndim == 2 and first.dtype.kind in _NUMERIC:
                return Rows(len(first), first)
            return Rows(len(first), None, named)
        if self._signature.is_table:
            (name, tensor), *more = named.items()
            if not more and tensor.ndim == 2 and (tensor.shape[1] > 1 or name not in self._positions):
                return self.instances(tensor.tolist()) if tensor.dtype.kind not in _NUMERIC else self._matrix(tensor)
            flat = {}
            for name, tensor in named.items():
                if tensor.ndim not in (1, 2) or (tensor.ndim == 2 and tensor.shape[1] != 1):
                    shape = list(tensor.shape)
                    raise Refusal(f"the tensor {name!r} has the shape {shape}, a column has [-1] or [-1, 1]")
                flat[name] = tensor.ravel().tolist()
            return self.columns(flat)
        self._check_names(named)
        return self._tensors(named)

    def _numbers(self, instances: list[Any]) -> Rows | None:
        """Take rows that are whole and numeric as they are; None where they have to be looked at one by one."""
        first = instances[0]
        if isinstance(first, dict):
            names = self._names
            count = len(names)
            try:
                if any(len(row) != count for row in instances):
                    return None
                instances = [[row[name] for name in names] for row in instances]
            except (KeyError, TypeError):
                return None
        elif not isinstance(first, list):
            if len(self._fields) != 1:
                return None
            instances = [[value] for value in instances]
        try:
            found = np.array(instances)
        except (ValueError, OverflowError):
            return None
        if found.dtype.kind not in _NUMERIC or found.ndim != 2 or found.shape[1] != len(self._fields):
            return None
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            return None
        return self._matrix(found)

    def _matrix(self, found: Any) -> Rows:
        if found.shape[1] != len(self._fields):
            raise Refusal(f"a row has {found.shape[1]} values, the model takes {len(self._fields)}")
        if found.dtype.kind == "f":
            if not np.isfinite(found).all():
                row, column = map(int, np.argwhere(~np.isfinite(found))[0])
                raise Refusal(f"row {row}, {self._names[column]!r}: {found[row, column]} is no number")
            whole = found[:, self._whole]
            if self._whole and not (whole == np.floor(whole)).all():
                row, at = map(int, np.argwhere(whole != np.floor(whole))[0])
                name = self._names[self._whole[at]]
                raise Refusal(f"row {row}, {name!r}: {whole[row, at]} is no integer")
        return Rows(len(found), np.ascontiguousarray(found, dtype=np.float64))

    def _row(self, row: object, at: int) -> list[Any]:
        """Bring one row into the order of the signature."""
        if isinstance(row, dict):
            for name in row:
                if name not in self._positions:
                    raise Refusal(f"row {at}: the model knows no input {name!r}; it takes {_listed(self._names)}")
            return [self._value(row.get(field.name), field, at) for field in self._fields]
        values = row if isinstance(row, list) else [row]
        if len(values) != len(self._fields):
            raise Refusal(f"row {at} has {len(values)} values, the model takes {len(self._fields)}")
        return [self._value(value, field, at) for value, field in zip(values, self._fields, strict=True)]

    @staticmethod
    def _value(value: Any, field: Field, at: int) -> Any:
        where = f"row {at}, {field.name!r}"
        if value is None:
            if not field.optional:
                raise Refusal(f"{where}: a value is missing")
            return None if field.type == "string" else math.nan
        if field.type == "string":
            if not isinstance(value, str):
                raise Refusal(f"{where}: {_short(value)} is no text")
            return value
        if isinstance(value, bool):
            return float(value)
        if not isinstance(value, (int, float)):
            raise Refusal(f"{where}: {_short(value)} is no number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise Refusal(f"{where}: {_short(value)} is too large")
        if field.type in ("integer", "boolean") and number != math.floor(number):
            raise Refusal(f"{where}: {_short(value)} is no integer")
        return number

    def _checked(self, rows: list[list[Any]]) -> Rows:
        if self._signature.is_numeric:
            return Rows(len(rows), np.array(rows, dtype=np.float64))
        columns: dict[str, Any] = {}
        for field, values in zip(self._fields, zip(*rows, strict=True), strict=True):
            columns[field.name] = np.array(values, dtype=object if field.type == "string" else np.float64)
        return Rows(len(rows), None, columns)

    def _tensor_rows(self, instances: list[Any]) -> Rows:
        if len(self._fields) == 1:
            name = self._names[0]
            if all(isinstance(row, dict) for row in instances):
                instances = [self._only(row, name) for row in instances]
            return self._tensors({name: _array(instances, name)})
        for at, row in enumerate(instances):
            if not isinstance(row, dict):
                raise Refusal(f"row {at} is no map of the inputs {_listed(self._names)}")
            self._check_names(row)
        return self._tensors({name: _array([row[name] for row in instances], name) for name in self._names})

    def _only(self, row: dict[str, Any], name: str) -> Any:
        self._check_names(row)
        return row[name]

    def _check_names(self, given: Mapping[str, Any]) -> None:
        for name in given:
            if name not in self._positions:
                raise Refusal(f"the model knows no input {name!r}; it takes {_listed(self._names)}")
        for name in self._names:
            if name not in given:
                raise Refusal(f"the input {name!r} is missing")

    def _tensors(self, given: Mapping[str, Any]) -> Rows:
        counts = set()
        for field in self._fields:
            found = given[field.name]
            wanted = field.shape or (-1,)
            if found.ndim != len(wanted) or any(w not in (-1, n) for w, n in zip(wanted, found.shape, strict=True)):
                raise Refusal(f"the input {field.name!r} has the shape {list(found.shape)}, not {list(wanted)}")
            if field.type != "string" and found.dtype.kind not in _NUMERIC:
                raise Refusal(f"the input {field.name!r} holds something else than numbers")
            if found.dtype.kind == "f" and not np.isfinite(found).all():
                raise Refusal(f"the input {field.name!r} holds a number that is not finite")
            if field.type == "string" and not all(isinstance(each, (str, bytes)) for each in found.ravel()):
                raise Refusal(f"the input {field.name!r} holds something else than texts")
            if field.type == "integer" and found.dtype.kind == "f" and not (found == np.floor(found)).all():
                raise Refusal(f"the input {field.name!r} holds a number that is no integer")
            counts.add(found.shape[0] if found.ndim else 1)
        if len(counts) != 1:
            raise Refusal("the inputs have different numbers of rows")
        return Rows(counts.pop(), None, dict(given))


def _anything(instances: list[Any]) -> Rows:
    """Take what a model without a signature is given."""
    if all(isinstance(row, dict) for row in instances):
        names = list(dict.fromkeys(name for row in instances for name in row))
        columns = {name: np.array([row.get(name) for row in instances], dtype=object) for name in names}
        return Rows(len(instances), None, columns)
    found = _array(instances, "instances")
    if found.ndim == 2 and found.dtype.kind in _NUMERIC:
        return Rows(len(found), found)
    return Rows(len(instances), None, {"instances": found})


def _array(values: Any, name: str) -> Any:
    try:
        found = np.array(values)
    except (ValueError, OverflowError) as error:
        raise Refusal(f"the values of {name!r} are no array: its parts have different lengths") from error
    return found.astype(object) if found.dtype.kind in "US" else found


def _tensor(fields: object) -> tuple[str, Any]:
    """Read one tensor of the Open Inference Protocol, of which `data` may be flat or nested."""
    match fields:
        case {"name": str(name), "shape": list(shape), "datatype": str(datatype), "data": list(data)}:
            pass
        case {"name": str(name), "parameters": {"binary_data_size": _}}:
            raise Refusal(f"the tensor {name!r} is binary, which is not understood; send it as JSON")
        case _:
            raise Refusal("a tensor has no name, shape, datatype and data")
    if datatype not in _DATATYPES:
        raise Refusal(f"the tensor {name!r} has the unknown datatype {datatype!r}")
    if not shape or len(shape) > _DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise Refusal(f"the tensor {name!r} has no valid shape")
    found = _array(data, name)
    if found.size != math.prod(shape):
        raise Refusal(f"the tensor {name!r} has {found.size} values, its shape {shape} says {math.prod(shape)}")
    if not found.size:
        raise Refusal(f"the tensor {name!r} is empty")
    if datatype == "BYTES":
        if not all(isinstance(value, str) for value in found.ravel()):
            raise Refusal(f"the tensor {name!r} holds something else than texts")
        return name, found.reshape(shape)
    if found.dtype.kind not in _NUMERIC:
        raise Refusal(f"the tensor {name!r} holds something else than numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = found.astype(_DATATYPES[datatype])
    if datatype[0] in "UI" and not (cast == found).all():
        raise Refusal(f"the tensor {name!r} holds a number that is no {datatype}")
    return name, cast.reshape(shape)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
