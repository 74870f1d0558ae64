"""The format record of a repository: which features one needs to read it and to write it. docs/formats/format.md."""

from __future__ import annotations

import json
from dataclasses import dataclass

from dsvc.errors import BusyError, FormatTooNewError, IntegrityError
from dsvc.storage.backend import Backend

CELL = "format"
SEGMENTS = "segments-1"
FEATURES = frozenset({"base-1", SEGMENTS})


class DamagedFormatError(IntegrityError):
    """The format record cannot be read."""


@dataclass(frozen=True, slots=True)
class Format:
    """Features that a program must know: to read, and to write."""

    read: frozenset[str]
    write: frozenset[str]


CURRENT = Format(frozenset({"base-1"}), frozenset({"base-1"}))
FAR = Format(CURRENT.read | {SEGMENTS}, CURRENT.write | {SEGMENTS})
"""Of a repository that is made at a remote place: its indexes are folded into segments."""


def encode_format(record: Format) -> bytes:
    """Return the record as JSON text with a line feed, so that people and other tools can read it."""
    return json.dumps({"dsvc": 1, "read": sorted(record.read), "write": sorted(record.write)}).encode() + b"\n"


def write_format(backend: Backend, record: Format) -> None:
    """Set the record of a new repository.

    Raises:
        BusyError: when there is one already.
    """
    if not backend.swap_cell(CELL, None, encode_format(record)):
        raise BusyError("another process created a repository here at the same moment")


def read_format(backend: Backend) -> Format | None:
    """Return the record, or None where there is no repository.

    Raises:
        DamagedFormatError: when it is not of its form.
    """
    value = backend.read_cell(CELL)
    if value is None:
        return None
    try:
        fields = json.loads(value)
        if fields["dsvc"] != 1:
            raise FormatTooNewError(
                f"the repository has format {fields['dsvc']!r}, which this version of dsvc does not know",
                hint="install a newer dsvc",
            )
        return Format(frozenset(map(str, fields["read"])), frozenset(map(str, fields["write"])))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFormatError("the repository's format record is damaged", hint="dsvc doctor") from error


def check_readable(record: Format) -> None:
    """Refuse a repository that needs features this version does not have.

    Raises:
        FormatTooNewError: naming them.
    """
    unknown = sorted(record.read - FEATURES)
    if unknown:
        raise FormatTooNewError(
            f"the repository needs features that this version of dsvc does not have: {', '.join(unknown)}",
            hint="install a newer dsvc",
        )


def check_writable(record: Format) -> None:
    """Refuse to write where that needs features this version does not have.

    Raises:
        FormatTooNewError: naming them.
    """
    unknown = sorted(record.write - FEATURES)
    if unknown:
        raise FormatTooNewError(
            f"writing to the repository needs features that this version does not have: {', '.join(unknown)}",
            hint="install a newer dsvc",
        )
