"""What gc must remember from one run to the next: where it cut the log, and packs that it saw on no list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from dsvc.errors import BusyError, IntegrityError
from dsvc.objects import codec
from dsvc.objects.codec import BadEncodingError
from dsvc.objects.ids import ID_LENGTH, ObjectId, OperationId, PackId
from dsvc.storage.backend import Backend, SwapUncertainError

CELL = "gc"
_RETRIES = 20


class DamagedGcRecordError(IntegrityError):
    """The cell in which gc keeps its notes cannot be read."""


@dataclass(frozen=True, slots=True)
class GcRecord:
    """`cut`: operations that were removed on purpose; `seen`: unlisted packs and when (microseconds) first seen."""

    cut: frozenset[OperationId] = frozenset()
    seen: Mapping[PackId, int] = field(default_factory=dict)

    def cutting(self, more: frozenset[OperationId]) -> GcRecord:
        """Return the record that also has these as cut."""
        return replace(self, cut=self.cut | more)

    def cut_at(self, cut: frozenset[OperationId], *, obsolete: Collection[OperationId]) -> GcRecord:
        """Return the record that has these as cut, and those not any more behind which the log was cut since."""
        return replace(self, cut=self.cut.difference(obsolete) | cut)


def read_record(backend: Backend) -> GcRecord:
    """Return the record; an empty one where gc never ran.

    Raises:
        DamagedGcRecordError: when the cell is not of its form.
    """
    return _decode(backend.read_cell(CELL))


def encode_cuts(backend: Backend) -> bytes | None:
    """Return what the cell says to those who only read: where the log was cut. None where gc never ran.

    Raises:
        DamagedGcRecordError: when the cell is not of its form.
    """
    value = backend.read_cell(CELL)
    return None if value is None else _encode(GcRecord(_decode(value).cut))


def change_record(backend: Backend, change: Callable[[GcRecord], GcRecord]) -> GcRecord:
    """Replace the record by `change(record)`, once more when another process was faster."""
    for _ in range(_RETRIES):
        value = backend.read_cell(CELL)
        record = _decode(value)
        newer = change(record)
        if newer == record:
            return record
        try:
            if backend.swap_cell(CELL, value, _encode(newer)):
                return newer
        except SwapUncertainError:
            pass  # the next round looks whether it took place
    raise BusyError("gc runs in several processes at once", hint="wait until one of them is done")


def _encode(record: GcRecord) -> bytes:
    return codec.encode({"cut": sorted(record.cut), "seen": sorted(record.seen.items())})


def _decode(value: bytes | None) -> GcRecord:
    if value is None:
        return GcRecord()
    try:
        fields = codec.decode(value)
    except BadEncodingError as error:
        raise DamagedGcRecordError("the cell 'gc' is damaged", hint="dsvc doctor") from error
    match fields:
        case {"cut": tuple(cut), "seen": tuple(seen), **more} if not more:
            pairs = [(row[0], row[1]) for row in seen if isinstance(row, tuple) and len(row) == 2]
            ids = [*cut, *(pack_id for pack_id, _ in pairs)]
            times = [time for _, time in pairs if isinstance(time, int)]
            if len(times) == len(seen) and all(isinstance(i, bytes) and len(i) == ID_LENGTH for i in ids):
                cut_ids = frozenset(OperationId(ObjectId(i)) for i in cut if isinstance(i, bytes))
                packs = {PackId(i): time for i, time in pairs if isinstance(i, bytes) and isinstance(time, int)}
                return GcRecord(cut_ids, packs)
    raise DamagedGcRecordError("the cell 'gc' is not of its form", hint="dsvc doctor")
