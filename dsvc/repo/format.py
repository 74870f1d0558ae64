"""The format record of a repository: which features one needs to read it and to write it. docs/formats/format.md."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dsvc.errors import BusyError, FormatTooNewError, IntegrityError
from dsvc.storage.backend import Backend, SwapUncertainError

CELL = "format"
SEGMENTS = "segments-1"
POOL = "pool-1"
PARTED = "parted-1"
SNAPSHOTS = "snapshots-1"
REFERENCES = "references-1"
CARRIED = "carried-1"
FEATURES = frozenset({"base-1", SEGMENTS, POOL, PARTED, SNAPSHOTS, REFERENCES, CARRIED})
_RETRIES = 20
CALLED = "the repository"


class DamagedFormatError(IntegrityError):
    """The format record cannot be read."""


class Pointer(NamedTuple):
    """Where a repository is that keeps nothing at its own place: in the pool of its family.

    `pool` is the way to the pool's place, such as `../../team/vision`, and `name` what the family calls this place: the
    way back, as it was when the fork was made.
    """

    pool: str
    name: str


class Format(NamedTuple):
    """Features that a program must know: to read, and to write. `pointer` says that the repository is elsewhere."""

    read: frozenset[str]
    write: frozenset[str]
    pointer: Pointer | None = None


CURRENT = Format(frozenset({"base-1"}), frozenset({"base-1"}))
FAR = Format(CURRENT.read | {SEGMENTS, CARRIED}, CURRENT.write | {SEGMENTS, CARRIED})
"""Of a repository that is made at a remote place: its indexes are folded into segments, its head holds the list."""


PARTED_CURRENT = Format(CURRENT.read | {PARTED}, CURRENT.write | {PARTED})
"""Of a repository on a disk that clones files: it may keep large ones whole, as parts of its packs."""


def lost_record(*, parted: bool) -> Format:
    """Return a record for a repository in a working copy that has lost its own: of all that may lie in such a one."""
    read = CURRENT.read | {REFERENCES} | ({PARTED} if parted else frozenset())
    return Format(read, read | {SNAPSHOTS})


def pointing(pointer: Pointer) -> Format:
    """Return the record of a place whose repository is in a pool elsewhere."""
    return Format(frozenset({POOL}), frozenset({POOL}), pointer)


def encode_format(record: Format) -> bytes:
    """Return the record as JSON text with a line feed, so that people and other tools can read it."""
    fields: dict[str, Any] = {"dsvc": 1, "read": sorted(record.read), "write": sorted(record.write)}
    if record.pointer is not None:
        fields |= {"pool": record.pointer.pool, "name": record.pointer.name}
    return json.dumps(fields).encode() + b"\n"


def write_format(backend: Backend, record: Format, *, before: Format | None = None) -> None:
    """Set the record of a new repository, or of one that has the record `before`.

    Raises:
        BusyError: when there is another one already.
    """
    expected = None if before is None else encode_format(before)
    if not backend.swap_cell(CELL, expected, encode_format(record)):
        raise BusyError("another process created a repository here at the same moment")


def raise_format(backend: Backend, feature: str, *, reading: bool = False) -> None:
    """Let nobody write to a repository any more, or read it, who does not know a feature. Safe to call twice.

    Raises:
        BusyError: when others change the record again and again.
    """
    for _ in range(_RETRIES):
        value = backend.read_cell(CELL)
        record = decode_format(value) if value is not None else CURRENT
        read = record.read | {feature} if reading else record.read
        raised = record._replace(read=read, write=record.write | {feature})
        if raised == record:
            return
        try:
            if backend.swap_cell(CELL, value, encode_format(raised)):
                return
        except SwapUncertainError:
            continue
    raise BusyError("the format of the repository is changed by others", hint="run the same command again")


def read_format(backend: Backend, *, called: str = CALLED) -> Format | None:
    """Return the record, or None where there is no repository.

    Raises:
        DamagedFormatError: when it is not of its form.
    """
    value = backend.read_cell(CELL)
    return None if value is None else decode_format(value, called=called)


def decode_format(value: bytes, *, called: str = CALLED) -> Format:
    """Return the record that these bytes are.

    Raises:
        DamagedFormatError: when they are none. FormatTooNewError: when they are one of a later version.
    """
    try:
        fields = json.loads(value)
        if fields["dsvc"] != 1:
            raise FormatTooNewError(
                f"{called} has format {fields['dsvc']!r}, which this version of dsvc does not know",
                hint="install a newer dsvc",
            )
        pointer = Pointer(str(fields["pool"]), str(fields["name"])) if "pool" in fields else None
        return Format(frozenset(map(str, fields["read"])), frozenset(map(str, fields["write"])), pointer)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFormatError(f"the format record of {called} is damaged", hint="dsvc doctor") from error


def check_readable(record: Format, *, called: str = CALLED) -> None:
    """Refuse a repository that needs features this version does not have.

    Raises:
        FormatTooNewError: naming them.
    """
    unknown = sorted(record.read - FEATURES)
    if unknown:
        raise FormatTooNewError(
            f"{called} needs features that this version of dsvc does not have: {', '.join(unknown)}",
            hint="install a newer dsvc",
        )


def check_writable(record: Format, *, called: str = CALLED) -> None:
    """Refuse to write where that needs features this version does not have.

    Raises:
        FormatTooNewError: naming them.
    """
    unknown = sorted(record.write - FEATURES)
    if unknown:
        raise FormatTooNewError(
            f"writing to {called} needs features that this version does not have: {', '.join(unknown)}",
            hint="install a newer dsvc",
        )
