"""The two forms in which requests and answers are written: TensorFlow Serving's, and the Open Inference Protocol.

TensorFlow Serving: https://www.tensorflow.org/tfx/serving/api_rest. Open Inference Protocol, version 2:
https://github.com/kserve/open-inference-protocol (the REST part).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsvc.serving.inputs import InputReader
from dsvc.serving.predictor import Rows
from dsvc.serving.refusals import Refusal


def read_predict(body: Mapping[str, Any], reader: InputReader) -> tuple[Rows, str, bool]:
    """Read a body of TensorFlow's form; return the rows, the wanted output or an empty text, whether rows come as such.

    `signature_name` names the output. Raises Refusal.
    """
    wanted = body.get("signature_name") or ""
    if not isinstance(wanted, str):
        raise Refusal("'signature_name' is no text")
    by_row = "instances" in body
    if by_row == ("inputs" in body):
        raise Refusal("the body has neither 'instances' nor 'inputs', or both")
    rows = reader.instances(body["instances"]) if by_row else reader.columns(body["inputs"])
    return rows, "" if wanted == "serving_default" else wanted, by_row


def write_predict(found: Any, *, by_row: bool) -> dict[str, Any]:
    """Return the body of an answer in TensorFlow's form."""
    if isinstance(found, Mapping):
        lists = {name: plain(each) for name, each in found.items()}
        if by_row:
            return {"predictions": [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]}
        return {"outputs": lists}
    return {"predictions" if by_row else "outputs": plain(found)}


def read_infer(body: Mapping[str, Any], reader: InputReader) -> tuple[Rows, list[str]]:
    """Read a body of the Open Inference Protocol; return the rows and the wanted outputs. Raises Refusal."""
    rows = reader.tensors(body.get("inputs"))
    outputs = body.get("outputs") or []
    if not isinstance(outputs, list) or not all(isinstance(each, dict) and "name" in each for each in outputs):
        raise Refusal("'outputs' is no list of tensors with names")
    return rows, [str(each["name"]) for each in outputs]


def write_infer(name: str, version: str, identifier: object, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of an answer in the form of the Open Inference Protocol; `found` maps outputs to arrays."""
    answer: dict[str, Any] = {"model_name": name, "model_version": version}
    if isinstance(identifier, str):
        answer["id"] = identifier
    answer["outputs"] = [_tensor(output, each) for output, each in found.items()]
    return answer


def _tensor(name: str, values: Any) -> dict[str, Any]:
    found = np.asarray(values)
    datatype = _datatype(found)
    flat = found.ravel()
    data = [str(plain(each)) for each in flat] if datatype == "BYTES" else plain(flat)
    return {"name": name, "datatype": datatype, "shape": list(found.shape), "data": data}


def _datatype(found: Any) -> str:
    kind, size = found.dtype.kind, found.dtype.itemsize * 8
    return {"b": "BOOL", "i": f"INT{size}", "u": f"UINT{size}", "f": f"FP{size}"}.get(kind, "BYTES")


def plain(found: Any) -> Any:
    """Return an answer of a model as JSON has it; numbers that JSON lacks become null."""
    if isinstance(found, np.ndarray):
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            return _finite(found.tolist())
        if found.dtype.kind in "biufU":
            return found.tolist()
        return [plain(each) for each in found.tolist()] if found.ndim else plain(found.item())
    if isinstance(found, np.generic):
        return plain(found.item())
    if isinstance(found, Mapping):
        return {str(name): plain(each) for name, each in found.items()}
    if isinstance(found, (str, bytes)):
        return found if isinstance(found, str) else found.decode("utf-8", "replace")
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if found is None or isinstance(found, (bool, int)):
        return found
    if isinstance(found, Sequence):
        return [plain(each) for each in found]
    for name in ("tolist", "to_dict"):  # of pandas and tensors
        convert = getattr(found, name, None)
        if callable(convert):
            return plain(convert())
    return str(found)


def _finite(values: Any) -> Any:
    if isinstance(values, list):
        return [_finite(each) for each in values]
    return values if math.isfinite(values) else None
