"""The content of one numbered file of a cell. docs/formats/local.md."""

from __future__ import annotations

from blake3 import blake3

from dsvc.errors import IntegrityError

KEPT_CELLS = 16  # older files of a cell that stay, so that a swap of that many steps ago can still be settled
DIGEST = 32


class DamagedCellError(IntegrityError):
    """The newest file of a cell does not match its checksum."""


def pack_cell(expected: bytes | None, value: bytes) -> bytes:
    """Return what a file holds for a cell that went from `expected` to `value`."""
    body = blake3(b"" if expected is None else expected).digest() + value
    return blake3(body).digest() + body


def unpack_cell(content: bytes, path: str) -> bytes:
    """Return the digest of the value before, and the value.

    Raises:
        DamagedCellError: when the content does not match its checksum.
    """
    if len(content) < 2 * DIGEST or blake3(content[DIGEST:]).digest() != content[:DIGEST]:
        hint = "remove that one file to go back to the state before it, then run: dsvc fsck"
        if path.endswith("format/1"):
            hint = "remove that one file, then 'dsvc init' makes it again"
        raise DamagedCellError(f"the cell file {path} is damaged: it does not match its checksum", hint=hint)
    return content[DIGEST:]
