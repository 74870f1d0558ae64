"""What a fork records of where it came from: the cell `fork`. docs/formats/pool.md."""

from __future__ import annotations

from typing import NamedTuple

from dsvc.errors import IntegrityError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, ObjectId, OperationId
from dsvc.storage.backend import Backend, SwapUncertainError

CELL = "fork"


class DamagedLineageError(IntegrityError):
    """The cell that names a fork's parent cannot be read."""

    def __init__(self) -> None:
        super().__init__("the cell 'fork' is not of its form", hint="name the parent: dsvc remote add upstream ADDRESS")


class Lineage(NamedTuple):
    """Who made a fork, when (microseconds since 1970), and of what.

    `parent` is an address, or the way to the parent's place from the fork's own, such as `../../team/vision`.
    `operation` is the parent's newest one at that moment.
    """

    parent: str
    user: str
    time: int
    operation: OperationId | None = None

    def at(self, operation: OperationId) -> Lineage:
        """Return the same with the operation."""
        return self._replace(operation=operation)


def write_lineage(backend: Backend, lineage: Lineage) -> None:
    """Record where a new repository came from; what an attempt before this one wrote is replaced."""
    fields = {
        "operation": lineage.operation,
        "parent": lineage.parent,
        "time": lineage.time,
        "user": lineage.user,
    }
    value = codec.encode(fields)
    while (before := backend.read_cell(CELL)) != value:
        try:
            backend.swap_cell(CELL, before, value)
        except SwapUncertainError:
            continue


def read_lineage(backend: Backend) -> Lineage | None:
    """Return where a repository came from; None for one that is no fork.

    Raises:
        DamagedLineageError: when the cell is not of its form.
    """
    value = backend.read_cell(CELL)
    if value is None:
        return None
    try:
        fields = codec.decode(value)
    except BadEncodingError as error:
        raise DamagedLineageError from error
    match fields:
        case {"parent": str(parent), "user": str(user), "time": int(time), "operation": operation, **more} if not more:
            if operation is None:
                return Lineage(parent, user, time)
            if isinstance(operation, bytes) and len(operation) == ID_LENGTH:
                return Lineage(parent, user, time, OperationId(ObjectId(operation)))
    raise DamagedLineageError
