"""What a model takes and gives: names and types, in the order in which it takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from dsvc.errors import IntegrityError

Type = Literal["float", "integer", "boolean", "string"]
_TYPES: Final = ("float", "integer", "boolean", "string")
DATATYPES: Final[Mapping[Type, str]] = {"float": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}


@dataclass(frozen=True, slots=True)
class Field:
    """An input or output. `shape` is that of a tensor, -1 for any length; () for a column of a table."""

    name: str
    type: Type = "float"
    optional: bool = False
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a model; without inputs anything is let through.

    `tensor` is what the model calls the one input of which the columns are parts: requests may name it.
    """

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = field(default=())
    tensor: str = ""

    @property
    def is_table(self) -> bool:
        """Whether every input is a column."""
        return bool(self.inputs) and not any(each.shape for each in self.inputs)

    @property
    def is_numeric(self) -> bool:
        """Whether a row is an array of numbers."""
        return self.is_table and all(each.type != "string" for each in self.inputs)


def parse_signature(fields: object) -> Signature | None:
    """Return the signature that a record holds, None where it holds none.

    Raises:
        IntegrityError: when it is not of its form.
    """
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise IntegrityError("the signature of the model is no map")
    return Signature(_fields(fields.get("inputs")), _fields(fields.get("outputs")))


def numbered(count: int) -> tuple[Field, ...]:
    """Return columns without names of their own: x0, x1, ..."""
    return tuple(Field(f"x{at}") for at in range(count))


def signature_json(signature: Signature) -> dict[str, list[dict[str, Any]]]:
    """Return a signature as the Open Inference Protocol tells it."""
    return {"inputs": list(map(_metadata, signature.inputs)), "outputs": list(map(_metadata, signature.outputs))}


def _metadata(field: Field) -> dict[str, Any]:
    return {"name": field.name, "datatype": DATATYPES[field.type], "shape": list(field.shape or (-1, 1))}


def _fields(listed: object) -> tuple[Field, ...]:
    if listed is None:
        return ()
    if not isinstance(listed, (list, tuple)):
        raise IntegrityError("the signature of the model lists no fields")
    found = []
    for each in listed:
        match each:
            case {"name": str(name), "type": str(kind)} if kind in _TYPES:
                shape = each.get("shape") or ()
                if not all(isinstance(n, int) for n in shape):
                    raise IntegrityError(f"the signature of the model has no valid shape for {name!r}")
                found.append(Field(name, cast("Type", kind), bool(each.get("optional")), tuple(shape)))
            case _:
                raise IntegrityError("the signature of the model has a field without a name and a known type")
    if len({each.name for each in found}) != len(found):
        raise IntegrityError("the signature of the model has two fields of one name")
    return tuple(found)
